"""`vigia bench`: figures of this machine, of ingest with their ratio to a bare way in the same run."""

import json
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vigia.cli.options import AsJson, Broker, Dsn, Home
from vigia.settings import load_settings

if TYPE_CHECKING:
    from vigia.bench.load import Load

app = typer.Typer(no_args_is_help=True)

ROWS = 10_000_000

Seed = Annotated[int, typer.Option(min=0, help="Seed of the made-up readings.")]
Rows = Annotated[int, typer.Option(min=1, help="Readings to send at full load.")]
Messages = Annotated[int, typer.Option(min=0, help="Messages of one metric to send at full load; 0 leaves them out.")]
Metrics = Annotated[int, typer.Option(min=1, max=4_000, help="Readings in a message.")]
Edges = Annotated[int, typer.Option(min=1, max=10_000, help="Edge nodes that send.")]
Points = Annotated[int, typer.Option(min=1, max=1_000, help="Points of each edge node's machine.")]


@app.command()
def decode(seed: Seed = 1, as_json: AsJson = False) -> None:
    """Sparkplug payloads to columns, beside the bare protobuf parse of the same bytes; a few seconds."""
    from vigia.bench.decode import measure

    _show(measure(seed), as_json=as_json)


@app.command()
def prognosis(
    assets: Annotated[int, typer.Option(min=100, max=1_000_000, help="Machines that are scored at once.")] = 100_000,
    seed: Seed = 1,
    as_json: AsJson = False,
) -> None:
    """Machines scored a second on one core, from readings to reasons, beside scikit-learn's own trees and isolation forest; two minutes."""
    from vigia.bench.prognosis import PrognosisBench, measure

    _show(measure(PrognosisBench(assets, seed=seed)), as_json=as_json)


@app.command()
def detect(
    seed: Seed = 1,
    peers: Annotated[bool, typer.Option("--peers/--no-peers", help="Also others' detectors; those of vigia[bench] that are there.")] = True,
    as_json: AsJson = False,
) -> None:
    """Watching readings, on one core: the detectors' parts, the whole pass, and others' detectors on the same data; half a minute."""
    from vigia.bench.detect import measure

    _show(measure(seed, peers=peers), as_json=as_json)


@app.command()
def ingest(
    rows: Rows = ROWS,
    metrics: Metrics = 500,
    edges: Edges = 1_000,
    points: Points = 10,
    period_ms: Annotated[int, typer.Option(min=1, help="Milliseconds between two readings of a point.")] = 10,
    messages: Messages = 500_000,
    steady_s: Annotated[int, typer.Option(min=1, help="Seconds at 2,000 readings a second, for the lag.")] = 10,
    minutes: Annotated[float, typer.Option(min=0, help="Then so many minutes at a share of the full rate, watching the memory.")] = 0.0,
    at: Annotated[float, typer.Option(min=0.01, max=1, help="That share.")] = 0.5,
    points_growth: Annotated[bool, typer.Option("--points-growth", help="Again with ten times the edge nodes.")] = False,
    poison: Annotated[float, typer.Option(min=0, max=0.5, help="Then what this share of messages nobody can use costs.")] = 0.0,
    peers: Annotated[bool, typer.Option("--peers", help="Also what people do by hand; needs pip install vigia[bench].")] = False,
    peer_rows: Annotated[int, typer.Option(min=100, help="Readings for each of those ways; one by one as many as ours.")] = 1_000_000,
    seed: Seed = 1,
    home: Home = None,
    dsn: Dsn = None,
    broker: Broker = None,
    as_json: AsJson = False,
) -> None:
    """Edge nodes over a broker through ingest into the database, beside a bare COPY of the same rows; a minute or two.

    Everything is made in a temporary folder below the home folder, in a temporary database on the server of --dsn, and removed. Use a
    broker that serves nothing else. Exits with 1 when a reading is missing, stored twice or not accounted for.
    """
    from vigia.bench.load import Load

    load = Load(rows, metrics, edges, points, seed, period_ms=period_ms)
    extent = Extent(messages, steady_s, minutes, at, points_growth, poison, peer_rows if peers else 0)
    found = _ingest(load, extent, Where(home, dsn, broker))
    _show(found, as_json=as_json)
    _judge(found)


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


@app.command()
def edge(
    rate: Annotated[float, typer.Option(min=100, max=100_000, help="Samples a second.")] = 5_000.0,
    seconds: Annotated[float, typer.Option(min=1, help="For so long.")] = 20.0,
    seed: Seed = 1,
    home: Home = None,
    broker: Broker = None,
    as_json: AsJson = False,
) -> None:
    """The gateway's processor time, memory, delay and disk, with recorded engines; a minute. Exits with 1 when a sample is missing."""
    found = _edge(rate, seconds, seed, Where(home, None, broker))
    _show(found, as_json=as_json)
    _judge(found)


@app.command("all")
def every(rows: Rows = ROWS, seed: Seed = 1, home: Home = None, dsn: Dsn = None, broker: Broker = None, as_json: AsJson = False) -> None:
    """Decoding, ingest and the gateway, one after the other, with their usual load."""
    from vigia.bench.decode import measure
    from vigia.bench.load import Load

    decoded = measure(seed)
    found = _ingest(Load(rows, seed=seed), Extent(), Where(home, dsn, broker))
    gateway = _edge(5_000.0, 20.0, seed, Where(home, None, broker))
    _show({"decode": decoded, "ingest": found, "edge": gateway}, as_json=as_json)
    _judge(found)
    _judge(gateway)


@dataclass(frozen=True)
class Where:
    """What the command line says of places."""

    home: Path | None
    dsn: str | None
    broker: str | None


@dataclass(frozen=True)
class Extent:
    """How much of the measurement of ingest; see `IngestBench`."""

    single_messages: int = 500_000
    steady_s: int = 10
    minutes: float = 0.0
    share: float = 0.5
    more_points: bool = False
    poison: float = 0.0
    peer_rows: int = 0


def _ingest(load: "Load", extent: Extent, where: Where) -> dict[str, object]:
    from vigia.bench.ingest import IngestBench, measure

    settings = load_settings(home=where.home, dsn=where.dsn, broker=where.broker)
    certificates = (settings.broker_ca, settings.broker_cert, settings.broker_key)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is stopped and removed, as after Ctrl-C
    return measure(IngestBench(load, settings.home, settings.dsn, settings.broker, certificates, **asdict(extent)))


def _edge(rate: float, seconds: float, seed: int, where: Where) -> dict[str, object]:
    from vigia.bench.gateway import GatewayBench, measure

    settings = load_settings(home=where.home, broker=where.broker)
    certificates = (settings.broker_ca, settings.broker_cert, settings.broker_key)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return measure(GatewayBench(settings.home, rate, seconds, seed=seed, broker=settings.broker, certificates=certificates))


def _judge(found: dict[str, object]) -> None:
    if "fault" in found:
        sys.stderr.write(f"vigia: not every reading is accounted for: {found['fault']}\n")
        raise typer.Exit(1)


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
