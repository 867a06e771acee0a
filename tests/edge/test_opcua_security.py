"""Who is who: the server is known by its certificate, the gateway by its own, its user by a password that does not travel openly."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID
from opcua_harness import count, points, source, table
from opcua_machine import START_US, Machine
from pydantic import ValidationError
from source_harness import entered, until
from structlog.testing import capture_logs

from vigia.edge import EdgeError
from vigia.edge.sources import SourceUnavailableError
from vigia.edge.sources.opcua.certificate import ends_within, load_certificate, make_certificate, why_untrusted
from vigia.edge.sources.opcua.config import OpcUaConfig
from vigia.edge.sources.opcua.connection import load_identity
from vigia.edge.sources.opcua.source import OpcUaSource

pytestmark = pytest.mark.xdist_group("opcua")

NOW = datetime.now(UTC)
WORD = "sésame 7"
USER = {"user": "gateway", "password_env": "PRESS_PASSWORD"}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the gateway's certificate and key."""
    folder = tmp_path_factory.mktemp("own")
    make_certificate(folder)
    return folder


@pytest.fixture(autouse=True)
def _users_as_before(opcua_machine: Machine) -> None:
    opcua_machine.users.passwords = {"gateway": WORD}
    opcua_machine.users.anonymous = True


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRESS_PASSWORD", WORD)


def secured(machine: Machine, own: Path, **settings: object) -> dict[str, Any]:
    assert machine.secure is not None
    files = {"certificate": own / "gateway.der", "key": own / "gateway.key.pem", "server_certificate": machine.secure[0]}
    login = {} if "user" in settings else {"anonymous": True}
    return {"security": "sign_and_encrypt", "anonymous": False, **files, **login, **settings}


async def refusal(one: OpcUaSource) -> str:
    with pytest.raises(SourceUnavailableError) as refused:
        await one.__aenter__()
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.usefixtures("password")
@pytest.mark.parametrize("security", ["sign", "sign_and_encrypt"])
async def test_a_secure_session_reads_and_goes_on(opcua_machine: Machine, own: Path, security: str) -> None:
    opcua_machine.add(security)
    settings = secured(opcua_machine, own, security=security, **USER)
    opcua_machine.users.anonymous = False
    async with entered(source(opcua_machine.url, points(security), **settings)) as stream:
        await until(stream, lambda got: count(got) == 1)
        opcua_machine.write(security, 1.5, START_US + 1000)
        await until(stream, lambda got: count(got) == 1)


