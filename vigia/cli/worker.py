"""`vigia worker`."""

from typing import Annotated

import typer

from vigia.cli import loop
from vigia.cli.databases import named
from vigia.cli.options import Dsn, Home
from vigia.errors import ConfigError
from vigia.settings import load_settings

app = typer.Typer(no_args_is_help=True)

Stage = Annotated[
    str,
    typer.Option(envvar="VIGIA_AUTONOMY", help="How far a prediction goes without a person: notify, draft (an order to approve) or auto."),
]
Jobs = Annotated[int, typer.Option(min=1, help="Jobs run at once; jobs of one machine stay in order.")]


@app.callback()
def group() -> None:
    """Jobs: alarms, cases, work orders, dispatch."""


@app.command()
def run(home: Home = None, dsn: Dsn = None, autonomy: Stage = "auto", concurrency: Jobs = 1) -> None:
    """Run jobs until stopped."""
    from vigia.cli.databases import retention
    from vigia.domain.work_orders import Autonomy
    from vigia.workflows.worker import WorkerConfig
    from vigia.workflows.worker import run as work

    settings = load_settings(home=home, dsn=dsn)
    if autonomy not in set(Autonomy):
        message = f"VIGIA_AUTONOMY (--autonomy) = {autonomy!r}: choose one of {', '.join(Autonomy)}."
        raise ConfigError(message)
    loop.run(work(WorkerConfig(named(settings), Autonomy(autonomy), concurrency, settings.clock, retention(settings))))
