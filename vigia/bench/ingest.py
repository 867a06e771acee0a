"""From edge nodes over a broker through ingest into the database, beside a bare COPY of the same rows: all of it on this machine."""

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vigia.bench import BenchError, peers, poisoned
from vigia.bench.edges import Sent
from vigia.bench.load import Load, following
from vigia.bench.machine import machine, versions
from vigia.bench.stage import Exactness, Servers, Stage, staged
from vigia.errors import ConfigError
from vigia.ingest.config import BrokerConfig
from vigia.store.embedded import postgres
from vigia.supervisor.broker import running_broker

STEADY_ROWS_PER_S = 2_000
SINGLE_PER_S = 100_000  # the clock in the data while messages hold one metric
WARM_UP = 10  # a share of the load is sent before, and does not count
MORE_POINTS = 10
POISONED_PART = 4  # a part of the load is sent again and again, clean and poisoned
FLAT_PERCENT_A_MINUTE = 0.5
MILLION = 1_000_000

Certificates = tuple[Path | None, Path | None, Path | None]
"""Files for mqtts: of the authority, our certificate, its key."""


@dataclass(frozen=True)
class IngestBench:
    """What to measure. `home` is where the temporary folder is made; `dsn` and `broker` name servers instead of the embedded ones.

    After `load` come `single_messages` of one metric and `steady_s` seconds at 2,000 rows a second; then, where asked for: `minutes` at
    the `share` of the rate just measured, the load again with ten times the points, a part of it again and again with that share of
    `poison` and without, and what people do by hand with `peer_rows` rows and with as many messages of one metric as before.
    """

    load: Load
    home: Path
    dsn: str | None = None
    broker: str | None = None
    certificates: Certificates = (None, None, None)
    single_messages: int = 500_000
    steady_s: int = 10
    minutes: float = 0.0
    share: float = 0.5
    more_points: bool = False
    poison: float = 0.0
    peer_rows: int = 0


def measure(bench: IngestBench) -> dict[str, object]:
    """Rates and lags of the ingest process, nothing of which stays: neither files nor, on a given server, the database.

    `rows_per_s` is from the first message to the last acknowledgement, at full load; `lag_*` from a reading to its acknowledgement at
    2,000 rows a second, `commit_lag_*` to the end of its commit, `full_load_lag_*` at full load, where it is mostly queueing.
    `raw_copy_rows_per_s` copies the same rows, days later, into the same table over one connection, 50,000 a commit. CPU is user and
    system time by a million rows: of the ingest process, of the server's processes for this database (of all of them when the server is
    the embedded one), of the embedded broker, and of the thread that plays the edge nodes.

    `poison_ratio` is the rate with poison of that without, the middle of pairs of runs; `poison_cpu_ratio` what CPU says of the same.

    `exact` says whether the ledger has no hole and every reading is stored once; `fault` says what is wrong otherwise.

    Raises BenchError, and what the servers raise when they do not answer.
    """
    before = machine()
    if bench.broker is not None:
        BrokerConfig.from_url(bench.broker, *bench.certificates)  # says what is wrong before anything starts
    with temporary_home(bench.home) as home, contextlib.ExitStack() as exits:
        broker, name, pid = bench.broker, "the broker given", None
        if broker is None:
            running = exits.enter_context(running_broker(home / "broker"))
            broker, name = running.url, running.plan.name
            pid = running.process.pid if running.process is not None else None
        dsn = bench.dsn if bench.dsn is not None else exits.enter_context(postgres(home))
        config = BrokerConfig.from_url(broker, *bench.certificates)
        servers = Servers(home, dsn, broker, config, embedded_database=bench.dsn is None, broker_pid=pid)
        figures = asyncio.run(_measure(bench, servers))
    return {
        "benchmark": "ingest",
        **figures,
        "broker": name,
        "edges": bench.load.edges,
        "points_per_edge": bench.load.points,
        "metrics_per_message": bench.load.metrics,
        "seed": bench.load.seed,
        "machine": before,
        "versions": versions(),
    }


