"""Charts and latest values out of a week of readings, through the functions the pages use, in a database that upkeep has been over.

The week: 10,000 points in machines of ten. One in a hundred is watched, read all the time; the others are read once a second for part of
a minute each hour. So the whole has the asked number of readings while the queries, which are for watched points, meet full days. It is
written as ingest writes it, a minute a commit and minute after minute: readings and rollups of one point lie as far apart as they do in
service. Then closed days are packed; the last two days are open.
"""

import asyncio
import contextlib
import gc
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vigia.bench import fleet
from vigia.bench.load import DEVIATION, MEAN, START_MS, Load
from vigia.bench.machine import machine, versions
from vigia.ingest.blocks import concatenate
from vigia.store import fleet as stored_fleet
from vigia.store import migrate, telemetry, upkeep
from vigia.store.database import Caller, Database, Transaction
from vigia.store.embedded import postgres
from vigia.store.telemetry import GOOD, Readings, Writer, from_us
from vigia.store.temporary import commit_without_waiting, settle, temporary_database
from vigia.workflows import keep_telemetry

ROWS, ROWS_UNCOMPRESSED = 100_000_000, 20_000_000
POINTS = 10_000
POINTS_PER_MACHINE = 10
DAYS = 7
SECOND_US, MINUTE_US, HOUR_US = 1_000_000, 60_000_000, 3_600_000_000
START_US = START_MS * 1_000
END_US = START_US + DAYS * 24 * HOUR_US
PIXELS = 1_000
DENSE = 5_000  # readings a point in the week, from which on watched points are read often
FEW = 5_000_000  # readings in the week, up to which a commit spans an hour
SEED = 1
STAFF = Caller(staff=True)

Asked = Callable[[Transaction], Awaitable[int]]
"""Runs one query; how many rows it returned."""


@dataclass(frozen=True)
class QueryBench:
    """`home` is where the temporary folder is made; `dsn` names a server instead of the embedded one. `rows`: None is the usual number."""

    home: Path
    dsn: str | None = None
    rows: int | None = None
    repetitions: int = 40


