"""Readings are written whole or not at all, with their rollups, and read back as series."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from recount import check

from vigia.store import telemetry
from vigia.store.columns import FLOAT8, INT4, Column, Float8s, Int8s, Timestamps, copy_binary
from vigia.store.database import Caller, Database
from vigia.store.telemetry import BAD, GOOD, Readings, Writer

START = telemetry.to_us(datetime(2026, 1, 1, 23, 58, tzinfo=UTC))


def readings_of(rows: list[tuple[int, int, float, int]]) -> Readings:
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    return Readings(
        np.array(columns[0], np.int32), np.array(columns[1], np.int64), np.array(columns[2], float), np.array(columns[3], np.int16)
    )


async def store(database: Database, batches: list[Readings]) -> None:
    writer = Writer()
    for batch in batches:
        async with database.transaction() as tx:
            await writer.add(tx, batch)
        writer.committed()


async def test_a_rolled_back_batch_leaves_no_trace_and_can_be_written_again(service: Database, dsn: str) -> None:
    writer = Writer()
    batch = readings_of([(1, START, 1.0, 0), (1, START + 1000, np.nan, 2)])
    with pytest.raises(RuntimeError):
        async with service.transaction() as tx:
            await writer.add(tx, batch)
            raise RuntimeError
    writer.failed()
    await store(service, [batch])
    async with service.transaction() as tx:
        await writer.add(tx, batch)
    check(dsn)


async def test_readings_years_apart_fit_in_one_batch(service: Database, dsn: str) -> None:
    year_us = 366 * telemetry.DAY_US
    await store(service, [readings_of([(1, START - year_us * k, float(k), 0) for k in range(5)])])
    check(dsn)


def test_the_resolution_gives_each_pixel_a_value() -> None:
    assert telemetry.resolution_for(timedelta(minutes=10), 800) == "raw"
    assert telemetry.resolution_for(timedelta(days=2), 800) == "1m"
    assert telemetry.resolution_for(timedelta(days=60), 800) == "1h"
    assert telemetry.resolution_for(timedelta(days=60), 0) == "1h"


async def test_array_parameters_arrive_as_they_are(service: Database) -> None:
    floats = np.array([1.5, np.nan, -np.inf, 0.0])
    at = np.array([START, -1], np.int64)
    async with service.transaction() as tx:
        row = await (
            await tx.execute("select %s, %s, %s, %s", (Float8s(floats), Int8s(at), Timestamps(at), Float8s(floats[:0])))
        ).fetchone()
    assert row is not None
    assert row[0] == [1.5, None, -np.inf, 0.0]
    assert row[1] == [START, -1]
    assert row[2] == [telemetry.from_us(START), telemetry.from_us(-1)]
    assert row[3] == []


def test_a_null_takes_no_bytes_in_a_copy() -> None:
    data = copy_binary([Column(INT4, np.array([1, 2])), Column(FLOAT8, np.array([np.nan, 2.0]))])
    assert len(data) == 19 + (2 + 8 + 4) + (2 + 8 + 12) + 2


async def series(dsn: str, point_ids: list[int], resolution: telemetry.Resolution = "raw", limit: int = 100) -> list[telemetry.Series]:
    """Of half an hour from START."""
    async with Database(dsn, "vigia_app") as app, app.transaction(Caller(staff=True)) as tx:
        span = telemetry.from_us(START), telemetry.from_us(START + 30 * 60_000_000)
        return await telemetry.series(tx, point_ids, *span, resolution, limit=limit)


async def test_a_series_has_its_columns_by_time_and_a_gap_where_a_value_is_missing(either_dsn: str) -> None:
    rows = [(1, START + k * 1_000_000, np.nan if k == 2 else float(k), BAD if k == 3 else GOOD) for k in (3, 0, 2, 1)]
    async with Database(either_dsn, "vigia_service") as service:
        await store(service, [readings_of(rows[:2]), readings_of(rows[2:])])
    (found,) = await series(either_dsn, [1])
    assert found.ts == [telemetry.from_us(START + k * 1_000_000) for k in range(4)]
    assert found.mean == found.low == found.high == found.last == [0.0, 1.0, None, 3.0]
    assert found.count == [1, 1, 0, 0]
    (minute,) = await series(either_dsn, [1], "1m")
    assert (minute.mean, minute.low, minute.high, minute.last, minute.count) == ([0.5], [0.0], [1.0], [3.0], [2])


async def test_series_come_by_point_and_end_at_the_limit(either_dsn: str) -> None:
    rows = [(point, START + k * 1_000_000, float(point), GOOD) for k in range(5) for point in (3, 1, 2)]
    async with Database(either_dsn, "vigia_service") as service:
        await store(service, [readings_of(rows)])
    assert [(each.point_id, len(each)) for each in await series(either_dsn, [3, 9, 1, 3])] == [(1, 5), (3, 5)]
    assert [(each.point_id, len(each)) for each in await series(either_dsn, [1, 2, 3], limit=7)] == [(1, 5), (2, 2)]
    assert await series(either_dsn, [9]) == await series(either_dsn, []) == []