async def test_a_certificate_that_ends_soon_is_said_once(opcua_machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vigia.edge.sources.opcua.certificate.VALID_DAYS", 10)
    make_certificate(tmp_path)
    opcua_machine.add("ending")
    one = source(opcua_machine.url, points("ending"), **secured(opcua_machine, tmp_path), look_again_s=0.01)
    with capture_logs() as logs:
        for _ in range(2):
            async with entered(one) as stream:
                await until(stream, lambda got: count(got) == 1)
            one.resume(None)
    assert [log["event"] for log in logs] == ["the certificate ends within 14 days; make another and let the server trust it"]


async def test_a_server_with_another_certificate_is_not_talked_to(opcua_machine: Machine, own: Path) -> None:
    settings = secured(opcua_machine, own, server_certificate=own / "gateway.der")
    told = await refusal(source(opcua_machine.url, points("x"), **settings))
    assert "the server's certificate is not trusted (" in told
    assert "SHA-256" in told


async def test_a_folder_of_trusted_certificates_is_looked_at_each_time(opcua_machine: Machine, own: Path, tmp_path: Path) -> None:
    opcua_machine.add("trusting")
    assert opcua_machine.secure is not None
    settings = secured(opcua_machine, own, server_certificate=None, trusted=tmp_path)
    one = source(opcua_machine.url, points("trusting"), **settings)
    assert "is not trusted" in await refusal(one)
    (tmp_path / "press.der").write_bytes(opcua_machine.secure[0].read_bytes())
    async with entered(one) as stream:
        await until(stream, lambda got: count(got) == 1)


@pytest.mark.usefixtures("password")
async def test_a_wrong_password_is_one_sentence(opcua_machine: Machine, own: Path) -> None:
    opcua_machine.users.passwords["gateway"] = "another"
    settings = secured(opcua_machine, own, **USER)
    told = await refusal(source(opcua_machine.url, points("x"), **settings))
    assert told == f"{opcua_machine.url}: the server refuses user gateway; correct the name or the password"


async def test_a_server_that_wants_a_user_says_so(opcua_machine: Machine) -> None:
    opcua_machine.users.anonymous = False
    told = await refusal(source(opcua_machine.url, points("x")))
    assert told == f"{opcua_machine.url}: the server refuses an anonymous log-in; write a user"


@pytest.mark.usefixtures("password")
async def test_a_password_does_not_travel_openly_unless_that_is_wanted(opcua_machine: Machine) -> None:
    opcua_machine.add("open")
    opcua_machine.users.anonymous = False
    login = {"anonymous": False, **USER}
    async with entered(source(opcua_machine.url, points("open"), **login)) as stream:
        await until(stream, lambda got: count(got) == 1)  # the server has a certificate: the password alone is encrypted
    with opcua_machine.plain_passwords():
        assert await refusal(source(opcua_machine.url, points("open"), **login)) == (
            f"{opcua_machine.url}: the password of gateway would travel unencrypted; "
            "use security sign_and_encrypt, or set plain_password = true"
        )
        async with entered(source(opcua_machine.url, points("open"), **login, plain_password=True)) as stream:
            await until(stream, lambda got: count(got) == 1)


async def test_security_that_the_server_does_not_offer_is_one_sentence_with_what_it_offers(opcua_machine: Machine, own: Path) -> None:
    settings = secured(opcua_machine, own, policy="Aes256_Sha256_RsaPss")
    told = await refusal(source(opcua_machine.url, points("x"), **settings))
    assert told == (
        f"{opcua_machine.url}: the server does not offer security sign_and_encrypt (Aes256_Sha256_RsaPss); "
        "it offers none (None), sign (Basic256Sha256), sign_and_encrypt (Basic256Sha256)"
    )


async def test_files_that_went_while_it_ran_are_waited_for(opcua_machine: Machine, tmp_path: Path) -> None:
    make_certificate(tmp_path)
    one = source(opcua_machine.url, points("x"), **secured(opcua_machine, tmp_path))
    (tmp_path / "gateway.key.pem").unlink()
    assert "gateway.key.pem: No such file" in await refusal(one)


# ── the configuration ──


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"url": "http://127.0.0.1"}, "write opc.tcp://host:port"),
        ({"url": "opc.tcp://me:secret@127.0.0.1"}, "write the user as user = ..., and its password into a file or the environment"),
        ({"security": "sign"}, "security sign needs certificate and key (make them with `vigia edge opcua certificate`)"),
        ({"security": "sign", "certificate": "a", "key": "b"}, "needs either server_certificate or trusted, to know the server by"),
        ({"anonymous": False}, "write either user, or anonymous = true"),
        ({"user": "me", "password_env": "X"}, "write either user, or anonymous = true"),
        ({"anonymous": False, "user": "me"}, "write user and one of password_env and password_file"),
        ({"anonymous": False, "user": "me", "password_env": "X", "password_file": "y"}, "write either password_env or password_file"),
    ],
)
def test_what_is_not_secure_must_be_said(settings: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError) as refused:
        OpcUaConfig.model_validate(table("opc.tcp://127.0.0.1", points("x"), **settings))
    assert reason in str(refused.value)
    assert "secret" not in refused.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"password_env": "NOT_SET_ANYWHERE"}, "the environment variable NOT_SET_ANYWHERE holds no password for user me; set it"),
        ({"password_file": "nowhere"}, "nowhere: No such file or directory; name a file with the password of me"),
        ({"password_file": "empty"}, "empty is empty; put the password of user me there"),
    ],
)
def test_a_password_that_is_not_there_is_one_sentence(tmp_path: Path, settings: dict[str, object], reason: str) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(EdgeError, match=reason):
        source("opc.tcp://127.0.0.1", points("x"), tmp_path, anonymous=False, user="me", **settings)


