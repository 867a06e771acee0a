"""`vigia bench`: figures of this machine, each with its ratio to a bare way in the same run."""

import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vigia.cli.options import AsJson, Broker, Dsn, Home
from vigia.settings import load_settings

if TYPE_CHECKING:
    from vigia.bench.load import Load

app = typer.Typer(no_args_is_help=True)

Seed = Annotated[int, typer.Option(min=0, help="Seed of the made-up readings.")]
Rows = Annotated[int, typer.Option(min=1, help="Readings to send at full load.")]
Metrics = Annotated[int, typer.Option(min=1, max=4_000, help="Readings in a message.")]
Edges = Annotated[int, typer.Option(min=1, max=10_000, help="Edge nodes that send.")]
Points = Annotated[int, typer.Option(min=1, max=1_000, help="Points of each edge node's machine.")]


@app.command()
def decode(seed: Seed = 1, as_json: AsJson = False) -> None:
    """Sparkplug payloads to columns, beside the bare protobuf parse of the same bytes; a few seconds."""
    from vigia.bench.decode import measure

    _show(measure(seed), as_json=as_json)


@app.command()
def ingest(
    rows: Rows = 200_000,
    metrics: Metrics = 500,
    edges: Edges = 100,
    points: Points = 10,
    seed: Seed = 1,
    home: Home = None,
    dsn: Dsn = None,
    broker: Broker = None,
    as_json: AsJson = False,
) -> None:
    """Edge nodes over a broker through ingest into the database, beside a bare COPY of the same rows; about half a minute.

    Everything is made in a temporary folder below the home folder, in a temporary database on the server of --dsn, and removed. Use a
    broker that serves nothing else.
    """
    from vigia.bench.load import Load

    _show(_ingest(Load(rows, metrics, edges, points, seed), home, dsn, broker), as_json=as_json)


@app.command()
def query(
    rows: Annotated[int | None, typer.Option(min=100_000, help="Readings to fill in (default 100 M; 20 M on PostgreSQL alone).")] = None,
    repetitions: Annotated[int, typer.Option(min=30, help="How often each query runs.")] = 40,
    home: Home = None,
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """Charts and latest values out of a week of 10,000 points, for staff and for a customer; several minutes to fill in.

    Everything is made in a temporary database on the server of --dsn, or in a temporary folder below the home folder, and removed.
    """
    from vigia.bench.query import QueryBench, measure

    settings = load_settings(home=home, dsn=dsn)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _show(measure(QueryBench(settings.home, settings.dsn, rows, repetitions)), as_json=as_json)


@app.command("all")
def every(rows: Rows = 200_000, seed: Seed = 1, home: Home = None, dsn: Dsn = None, broker: Broker = None, as_json: AsJson = False) -> None:
    """All measurements, one after the other, with their usual load."""
    from vigia.bench.decode import measure
    from vigia.bench.load import Load

    decoded = measure(seed)
    _show({"decode": decoded, "ingest": _ingest(Load(rows, seed=seed), home, dsn, broker)}, as_json=as_json)


def _ingest(load: "Load", home: Path | None, dsn: str | None, broker: str | None) -> dict[str, object]:
    from vigia.bench.ingest import IngestBench, measure

    settings = load_settings(home=home, dsn=dsn, broker=broker)
    certificates = (settings.broker_ca, settings.broker_cert, settings.broker_key)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is stopped and removed, as after Ctrl-C
    return measure(IngestBench(load, settings.home, settings.dsn, settings.broker, certificates))


def _show(found: dict[str, object], *, as_json: bool) -> None:
    sys.stdout.write(json.dumps(found, ensure_ascii=False) + "\n" if as_json else _as_text(found))


def _as_text(found: dict[str, object], indent: str = "") -> str:
    lines = []
    for name, value in found.items():
        if isinstance(value, dict):
            lines.append(f"{indent}{name}\n{_as_text(value, indent + '  ')}")
        else:
            lines.append(f"{indent}{name:<24} {f'{value:,}' if isinstance(value, int) else value}\n")
    return "".join(lines)
