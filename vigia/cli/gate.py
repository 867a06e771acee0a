"""`vigia gate`."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from vigia.cli import loop
from vigia.cli.databases import named
from vigia.cli.options import AuthorityFolder, Dsn, Home
from vigia.settings import load_settings

app = typer.Typer(no_args_is_help=True)

Lists = Annotated[
    Path | None,
    typer.Option(help="Folder whose lists the broker reads (default HOME/gate, env VIGIA_GATE_LISTS).", show_default=False),
]

Days = Annotated[float, typer.Option("--certificate-days", min=1e-6, max=825, help="For how many days a gateway's certificate is valid.")]


@app.command()
def run(certificate_days: Days = 100, lists: Lists = None, authority: AuthorityFolder = None, home: Home = None, dsn: Dsn = None) -> None:
    """Sign gateways' certificates and tell the broker whom to let in, until stopped. Run one, where the authority's folder is."""
    from vigia.gate.config import GateConfig
    from vigia.gate.process import run as serve

    settings = load_settings(home=home, dsn=dsn, authority=authority, gate_lists=lists)
    config = GateConfig(
        dsn=named(settings),
        authority=settings.authority_folder,
        lists=settings.gate_folder,
        certificate_life=timedelta(days=certificate_days),
    )
    loop.run_until_stopped(serve(config))
