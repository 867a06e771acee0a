"""From edge nodes over a broker through ingest into the database, beside a bare COPY of the same rows: all of it on this machine."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from vigia.bench import BenchError, fleet
from vigia.bench.edges import Edges, Sent
from vigia.bench.load import Batch, Load, batches, following, readings
from vigia.bench.machine import machine, versions
from vigia.errors import ConfigError
from vigia.ingest.config import BrokerConfig
from vigia.store import migrate, pilot, telemetry
from vigia.store.database import Caller, Database
from vigia.store.embedded import postgres
from vigia.store.temporary import temporary_database
from vigia.supervisor.broker import running_broker
from vigia.supervisor.processes import Child, Supervisor, vigia_command

STEADY_ROWS_PER_S = 2_000
STEADY_S = 5
COPY_ROWS = 50_000  # a commit
DAY_US = 86_400_000_000
MIB = 1 << 20
STAFF = Caller(staff=True)

Certificates = tuple[Path | None, Path | None, Path | None]
"""Files for mqtts: of the authority, our certificate, its key."""


@dataclass(frozen=True)
class IngestBench:
    """What to measure. `home` is where the temporary folder is made; `dsn` and `broker` name servers instead of the embedded ones."""

    load: Load
    home: Path
    dsn: str | None = None
    broker: str | None = None
    certificates: Certificates = (None, None, None)
    steady_s: int = STEADY_S

    @property
    def steady(self) -> Load:
        """What is sent at a steady pace afterwards: a message for each reading of all points of a machine."""
        return following(self.load, STEADY_ROWS_PER_S * self.steady_s, self.load.points)


def measure(bench: IngestBench) -> dict[str, object]:
    """Rates and lags of the ingest process, nothing of which stays: neither files nor, on a given server, the database.

    `rows_per_s` is from the first message to the last acknowledgement, at full load; `lag_*` from a reading to its acknowledgement at
    2,000 rows a second, `full_load_lag_*` at full load, where it is mostly queueing. `raw_copy_rows_per_s` copies the same rows, a day
    later, into the same table over one connection, 50,000 a commit. CPU is user and system time of the ingest process.

    Raises BenchError, and what the servers raise when they do not answer.
    """
    before = machine()
    if bench.broker is not None:
        BrokerConfig.from_url(bench.broker, *bench.certificates)  # says what is wrong before anything starts
    with _temporary_home(bench.home) as home, contextlib.ExitStack() as servers:
        broker, name = bench.broker, "the broker given"
        if broker is None:
            running = servers.enter_context(running_broker(home / "broker"))
            broker, name = running.url, running.plan.name
        dsn = bench.dsn if bench.dsn is not None else servers.enter_context(postgres(home))
        figures = asyncio.run(_measure(bench, home, dsn, broker))
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
def _temporary_home(home: Path) -> Iterator[Path]:
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


async def _measure(bench: IngestBench, home: Path, server_dsn: str, broker: str) -> dict[str, object]:
    load = bench.load
    async with temporary_database(server_dsn) as dsn:
        profile = (await migrate.migrate(dsn)).profile
        async with Database(dsn, "vigia_service", max_size=1) as database:
            async with database.transaction(STAFF) as tx:
                points = await fleet.seed(tx, load)
            with Edges(BrokerConfig.from_url(broker, *bench.certificates), load.edges, load.points) as edges:
                edges.expect_no_host()
                async with _ingest(home, dsn, broker, edges) as process:
                    full, steady, cost = await _send(bench, edges, process)
            async with database.transaction(STAFF) as tx:
                counts = await pilot.counts(tx)
            raw = await _raw_copy(database, load, points)
        server = (await migrate.status(dsn)).server
    rate = load.rows / full.seconds
    return {
        "database": profile,
        "server": f"PostgreSQL {server}",
        "rows_per_s": round(rate),
        "raw_copy_rows_per_s": round(raw),
        "ratio": round(rate / raw, 3),
        "messages_per_s": round(len(full.lags_s) / full.seconds),
        "rows_sent": load.rows + bench.steady.rows,
        "rows_stored": counts.rows_stored,
        "rows_duplicated": counts.rows_duplicated,
        "holes": counts.holes,
        "dead_letters": counts.dead_letters,
        "messages_resent": full.resent + steady.resent,
        "lag_at_rows_per_s": STEADY_ROWS_PER_S,
        **_lags("lag", steady),
        **_lags("full_load_lag", full),
        **cost,
    }


@contextlib.asynccontextmanager
async def _ingest(home: Path, dsn: str, broker: str, edges: Edges) -> AsyncIterator[psutil.Process]:
    supervisor = Supervisor(home)
    child = Child("ingest", vigia_command("ingest", "run", "--home", str(home), "--dsn", dsn, "--broker", broker))
    try:
        await supervisor.start(child, lambda: edges.host_online)
        assert child.process is not None  # noqa: S101 - started
        yield psutil.Process(child.process.pid)
    except BenchError as error:
        words = (supervisor.log_folder / "ingest.log").read_text("utf-8", "replace").strip().splitlines()[-1:]
        raise BenchError(f"{error}; the last words of ingest: {''.join(words) or 'none'}") from None
    finally:
        await supervisor.stop()


async def _send(bench: IngestBench, edges: Edges, process: psutil.Process) -> tuple[Sent, Sent, dict[str, float]]:
    """Both loads; what the first cost."""
    made: list[Batch] = list(batches(bench.load))  # encoding is the gateways' work, which are elsewhere
    steady: list[Batch] = list(batches(bench.steady))
    await asyncio.to_thread(edges.birth)
    before = process.cpu_times()
    sending = asyncio.create_task(asyncio.to_thread(edges.send, made))
    rss = 0
    while not sending.done():
        rss = max(rss, _rss(process))
        await asyncio.wait((sending,), timeout=0.1)
    full = await sending
    after = process.cpu_times()
    cpu_s = after.user + after.system - before.user - before.system
    cost = {"rss_mb": round(rss / MIB, 1), "cpu_s_per_million": round(cpu_s / bench.load.rows * 1_000_000, 2)}
    pace = STEADY_ROWS_PER_S / bench.load.points
    return full, await asyncio.to_thread(edges.send, steady, pace), cost


def _rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0  # it ended; whoever waits for its acknowledgements says so


def _lags(name: str, sent: Sent) -> dict[str, float]:
    p50, p95 = np.percentile(np.array(sent.lags_s) * 1000, (50, 95))
    return {f"{name}_p50_ms": round(float(p50), 1), f"{name}_p95_ms": round(float(p95), 1)}


async def _raw_copy(database: Database, load: Load, points: NDArray[np.int32]) -> float:
    """Rows a second of nothing but COPY, of readings that lie ready and sorted."""
    every = readings(load)
    ts = every.ts * 1000 + DAY_US * (1 + int(every.ts[-1] - every.ts[0]) * 1000 // DAY_US)
    whole = telemetry.Readings(points[every.edge, every.point], ts, every.value, np.zeros(load.rows, np.int16))
    chunks = [whole.take(np.arange(first, min(first + COPY_ROWS, load.rows))).sorted() for first in range(0, load.rows, COPY_ROWS)]
    async with database.transaction(STAFF) as tx:
        await telemetry.Writer().make_room(tx, ts)
    begun = time.perf_counter()
    for chunk in chunks:
        async with database.transaction(STAFF) as tx:
            await telemetry.copy(tx, chunk)
    return load.rows / (time.perf_counter() - begun)
