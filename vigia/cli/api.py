"""`vigia api`."""

import json
import sys
from importlib import resources
from pathlib import Path

import typer

from vigia.cli import loop
from vigia.cli.databases import named
from vigia.cli.options import Dsn, Home, Host, Port
from vigia.errors import ConfigError
from vigia.settings import load_settings

app = typer.Typer(no_args_is_help=True)


@app.command()
def run(home: Home = None, dsn: Dsn = None, host: Host = None, port: Port = None) -> None:
    """Serve REST for programs and the portal for people until stopped."""
    import structlog

    from vigia.api.config import ApiConfig
    from vigia.api.server import run as serve

    settings = load_settings(home=home, dsn=dsn, host=host, port=port)
    if not (resources.files("vigia.portal") / "static" / "vendor" / ".stamp").is_file():
        structlog.get_logger().warning("pages lack their front-end files until `python -m vigia.portal.build` has fetched them")
    config = ApiConfig(
        dsn=named(settings),
        host=settings.host,
        port=settings.port,
        clock=settings.clock,
        gateway_broker=settings.gateway_broker,
        gateway_broker_ca=_text_of(settings.gateway_broker_ca),
    )
    loop.run(serve(config))


def _text_of(file: Path | None) -> str | None:
    try:
        return None if file is None else file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"VIGIA_GATEWAY_BROKER_CA = {file} cannot be read ({error}): name the broker's CA certificate") from None


@app.command()
def openapi() -> None:
    """Print the OpenAPI document of the REST interface."""
    from vigia.api.app import create_app
    from vigia.api.config import ApiConfig

    json.dump(create_app(ApiConfig(dsn="")).openapi(), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