@contextlib.contextmanager
def temporary_home(home: Path) -> Iterator[Path]:
    """A folder on the disk that really is used."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        made = tempfile.TemporaryDirectory(prefix="bench-", dir=home)
    except OSError as error:
        raise ConfigError(f"cannot write in {home} ({error.strerror}); choose another folder with --home") from None
    try:
        with made as folder:
            yield Path(folder).absolute()
    finally:
        with contextlib.suppress(OSError):
            home.rmdir()  # only when nothing else is there


async def _measure(bench: IngestBench, servers: Servers) -> dict[str, object]:
    async with staged(servers, bench.load) as stage:
        async with stage.ingest():
            full, costs = await _full_load(stage, bench.load)
            single = await _single_metric(stage, bench)
            steady = await _steady(stage, bench.steady_s)
            endurance = await _endurance(stage, bench, full) if bench.minutes else {}
        exactness = await stage.exactness()
        bytes_per_row = await stage.bytes_per_row()
        raw = await stage.raw_copy(full.load)
    rate = full.load.rows / full.seconds
    found: dict[str, object] = {
        "database": stage.profile,
        "server": f"PostgreSQL {stage.server}",
        "rows_per_s": round(rate),
        "raw_copy_rows_per_s": round(raw),
        "ratio": round(rate / raw, 3),
        "rss_mb": costs.pop("rss_mb"),
        "bytes_per_row": round(bytes_per_row, 1),
        **costs,
        "lag_at_rows_per_s": STEADY_ROWS_PER_S,
        **_lags("lag", steady.lags_s),
        **_lags("commit_lag", steady.commit_lags_s),
        **_lags("full_load_lag", full.lags_s),
        **single,
        **exactness.figures(),
        "messages_resent": sum(sent.resent for sent in stage.sent),
        **endurance,
    }
    if bench.more_points:
        found |= await _more_points(bench, servers, rate)
    if bench.poison:
        found |= await _poisoned(bench, servers)
    if bench.peer_rows:
        found |= await _beside_peers(bench, servers, found)
    return found


async def _full_load(stage: Stage, load: Load) -> tuple[Sent, dict[str, float | None]]:
    """As fast as it goes, warmed up; and what it cost."""
    warm = replace(load, rows=max(load.rows // WARM_UP, load.metrics), start_ms=stage.before(load))
    await stage.send(warm)
    sent, costs = await stage.send_watched(following(warm, load.rows, load.metrics, load.period_ms))
    millions = load.rows / MILLION
    return sent, {
        "cpu_s_per_million": costs.per("ingest", millions),
        "server_cpu_s_per_million": costs.per("server", millions),
        "broker_cpu_s_per_million": costs.per("broker", millions),
        "generator_cpu_s_per_million": round(sent.cpu_s / millions, 3),
        "rss_mb": costs.rss_mb,
    }


async def _single_metric(stage: Stage, bench: IngestBench) -> dict[str, float | None]:
    """One metric a message, as fast as it goes."""
    if not bench.single_messages:
        return {}
    before = stage.sent[-1].load
    period = _period_ms(before, SINGLE_PER_S)
    warm = following(before, max(bench.single_messages // WARM_UP, 1), 1, period)
    await stage.send(warm)
    sent, costs = await stage.send_watched(following(warm, bench.single_messages, 1, period))
    millions = bench.single_messages / MILLION
    return {
        "single_metric_messages_per_s": round(bench.single_messages / sent.seconds),
        "single_metric_cpu_us_per_message": costs.per("ingest", millions),
        "single_metric_server_cpu_us_per_message": costs.per("server", millions),
        "single_metric_broker_cpu_us_per_message": costs.per("broker", millions),
        "single_metric_generator_cpu_us_per_message": round(sent.cpu_s / millions, 3),
    }


async def _steady(stage: Stage, seconds: int) -> Sent:
    """A message for each reading of all points of a machine, 2,000 rows a second."""
    before = stage.sent[-1].load
    load = following(before, STEADY_ROWS_PER_S * seconds, before.points, _period_ms(before, STEADY_ROWS_PER_S))
    return await stage.send(load, load.rows_per_s / load.metrics)


async def _endurance(stage: Stage, bench: IngestBench, full: Sent) -> dict[str, object]:
    """Minutes at a share of the full rate: whether the process's memory stays what it is."""
    rate = bench.share * full.load.rows / full.seconds
    load = following(stage.sent[-1].load, 1, bench.load.metrics, _period_ms(full.load, rate))
    load = replace(load, rows=int(load.rows_per_s * bench.minutes * 60))
    sent, costs = await stage.send_watched(load, load.rows_per_s / load.metrics)
    at_s, mib = (np.array(column) for column in zip(*costs.rss, strict=True))
    settled = at_s > at_s[-1] / 4  # caches and pools fill up first
    slope = float(np.polyfit(at_s[settled] / 60, mib[settled], 1)[0])
    start = float(np.median(mib[settled][: max(1, int(settled.sum()) // 10)]))
    return {
        "endurance_minutes": bench.minutes,
        "endurance_rows_per_s": round(load.rows / sent.seconds),
        **_lags("endurance_lag", sent.lags_s),
        "rss_start_mb": round(start, 1),
        "rss_end_mb": round(float(np.median(mib[-max(1, len(mib) // 10) :])), 1),
        "rss_slope_mb_per_min": round(slope, 3),
        "rss_flat": slope <= start * FLAT_PERCENT_A_MINUTE / 100,
    }


async def _more_points(bench: IngestBench, servers: Servers, rate: float) -> dict[str, object]:
    """The same load from ten times the edge nodes, in a database of their own."""
    load = replace(bench.load, edges=bench.load.edges * MORE_POINTS, period_ms=bench.load.period_ms * MORE_POINTS)
    async with staged(servers, load) as stage:
        async with stage.ingest():
            sent, costs = await _full_load(stage, load)
        exactness: Exactness = await stage.exactness()
    if exactness.fault is not None:
        raise BenchError(f"with {load.edges * load.points} points: {exactness.fault}")
    grown = load.rows / sent.seconds
    return {
        "growth_points": load.edges * load.points,
        "growth_rows_per_s": round(grown),
        "growth_rate_ratio": round(grown / rate, 3),
        "growth_cpu_s_per_million": costs["cpu_s_per_million"],
        "growth_rss_mb": costs["rss_mb"],
    }


async def _poisoned(bench: IngestBench, servers: Servers) -> dict[str, object]:
    """What the poison costs: with the messages of the load, and with messages of one metric."""
    found: dict[str, object] = {"poison_share": bench.poison}
    load = replace(bench.load, rows=max(bench.load.rows // POISONED_PART, bench.load.metrics))
    found |= (await poisoned.measure(servers, load, bench.poison)).figures("poison")
    if bench.single_messages:
        single = replace(load, rows=bench.single_messages, metrics=1, period_ms=_period_ms(load, SINGLE_PER_S))
        found |= (await poisoned.measure(servers, single, bench.poison)).figures("single_metric_poison")
    return found


async def _beside_peers(bench: IngestBench, servers: Servers, found: dict[str, object]) -> dict[str, object]:
    """What people do by hand, and how many times as fast this is."""
    load = replace(bench.load, rows=bench.peer_rows, metrics=peers.METRICS)
    ways = await peers.measure(servers, load, min(bench.peer_rows, bench.single_messages or bench.peer_rows))
    several = max((way.rows_per_s for way in ways if way.metrics > 1), default=0.0)
    single = max((way.rows_per_s for way in ways if way.metrics == 1), default=0.0)
    answer: dict[str, object] = {"peers": {way.name: way.figures() for way in ways}}
    if several:
        answer["times_best_peer"] = round(float(str(found["rows_per_s"])) / several, 2)
    if single and "single_metric_messages_per_s" in found:
        answer["single_metric_times_best_peer"] = round(float(str(found["single_metric_messages_per_s"])) / single, 2)
    return answer


def _period_ms(load: Load, rows_per_s: float) -> int:
    """How often each point must be read to come to this rate."""
    return max(1, round(load.edges * load.points * 1_000 / rows_per_s))


def _lags(name: str, lags_s: np.ndarray[tuple[int], np.dtype[np.float64]]) -> dict[str, float]:
    p50, p95 = np.percentile(lags_s * 1_000, (50, 95))
    return {f"{name}_p50_ms": round(float(p50), 1), f"{name}_p95_ms": round(float(p95), 1)}
