"""Whatever the order, the split and the writers, rollups and latest values equal a recount of the readings they were made of."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import numpy as np
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recount import check

from vigia.analytics.kernels import rollup
from vigia.store import rollups, telemetry
from vigia.store.database import Caller, Database, Transaction
from vigia.store.telemetry import GOOD, Readings, Writer

MINUTE = 60_000_000
START = telemetry.to_us(datetime(2026, 1, 1, 23, 57, tzinfo=UTC))

reading = st.tuples(
    st.integers(1, 3),
    st.integers(0, 4 * 60_000).map(lambda ms: START + ms * 1000),
    st.one_of(st.just(np.nan), st.integers(-1000, 1000).map(float)),
    st.sampled_from([GOOD, GOOD, telemetry.STALE, telemetry.BAD]),
)


def readings_of(rows: list[tuple[int, int, float, int]]) -> Readings:
    point_id, ts, value, quality = zip(*rows, strict=True)
    return Readings(np.array(point_id, np.int32), np.array(ts, np.int64), np.array(value, float), np.array(quality, np.int16)).sorted()


async def store(database: Database, batches: list[Readings]) -> None:
    for batch in batches:
        async with database.transaction() as tx:
            await Writer().make_room(tx, batch.ts)
            await telemetry.copy(tx, batch)
            await merge(tx, batch)


async def merge(tx: Transaction, batch: Readings) -> None:
    newest = np.append(batch.point_id[1:] != batch.point_id[:-1], [True])
    partials = rollup.by_minute(rollup.Readings(batch.point_id, batch.ts, batch.value, batch.good))
    await rollups.merge(tx, partials, batch.quality[newest])


@pytest.fixture
async def service(either_dsn: str) -> AsyncIterator[Database]:
    async with Database(either_dsn, "vigia_service") as database:
        yield database


@settings(max_examples=60, deadline=None)
@given(batches=st.lists(st.lists(reading, min_size=1, max_size=30), min_size=1, max_size=8))
def test_late_and_repeated_moments_give_the_rollups_of_a_recount(
    dsn_of_module: str, batches: list[list[tuple[int, int, float, int]]]
) -> None:
    with psycopg.connect(dsn_of_module, options="-c search_path=vigia") as connection:
        connection.execute("truncate telemetry, telemetry_1m, telemetry_1h, point_latest")

    async def run() -> None:
        async with Database(dsn_of_module, "vigia_service") as database:
            await store(database, [readings_of(rows) for rows in batches])

    asyncio.run(run())
    check(dsn_of_module)


@pytest.fixture(scope="module")
def dsn_of_module(server_dsn: str, template: str) -> str:
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute("drop database if exists test_open_minutes")
        connection.execute(f"create database test_open_minutes template {template}")
    return psycopg.conninfo.make_conninfo(server_dsn, dbname="test_open_minutes")


async def test_several_writers_at_once_give_the_rollups_of_a_recount(service: Database, either_dsn: str) -> None:
    rng = np.random.default_rng(7)

    def batch(step: int) -> Readings:
        """A few minutes of shared points, the later ones later, with values missing and qualities mixed."""
        n = 300
        value = rng.integers(-50, 50, n).astype(float)
        value[rng.random(n) < 0.1] = np.nan
        ts = START + step * MINUTE // 2 + rng.integers(0, 3 * 120, n) * 500_000
        return Readings(rng.integers(1, 40, n).astype(np.int32), ts, value, rng.choice([GOOD, GOOD, 64], n).astype(np.int16)).sorted()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(store(service, [batch(step) for step in range(12)]))
    check(either_dsn)


async def test_a_commit_of_the_open_minute_touches_no_table_of_rollups(service: Database, either_dsn: str) -> None:
    await store(service, [readings_of([(1, START + second * 1_000_000, 1.0, GOOD)]) for second in range(59)])
    async with service.transaction() as tx:
        rows = await (await tx.execute("select (select count(*) from telemetry_1m), (select count(*) from telemetry_1h)")).fetchone()
        seen = await (await tx.execute("select count, good_seconds from rollup_1h")).fetchall()
    assert rows == (0, 0)
    assert seen == [(59, 59)]
    check(either_dsn)


async def test_the_latest_quality_is_that_of_the_newest_reading(service: Database) -> None:
    batches = [
        [(1, START + 9, 1.0, GOOD)],
        [(1, START + 8, 1.0, 0)],
        [(1, START + MINUTE, 1.0, 64)],
        [(1, START + MINUTE, 2.0, 500)],
        [(1, START, 9.0, 0)],
    ]
    seen = []
    for batch in batches:
        await store(service, [readings_of(batch)])
        async with service.transaction() as tx:
            seen.append((await telemetry.latest(tx, [1]))[1].quality)
    assert seen == [GOOD, GOOD, 64, 500, 500]


async def test_a_point_whose_latest_reading_has_no_open_minute_takes_more_of_that_minute(service: Database, either_dsn: str) -> None:
    """As after a restore or a correction by hand: the minute is in the rollups, not open."""
    first = readings_of([(1, START + 1, 1.0, GOOD), (2, START + 5 * MINUTE, 1.0, GOOD)])
    async with service.transaction() as tx:
        await Writer().make_room(tx, first.ts)
        await telemetry.copy(tx, first)
        await tx.execute("insert into point_latest (point_id, ts, value, quality) select point_id, ts, value, quality from telemetry")
        for table, length in ((b"telemetry_1m", b"1 minute"), (b"telemetry_1h", b"1 hour")):
            await tx.execute(
                b"insert into %b select point_id, date_bin('%b', ts, '2000-01-01Z'), 1, value, value, value, ts, value, 1 from telemetry"
                % (table, length)
            )
    check(either_dsn)
    await store(
        service, [readings_of([(1, START + 1_000_000 * k, 2.0 + k, GOOD), (2, START + 5 * MINUTE - k, 7.0, GOOD)]) for k in range(1, 4)]
    )
    check(either_dsn)
    await store(service, [readings_of([(1, START + MINUTE, 5.0, GOOD), (1, START + 2 * MINUTE, 5.0, GOOD)])])
    check(either_dsn)


async def test_a_rolled_back_batch_leaves_no_trace(service: Database, either_dsn: str) -> None:
    batch = readings_of([(1, START + k * MINUTE, float(k), GOOD) for k in range(3)])
    await store(service, [batch])
    with pytest.raises(RuntimeError):
        async with service.transaction() as tx:
            await merge(tx, readings_of([(1, START + k * MINUTE, float(k), GOOD) for k in range(5)]))
            raise RuntimeError
    check(either_dsn)


async def test_a_page_sees_the_open_minute(service: Database, either_dsn: str) -> None:
    await store(service, [readings_of([(1, START + k * MINUTE, float(k), GOOD) for k in range(4)])])
    at = telemetry.from_us(START)
    async with Database(either_dsn, "vigia_app") as app, app.transaction(Caller(staff=True)) as tx:
        (minutes,) = await telemetry.series(tx, [1], at, telemetry.from_us(START + 10 * MINUTE), "1m")
        (hours,) = await telemetry.series(tx, [1], at, telemetry.from_us(START + 10 * MINUTE), "1h")
    assert (minutes.mean, minutes.count) == ([0.0, 1.0, 2.0, 3.0], [1, 1, 1, 1])
    assert (hours.mean, hours.last, hours.count) == ([1.0, 3.0], [2.0, 3.0], [3, 1])
