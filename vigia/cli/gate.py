"""`vigia gate`."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from vigia.cli import loop
from vigia.cli.databases import named
from vigia.cli.options import AuthorityFolder, Broker, Dsn, Home
from vigia.errors import ConfigError
from vigia.settings import Settings, load_settings

if TYPE_CHECKING:
    from vigia.gate.door import Door

app = typer.Typer(no_args_is_help=True)

Lists = Annotated[
    Path | None,
    typer.Option(help="Folder whose lists the broker reads (default HOME/gate, env VIGIA_GATE_LISTS).", show_default=False),
]

Days = Annotated[float, typer.Option("--certificate-days", min=1e-6, max=825, help="For how many days a gateway's certificate is valid.")]


@app.command()
def run(
    certificate_days: Days = 100,
    lists: Lists = None,
    authority: AuthorityFolder = None,
    home: Home = None,
    dsn: Dsn = None,
    broker: Broker = None,
) -> None:
    """Sign gateways' certificates and tell the broker whom to let in, until stopped. Run one, where the authority's folder is."""
    from vigia.gate.config import GateConfig
    from vigia.gate.process import run as serve

    settings = load_settings(home=home, dsn=dsn, broker=broker, authority=authority, gate_lists=lists)
    config = GateConfig(
        dsn=named(settings),
        authority=settings.authority_folder,
        lists=settings.gate_folder,
        door=_door(settings),
        certificate_life=timedelta(days=certificate_days),
    )
    loop.run_until_stopped(serve(config))


def _door(settings: Settings) -> "Door | None":
    """Where gateways come in, None when no broker is named. Raises ConfigError for one without TLS: it knows no certificates."""
    from vigia.gate.door import Door

    if settings.broker is None:
        return None
    try:
        parts = urlsplit(settings.broker)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme != "mqtts" or not parts.hostname:
        raise ConfigError("--broker (VIGIA_BROKER) is where gateways come in with their certificates: write mqtts://host:port")
    ca = settings.broker_ca
    if ca is not None and not ca.is_file():
        raise ConfigError(f"VIGIA_BROKER_CA = {ca} does not exist: name the broker's CA certificate")
    return Door(parts.hostname, port or 8883, ca)
