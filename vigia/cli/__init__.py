"""The command line: `vigia --help` is the map of all commands.

One file per command group. Each imports its room inside the command, so that the gateway runs without the server's libraries
and `--help` answers at once.
"""

import errno
import sys

import typer

from vigia.cli import analytics, api, bench, db, demo, edge, fleet, gate, ingest, models, worker
from vigia.cli.logs import configure_logging
from vigia.errors import VigiaError
from vigia.settings import load_settings

EXIT_CONFIG = 2
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)

app = typer.Typer(
    name="vigia",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Predict-and-fix for manufacturers that sell outcomes.",
)
app.command(name="demo")(demo.demo)
app.add_typer(edge.app, name="edge", help="The gateway beside the machines.")
app.add_typer(ingest.app, name="ingest", help="From the broker to the database.")
app.add_typer(analytics.app, name="analytics", help="Failure prediction: run, train, evaluate.")
app.add_typer(models.app, name="models", help="The failure models: which there are, which is in charge.")
app.add_typer(worker.app, name="worker", help="Jobs: alarms, cases, work orders, dispatch.")
app.add_typer(api.app, name="api", help="REST for programs and the portal for people.")
app.add_typer(gate.app, name="gate", help="Who may come in: signs gateways' certificates.")
app.add_typer(fleet.app, name="fleet", help="The gateways: tokens to enrol with, certificates.")
app.add_typer(db.app, name="db", help="The database: migrate, status, seed.")
app.add_typer(bench.app, name="bench", help="Measure this machine.")


def main() -> None:
    """Run the command line; an error that was foreseen is one sentence and exit code 2."""
    try:
        if "--help" not in sys.argv:  # which answers at once, whatever the environment says
            configure_logging(load_settings().log_level)
        app()
    except VigiaError as error:
        sys.stderr.write(f"vigia: {error}\n")
        sys.exit(EXIT_CONFIG)
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        where = f"for {error.filename}" if error.filename else "in the home folder"
        sys.stderr.write(f"vigia: no space is left {where}; make room, or choose another folder with --home\n")
        sys.exit(EXIT_CONFIG)
