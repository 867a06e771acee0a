"""`vigia gate`."""

from datetime import timedelta
from typing import Annotated

import typer

from vigia.cli import loop
from vigia.cli.databases import named
from vigia.cli.options import AuthorityFolder, Dsn, Home
from vigia.settings import load_settings

app = typer.Typer(no_args_is_help=True)

Days = Annotated[float, typer.Option("--certificate-days", min=1e-6, max=825, help="For how many days a gateway's certificate is valid.")]


@app.command()
def run(certificate_days: Days = 90, authority: AuthorityFolder = None, home: Home = None, dsn: Dsn = None) -> None:
    """Sign gateways' certificates until stopped. Run one, where the authority's folder is."""
    from vigia.gate.config import GateConfig
    from vigia.gate.process import run as serve

    settings = load_settings(home=home, dsn=dsn, authority=authority)
    config = GateConfig(dsn=named(settings), authority=settings.authority_folder, certificate_life=timedelta(days=certificate_days))
    loop.run_until_stopped(serve(config))
