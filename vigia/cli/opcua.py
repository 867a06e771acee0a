"""`vigia edge opcua` and `vigia edge browse`: getting to know an OPC UA server before it is a source."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from vigia.cli import loop

app = typer.Typer(no_args_is_help=True)

Url = Annotated[str, typer.Option("--url", help="Server, opc.tcp://host[:port][/path].")]
TIMEOUT_S = 5.0


@app.command()
def certificate(
    folder: Annotated[Path, typer.Option(help="Where to put gateway.der and gateway.key.pem.")],
    application_uri: Annotated[str | None, typer.Option(help="Name of the gateway among OPC UA applications.", show_default=False)] = None,
) -> None:
    """Make the key and the certificate by which OPC UA servers know this gateway."""
    with _libraries():
        from vigia.edge.sources.opcua.certificate import describe, load_certificate, make_certificate

    certificate_file, key_file = make_certificate(folder, application_uri)
    made = load_certificate(certificate_file)
    typer.echo(f"{certificate_file}: {describe(made)}, valid until {made.not_valid_after_utc:%Y-%m-%d}; let the server trust it")
    typer.echo(f"{key_file}: its private key; keep it here")


@app.command("server-certificate")
def server_certificate(url: Url, output: Annotated[Path, typer.Option(help="File for the certificate (DER).")]) -> None:
    """Fetch the certificate that a server shows. Compare its SHA-256 with what the server's people say before you trust it."""
    from vigia.edge import EdgeError

    with _libraries():
        from cryptography.hazmat.primitives.serialization import Encoding

        from vigia.edge.sources.opcua.certificate import describe, read_certificate
        from vigia.edge.sources.opcua.connection import server_endpoints

    shown = {one.ServerCertificate for one in loop.run(server_endpoints(url, TIMEOUT_S)) if one.ServerCertificate}
    if not shown:
        raise EdgeError(f"{url}: the server shows no certificate; it offers no security")
    found = read_certificate(shown.pop())
    _write(output, found.public_bytes(Encoding.DER))
    typer.echo(f"{output}: {describe(found)}")


def browse(
    url: Url,
    security: Annotated[str, typer.Option(help="none, sign or sign_and_encrypt.")] = "none",
    policy: Annotated[str, typer.Option(help="Security policy.")] = "Basic256Sha256",
    certificate: Annotated[Path | None, typer.Option(help="The gateway's certificate.", show_default=False)] = None,
    key: Annotated[Path | None, typer.Option(help="Its private key.", show_default=False)] = None,
    server_certificate: Annotated[Path | None, typer.Option(help="The server's certificate.", show_default=False)] = None,
    trusted: Annotated[Path | None, typer.Option(help="Or a folder of trusted certificates.", show_default=False)] = None,
    user: Annotated[str | None, typer.Option(help="User name; without one the log-in is anonymous.", show_default=False)] = None,
    password_env: Annotated[str | None, typer.Option(help="Environment variable with the password.", show_default=False)] = None,
    password_file: Annotated[Path | None, typer.Option(help="Or file with the password.", show_default=False)] = None,
    plain_password: Annotated[bool, typer.Option("--plain-password", help="Let the password travel unencrypted.")] = False,
    root: Annotated[str, typer.Option(help="Where to begin, nsu=<URI>;s=<name>.")] = "i=85",
    levels: Annotated[int, typer.Option(min=0, help="Names of a variable's path, from the root, that make its device.")] = 1,
    output: Annotated[Path | None, typer.Option(help="File for the draft; default: printed.", show_default=False)] = None,
) -> None:
    """Draft a gateway's configuration from what an OPC UA server has: devices, points, units, ranges."""
    with _libraries():
        from vigia.edge.sources.opcua.browse import draft

    paths = {"certificate": certificate, "key": key, "server_certificate": server_certificate, "trusted": trusted}
    settings: dict[str, object] = {
        "url": url,
        "security": security,
        "policy": policy,
        "user": user,
        "anonymous": user is None,
        "password_env": password_env,
        "password_file": password_file,
        "plain_password": plain_password,
        **{name: None if path is None else path.absolute() for name, path in paths.items()},
    }
    text = loop.run(draft(_server(settings, root), Path.cwd(), root, levels))
    if output is None:
        typer.echo(text, nl=False)
    else:
        _write(output, text.encode())
        typer.echo(f"{output}: edit it, then `vigia edge run --check --config {output}`")


@contextlib.contextmanager
def _libraries() -> Iterator[None]:
    """A library that is not installed is one sentence."""
    from vigia.edge import EdgeError

    try:
        yield
    except ModuleNotFoundError as error:
        raise EdgeError(f"OPC UA needs {error.name}, which is not installed; install vigia[edge]") from None


def _server(settings: dict[str, object], root: str) -> Any:  # noqa: ANN401 - a ServerConfig, imported late
    from pydantic import ValidationError

    from vigia.edge.sources.opcua.config import ServerConfig
    from vigia.edge.sources.opcua.node_ids import check_node_id
    from vigia.errors import ConfigError

    try:
        check_node_id(root)
        return ServerConfig.model_validate(settings)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = "".join(f"--{part}: ".replace("_", "-") for part in first["loc"])
        raise ConfigError(f"{option}{first['msg'].removeprefix('Value error, ')}") from None
    except ValueError as error:
        raise ConfigError(f"--root: {error}") from None


def _write(path: Path, data: bytes) -> None:
    from vigia.errors import ConfigError

    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError:
        raise ConfigError(f"{path} is there already; remove it, or name another file with --output") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}; name another file with --output") from None