def test_a_password_file_may_end_its_line(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{WORD}\n")
    one = source("opc.tcp://127.0.0.1", points("x"), tmp_path, anonymous=False, user="me", password_file=file)
    assert load_identity(one._config, tmp_path).password == WORD


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"certificate": "nowhere.der"}, "nowhere.der: No such file or directory; name a certificate file"),
        ({"certificate": "text"}, "text holds no certificate; name a certificate file"),
        ({"key": "text"}, "text holds no private key without a password; name the private key of gateway.der"),
        ({"key": "other/gateway.key.pem"}, "is not the private key of .*gateway.der; name the two that were made together"),
        ({"server_certificate": None, "trusted": "nowhere"}, "nowhere: No such file or directory; name a folder of trusted certificates"),
    ],
)
def test_files_that_do_not_fit_are_one_sentence(tmp_path: Path, files: dict[str, object], reason: str) -> None:
    make_certificate(tmp_path)
    make_certificate(tmp_path / "other")
    (tmp_path / "text").write_text("nothing")
    settings = {"security": "sign", "certificate": "gateway.der", "key": "gateway.key.pem", "server_certificate": "other/gateway.der"}
    with pytest.raises(EdgeError, match=reason):
        source("opc.tcp://127.0.0.1", points("x"), tmp_path, **{**settings, **files})


# ── certificates ──


def test_the_gateways_certificate_has_what_servers_ask_for(tmp_path: Path) -> None:
    certificate_file, key_file = make_certificate(tmp_path / "new", "urn:north:gateway")
    certificate = load_certificate(certificate_file)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["urn:north:gateway"]
    assert certificate.extensions.get_extension_for_class(x509.KeyUsage).value.data_encipherment
    assert certificate.not_valid_before_utc < NOW < certificate.not_valid_after_utc
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    with pytest.raises(EdgeError, match="is there already; remove it, or choose another folder"):
        make_certificate(tmp_path / "new")


def signed(
    subject: str, issuer: tuple[x509.Certificate, rsa.RSAPrivateKey] | None, **named: str
) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    """A certificate for `dns` or `ip`, or of an authority if `issuer` is None; `days` it is valid for."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    days = int(named.get("days", "30"))
    hosts = [x509.DNSName(named["dns"])] if "dns" in named else []
    builder = (
        x509.CertificateBuilder(
            name if issuer is None else issuer[0].subject,
            name,
            key.public_key(),
            x509.random_serial_number(),
            NOW - timedelta(days=60),
            NOW + timedelta(days=days),
        )
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([*hosts, x509.UniformResourceIdentifier("urn:x")]), critical=False)
    )
    return builder.sign(key if issuer is None else issuer[1], hashes.SHA256()), key


def test_a_server_is_known_by_its_certificate_or_by_an_authority_that_made_it_for_its_host() -> None:
    authority = signed("authority", None)
    stranger = signed("authority", None)  # the same name, another key
    server, _ = signed("server", authority, dns="press.example")
    outdated, _ = signed("server", authority, dns="press.example", days="-1")
    own, _ = signed("server", None, dns="elsewhere.example")
    assert why_untrusted(server, [authority[0]], "PRESS.example", NOW) == ""
    assert why_untrusted(own, [own], "press.example", NOW) == "", "trusted itself: its names do not matter"
    assert why_untrusted(server, [authority[0]], "other.example", NOW) == "is not made for other.example"
    assert why_untrusted(server, [stranger[0]], "press.example", NOW) == "is not trusted"
    assert why_untrusted(server, [], "press.example", NOW) == "is not trusted"
    assert why_untrusted(outdated, [authority[0], outdated], "press.example", NOW).startswith("is not valid now, only ")


@pytest.mark.parametrize(("days", "within"), [(40, None), (29, 30), (13, 14), (6, 7), (0, 1), (-5, 1)])
def test_the_end_of_a_certificate_is_foreseen(days: int, within: int | None) -> None:
    certificate, _ = signed("gateway", None, days=str(days))
    assert ends_within(certificate, NOW) == within


def test_a_server_is_not_an_authority() -> None:
    authority = signed("authority", None)
    server = signed("server", authority, dns="press.example")
    forged, _ = signed("forged", server, dns="press.example")
    assert why_untrusted(forged, [server[0]], "press.example", NOW) == "is not trusted"


def test_certificates_are_read_from_either_form(tmp_path: Path) -> None:
    certificate_file, key_file = make_certificate(tmp_path)
    certificate = load_certificate(certificate_file)
    pem = tmp_path / "gateway.pem"
    pem.write_bytes(certificate.public_bytes(Encoding.PEM))
    chain = tmp_path / "chain.der"
    chain.write_bytes(certificate_file.read_bytes() * 2)
    assert load_certificate(pem) == load_certificate(chain) == certificate
    assert load_pem_private_key(key_file.read_bytes(), None).public_key() == certificate.public_key()
