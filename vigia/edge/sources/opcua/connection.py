"""A session with a server: found trustworthy first, then opened; its loss noticed in bounded time."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from asyncua import Client, ua
from asyncua.client.ua_client import UASocketProtocol
from asyncua.crypto import security_policies
from asyncua.crypto.uacrypto import CertProperties
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from vigia.edge import EdgeError
from vigia.edge.sources import SourceUnavailableError
from vigia.edge.sources.opcua import certificate as certificates
from vigia.edge.sources.opcua.config import Policy, Security, ServerConfig

# A server is asked for its state this often for each keep-alive, and has as long to answer: together 1.5 of them.
PROBES_SHARE = 0.75
LEAVE_S = 2.0
PRODUCT_URI = "urn:vigia:gateway"

_MODES: Final[dict[Security, ua.MessageSecurityMode]] = {
    "none": ua.MessageSecurityMode.None_,
    "sign": ua.MessageSecurityMode.Sign,
    "sign_and_encrypt": ua.MessageSecurityMode.SignAndEncrypt,
}
_POLICIES: Final[dict[Policy, type[security_policies.SecurityPolicy]]] = {
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}
_NO_POLICY: Final = security_policies.SecurityPolicyNone.URI

# The library logs, with tracebacks, what is said here in one sentence. Who looks for its faults sets its level first.
if logging.getLogger("asyncua").level == logging.NOTSET:
    logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)


@contextlib.contextmanager
def unavailable(url: str) -> Iterator[None]:
    """What goes wrong with the server at `url` is told as SourceUnavailableError, in one sentence."""
    try:
        yield
    except ua.UaStatusCodeError as error:
        status = ua.StatusCode(error.code)
        raise SourceUnavailableError(f"{url}: the server answers {status.name}: {status.doc}") from None
    except TimeoutError:
        raise SourceUnavailableError(f"{url}: the server does not answer") from None
    except OSError as error:
        raise SourceUnavailableError(f"{url}: no connection: {error.strerror or error}") from None
    except EdgeError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the library makes of bytes that are no OPC UA
        raise SourceUnavailableError(f"{url}: the server cannot be understood: {error!r}") from None


@dataclass(frozen=True)
class Identity:
    """Who the gateway is and whom it trusts, as the files said. `trusted` is empty without security."""

    application_uri: str
    certificate: x509.Certificate | None = None
    key_file: Path | None = None
    trusted: Sequence[x509.Certificate] = ()
    password: str | None = None


def load_identity(config: ServerConfig, folder: Path) -> Identity:
    """What the files and variables of `config` hold; relative paths start at `folder`. Raises EdgeError."""
    password = _password(config, folder)
    if config.security == "none" or config.certificate is None or config.key is None:
        return Identity(certificates.default_application_uri(), password=password)
    path, key_file = folder / config.certificate, folder / config.key
    own = certificates.load_certificate(path)
    certificates.check_own(own, path, key_file)
    if config.server_certificate is not None:
        trusted = [certificates.load_certificate(folder / config.server_certificate)]
    else:
        trusted = [] if config.trusted is None else certificates.trusted_in(folder / config.trusted)
    return Identity(certificates.application_uri_of(own, path), own, key_file, trusted, password)


def _password(config: ServerConfig, folder: Path) -> str | None:
    if config.password_env is not None:
        password = os.environ.get(config.password_env)
        if not password:
            raise EdgeError(f"the environment variable {config.password_env} holds no password for user {config.user}; set it")
        return password
    if config.password_file is not None:
        path = folder / config.password_file
        try:
            password = path.read_text("utf-8").strip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise EdgeError(
                f"{path}: {getattr(error, 'strerror', None) or error}; name a file with the password of {config.user}"
            ) from None
        if not password:
            raise EdgeError(f"{path} is empty; put the password of user {config.user} there")
        return password
    return None


async def server_endpoints(url: str, timeout_s: float) -> list[ua.EndpointDescription]:
    """What the server at `url` offers. Raises SourceUnavailableError."""
    with unavailable(url):
        endpoints: list[ua.EndpointDescription] = await Client(url, timeout_s).connect_and_get_server_endpoints()
        return endpoints


async def open_session(config: ServerConfig, identity: Identity, on_lost: Callable[[], None]) -> Client:
    """A session, to be left with `close_session`; `on_lost` is called when it is no more.

    Raises SourceUnavailableError, also when the server cannot be trusted or refuses us.
    """
    endpoint = _chosen(config, await server_endpoints(config.url, config.timeout_s))
    _check_login(config, endpoint)
    client = Client(config.url, config.timeout_s, watchdog_intervall=config.keepalive_s * PROBES_SHARE)
    client.name = client.description = "Vigia gateway"
    client.application_uri, client.product_uri = identity.application_uri, PRODUCT_URI
    client.session_timeout = round(config.session_timeout_s * 1000)
    if config.user is not None:
        client.set_user(config.user)
        client.set_password(identity.password or "")

    async def lost(_error: Exception) -> None:
        on_lost()

    client.connection_lost_callback = lost
    with unavailable(config.url):
        if identity.certificate is not None and identity.key_file is not None:
            server = _known(config, identity, endpoint)
            await client.set_security(
                _POLICIES[config.policy],
                CertProperties(identity.certificate.public_bytes(Encoding.DER), "der"),
                CertProperties(identity.key_file),
                server_certificate=CertProperties(server.public_bytes(Encoding.DER), "der"),
                mode=_MODES[config.security],
            )
        await _connect(client, config)
    return client


async def _connect(client: Client, config: ServerConfig) -> None:
    try:
        await client.connect()
    except (ua.uaerrors.BadUserAccessDenied, ua.uaerrors.BadIdentityTokenRejected, ua.uaerrors.BadIdentityTokenInvalid):
        who = "an anonymous log-in; write a user" if config.user is None else f"user {config.user}; correct the name or the password"
        raise SourceUnavailableError(f"{config.url}: the server refuses {who}") from None
    except (ua.uaerrors.BadCertificateUntrusted, ua.uaerrors.BadSecurityChecksFailed, ua.uaerrors.BadCertificateInvalid):
        raise SourceUnavailableError(
            f"{config.url}: the server refuses the gateway's certificate; let it trust {config.certificate}"
        ) from None
    except asyncio.CancelledError:
        _abort(client.uaclient.protocol)
        raise


async def close_session(client: Client) -> None:
    """Leave the server in a bounded time, whether it answers or not."""
    protocol = client.uaclient.protocol
    try:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(LEAVE_S):
                await client.disconnect()
    finally:
        _abort(protocol)


def _abort(protocol: UASocketProtocol | None) -> None:
    """A session that was given up would keep its socket."""
    if protocol is not None and protocol.transport is not None:
        protocol.transport.abort()


def _chosen(config: ServerConfig, offered: Sequence[ua.EndpointDescription]) -> ua.EndpointDescription:
    policy = _NO_POLICY if config.security == "none" else _POLICIES[config.policy].URI
    for endpoint in offered:
        if endpoint.SecurityMode == _MODES[config.security] and endpoint.SecurityPolicyUri == policy:
            return endpoint
    known = {mode: name for name, mode in _MODES.items()}
    offers = sorted(
        {f"{known.get(one.SecurityMode, '?')} ({(one.SecurityPolicyUri or '').rpartition('#')[2]})" for one in offered}  # policy's own name
    )
    wanted = config.security if config.security == "none" else f"{config.security} ({config.policy})"
    raise SourceUnavailableError(f"{config.url}: the server does not offer security {wanted}; it offers {', '.join(offers) or 'nothing'}")


def _check_login(config: ServerConfig, endpoint: ua.EndpointDescription) -> None:
    wanted = ua.UserTokenType.Anonymous if config.user is None else ua.UserTokenType.UserName
    tokens = [token for token in endpoint.UserIdentityTokens or [] if token.TokenType == wanted]
    if not tokens:
        what = "anonymous log-in; write a user" if config.user is None else "a log-in with user and password; write anonymous = true"
        raise SourceUnavailableError(f"{config.url}: the server does not take {what}")
    # The password is encrypted as its token says, or else as the channel is.
    encrypted = (tokens[0].SecurityPolicyUri or endpoint.SecurityPolicyUri) != _NO_POLICY or config.security == "sign_and_encrypt"
    if config.user is not None and not encrypted and not config.plain_password:
        raise SourceUnavailableError(
            f"{config.url}: the password of {config.user} would travel unencrypted; "
            "use security sign_and_encrypt, or set plain_password = true"
        )


def _known(config: ServerConfig, identity: Identity, endpoint: ua.EndpointDescription) -> x509.Certificate:
    """The server's certificate, which is trusted. Raises SourceUnavailableError."""
    try:
        server = certificates.read_certificate(endpoint.ServerCertificate or b"")
    except ValueError:
        raise SourceUnavailableError(f"{config.url}: the server shows no certificate") from None
    why = certificates.why_untrusted(server, identity.trusted, urlsplit(config.url).hostname or "", datetime.now(UTC))
    if why:
        place = config.server_certificate or config.trusted
        raise SourceUnavailableError(
            f"{config.url}: the server's certificate {why} ({certificates.describe(server)}); compare it with the server's own and put it "
            f"in {place} if it is right"
        )
    return server