@dataclass(frozen=True)
class Week:
    """What is filled in: about `rows` readings; `points` points, the first `watched` of which are read every `every_s` seconds."""

    rows: int

    @property
    def points(self) -> int:
        """A multiple of POINTS_PER_MACHINE."""
        return max(100, min(POINTS, self.rows // 2_000)) // POINTS_PER_MACHINE * POINTS_PER_MACHINE

    @property
    def watched(self) -> int:
        """How many points are read all the time."""
        return max(20, self.points // 100)

    @property
    def every_s(self) -> int:
        """Seconds between two readings of a watched point."""
        return 12 if self.rows // self.points >= DENSE else 60

    @property
    def burst_s(self) -> int:
        """For how many seconds an hour the other points are read."""
        an_hour = self.rows / (DAYS * 24) - self.watched * 3_600 / self.every_s
        return min(60, max(1, round(an_hour / (self.points - self.watched))))

    @property
    def commit_us(self) -> int:
        """What one commit spans. Of a week of few readings, as in tests, an hour: then nobody looks at the times."""
        return MINUTE_US if self.rows >= FEW else HOUR_US


def measure(bench: QueryBench) -> dict[str, object]:
    """p50 and p95 of each query in milliseconds, and how many rows it returned: for staff, and for the customer whose points they are.

    Nothing of it stays: neither files nor, on a given server, the database. Raises what the servers raise when they do not answer.
    """
    before = machine()
    with contextlib.ExitStack() as servers:
        dsn = bench.dsn
        if dsn is None:
            bench.home.mkdir(parents=True, exist_ok=True)
            folder = servers.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=bench.home))
            dsn = servers.enter_context(postgres(Path(folder).absolute()))
        figures = asyncio.run(_measure(bench, dsn))
    return {"benchmark": "query", **figures, "seed": SEED, "machine": before, "versions": versions()}


async def _measure(bench: QueryBench, server_dsn: str) -> dict[str, object]:
    async with temporary_database(server_dsn) as dsn:
        profile = (await migrate.migrate(dsn)).profile
        await commit_without_waiting(dsn)
        week = Week(bench.rows or (ROWS_UNCOMPRESSED if profile == "plain" else ROWS))
        async with Database(dsn, "vigia_service", max_size=1) as service:
            async with service.transaction(STAFF) as tx:
                load = Load(rows=1, edges=week.points // POINTS_PER_MACHINE, points=POINTS_PER_MACHINE)
                ids = (await fleet.seed(tx, load)).reshape(-1)
                customer = (await stored_fleet.customers(tx))[0].customer_id
            begun = time.perf_counter()
            rows = await _fill(service, week, ids)
            filled_s = time.perf_counter() - begun
            begun = time.perf_counter()
            await keep_telemetry.run(service, upkeep.Retention())
            upkeep_s = time.perf_counter() - begun
            await settle(dsn)
            async with service.transaction() as tx:
                health = await upkeep.health(tx)
        async with Database(dsn, "vigia_app", max_size=1) as app:
            asked = _questions(ids)
            gc.freeze()  # as the server of the pages does
            callers = {"staff": STAFF, "customer": Caller(customer_id=customer)}
            times = {
                who: {name: await _timed(app, caller, ask, bench.repetitions) for name, ask in asked.items()}
                for who, caller in callers.items()
            }
        gc.unfreeze()
        server = (await migrate.status(dsn)).server
    return {
        "database": profile,
        "server": f"PostgreSQL {server}",
        "rows": rows,
        "rows_usual": ROWS,
        "points": week.points,
        "days": DAYS,
        "bytes_per_row": round(health.bytes / rows, 2),
        "days_packed": health.in_state("packed"),
        "days_open": len(health.pieces) - health.in_state("packed"),
        "fill_s": round(filled_s, 1),
        "upkeep_s": round(upkeep_s, 1),
        "repetitions": bench.repetitions,
        **times,
    }


async def _fill(database: Database, week: Week, ids: NDArray[np.int32]) -> int:
    """Write the week; how many readings it has."""
    writer, rows = Writer(), 0
    for start in range(START_US, END_US, week.commit_us):
        block = concatenate([_minute(week, ids, at) for at in range(start, start + week.commit_us, MINUTE_US)])
        async with database.transaction() as tx:
            await writer.add(tx, block)
        writer.committed()
        rows += len(block)
    return rows


def _minute(week: Week, ids: NDArray[np.int32], start: int) -> Readings:
    """The readings from `start` (microseconds since 1970 UTC)."""
    minute = start // MINUTE_US
    watched, others = np.arange(week.watched), np.arange(week.watched, week.points)
    others = others[others % 60 == minute % 60]  # a point is read in the same minute of each hour
    steady = start + np.arange(0, MINUTE_US, week.every_s * SECOND_US)
    burst = start + np.arange(week.burst_s) * SECOND_US
    point = np.concatenate((np.repeat(watched, len(steady)), np.repeat(others, len(burst))))
    ts = np.concatenate((np.tile(steady, len(watched)), np.tile(burst, len(others))))
    value = np.round(np.random.default_rng((SEED, minute)).normal(MEAN, DEVIATION, len(point)), 3)
    return Readings(ids[point], ts, value, np.full(len(point), GOOD, np.int16))


def _questions(ids: NDArray[np.int32]) -> dict[str, Asked]:
    """By name, each as a page asks it, of watched points: they are the first."""
    end = from_us(END_US)
    points: list[int] = ids.tolist()

    def chart(chosen: Sequence[int], first: datetime, until: datetime) -> Asked:
        resolution = telemetry.resolution_for(until - first, PIXELS)

        async def ask(tx: Transaction) -> int:
            return sum(len(series) for series in await telemetry.series(tx, chosen, first, until, resolution))

        return ask

    async def newest(tx: Transaction) -> int:
        return len(await telemetry.latest_visible(tx, points))

    hour, day = timedelta(hours=1), timedelta(days=1)
    return {
        "one_point_7d_1000px": chart(points[3:4], end - DAYS * day, end),
        "twenty_points_24h": chart(points[:20], end - day, end),
        f"last_value_{len(points)}_points": newest,
        "raw_one_point_1h": chart(points[7:8], end - 5 * day, end - 5 * day + hour),
        "raw_one_point_1h_open_day": chart(points[7:8], end - hour, end),
    }


async def _timed(database: Database, caller: Caller, ask: Asked, repetitions: int) -> dict[str, float]:
    """The first run warms up what every later one finds warm, and does not count."""
    times, rows = [], 0
    for _ in range(repetitions + 1):
        async with database.transaction(caller) as tx:
            begun = time.perf_counter()
            rows = await ask(tx)
            times.append((time.perf_counter() - begun) * 1_000)
    p50, p95 = np.percentile(times[1:], (50, 95))
    return {"p50_ms": round(float(p50), 2), "p95_ms": round(float(p95), 2), "rows_returned": rows}
