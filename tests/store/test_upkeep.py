"""Closed days are packed and old ones dropped, and every reading that should be there is there, exactly as it was written."""

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from vigia.store import telemetry, upkeep
from vigia.store.database import Caller, Database, Transaction
from vigia.store.telemetry import GOOD, Readings, Writer, to_us
from vigia.store.upkeep import Retention, RetentionTooShortError
from vigia.workflows import keep_telemetry

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
POINTS = 50
STAFF = Caller(staff=True)
CONTENT = "select count(*), sum(hashtextextended(t::text, 0)::numeric) from telemetry t"


def day_of(day: int, rows: int = 10_000, seed: int = 1) -> Readings:
    """Readings of POINTS points evenly over the day, sorted; some without a value."""
    row = np.arange(rows)
    value = np.random.default_rng((day, seed)).normal(100, 5, rows)
    value[::97] = np.nan
    ts = to_us(START + day * DAY) + row // POINTS * (86_400_000_000 // -(-rows // POINTS))
    return Readings((row % POINTS + 1).astype(np.int32), ts, value, np.full(rows, GOOD, np.int16)).sorted()


async def store(tx: Transaction, readings: Readings) -> None:
    await Writer().make_room(tx, readings.ts)
    await upkeep.prepare_copy(tx, len(readings))
    await telemetry.copy(tx, readings)


async def content(database: Database) -> tuple[object, ...]:
    async with database.transaction() as tx:
        found = await (await tx.execute(CONTENT)).fetchone()
    assert found is not None
    return found


async def states(database: Database) -> list[str]:
    async with database.transaction() as tx:
        return [piece.state for piece in (await upkeep.health(tx)).pieces]


async def fill(database: Database, days: int) -> None:
    for day in range(days):
        async with database.transaction() as tx:
            await store(tx, day_of(day))


async def test_a_run_keeps_every_reading_as_it_was(either_dsn: str) -> None:
    async with Database(either_dsn, "vigia_service") as database:
        await fill(database, 5)
        before = await content(database)
        done = await keep_telemetry.run(database, Retention())
        again = await keep_telemetry.run(database, Retention())
        assert await content(database) == before
        assert before[0] == 5 * 10_000
        assert (done.dropped, done.busy) == ((), ())
        assert (again.packed, again.busy) == ((), ())


async def test_health_tells_days_rows_bytes_and_the_last_run(either_dsn: str) -> None:
    async with Database(either_dsn, "vigia_service") as database:
        await fill(database, 4)
        async with database.transaction() as tx:
            before = await upkeep.health(tx)
        await keep_telemetry.run(database, Retention())
        async with database.transaction() as tx:
            after = await upkeep.health(tx)
    assert [piece.from_ts for piece in before.pieces] == [START + day * DAY for day in range(4)]
    assert all(piece.until_ts - piece.from_ts == DAY for piece in before.pieces)
    assert before.rows == pytest.approx(40_000, rel=0.05)
    assert before.bytes_per_row is not None
    assert 1 < before.bytes_per_row < 200
    assert before.last is None
    assert after.last is not None
    assert after.last.detail["packed"] == list(before.due)
    assert after.due == ()


async def test_retention_drops_whole_days_and_old_rollups_only(either_dsn: str) -> None:
    async with Database(either_dsn, "vigia_service") as database:
        async with database.transaction(STAFF) as tx:
            await tx.execute("insert into asset_model (code, name) values ('m', 'M')")
            await tx.execute("insert into asset (asset_model_id, serial_number) select asset_model_id, 'A' from asset_model")
            await tx.execute("insert into point (asset_id, name) select asset_id, 'p' from asset")
        for day in (0, 1, 41, 42):
            async with database.transaction() as tx:
                await Writer().add(tx, day_of(day, 500))
        done = await keep_telemetry.run(database, Retention(raw_days=41, minute_days=40, hour_days=42))
        async with database.transaction() as tx:
            pieces = (await upkeep.health(tx)).pieces
            oldest = [
                await (await tx.execute(f"select min({column}) from {table} where point_id = 1")).fetchone()  # noqa: S608 - ours
                for table, column in (("telemetry", "ts"), ("telemetry_1m", "bucket"), ("telemetry_1h", "bucket"))
            ]
    # The data's clock is midnight after day 42.
    assert [piece.from_ts for piece in pieces] == [START + 41 * DAY, START + 42 * DAY]
    assert len(done.dropped) == 2
    assert oldest == [(START + 41 * DAY,), (START + 41 * DAY,), (START + DAY,)]
    assert (done.minutes_dropped, done.hours_dropped) == (20, 10)


async def test_nothing_is_dropped_unless_told(either_dsn: str) -> None:
    async with Database(either_dsn, "vigia_service") as database:
        for day in (0, 400):
            async with database.transaction() as tx:
                await store(tx, day_of(day, 500))
        await keep_telemetry.run(database, Retention())
        assert (await content(database))[0] == 1_000


@pytest.mark.parametrize("days", [{"raw_days": 39}, {"minute_days": 1}, {"hour_days": 0}])
def test_what_an_open_contract_period_needs_cannot_be_dropped(days: dict[str, int]) -> None:
    with pytest.raises(RetentionTooShortError, match="40 days"):
        Retention(**days)


async def test_a_worker_keeps_telemetry_by_itself_and_once_an_hour(dsn: str) -> None:
    async with Database(dsn, "vigia_service") as database:
        for day in (0, 60):
            async with database.transaction() as tx:
                await store(tx, day_of(day, 500))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "vigia", "worker", "run", "--dsn", dsn, env={**os.environ, "VIGIA_RETENTION_RAW_DAYS": "40"}
        )
        try:
            async with asyncio.timeout(60):
                while True:
                    async with database.transaction() as tx:
                        if (await upkeep.health(tx)).last is not None:
                            break
                    await asyncio.sleep(0.05)
        finally:
            process.terminate()
            await process.wait()
        assert (await content(database))[0] == 500
        assert await keep_telemetry.run_if_due(database, Retention(), timedelta(hours=1)) is None
        assert await keep_telemetry.run_if_due(database, Retention(), timedelta(0)) is not None


async def test_an_empty_database_has_nothing_to_do(either_dsn: str) -> None:
    async with Database(either_dsn, "vigia_service") as database:
        assert await keep_telemetry.run(database, Retention(40, 40, 40)) == upkeep.Done()


async def test_a_reader_in_the_way_postpones_a_drop_and_loses_nothing(either_dsn: str) -> None:
    async with Database(either_dsn, "vigia_service") as database:
        for day in (0, 60):
            async with database.transaction() as tx:
                await store(tx, day_of(day, 500))
        async with database.transaction() as reader:
            await reader.execute("select count(*) from telemetry")
            async with asyncio.timeout(20):
                done = await keep_telemetry.run(database, Retention(raw_days=40))
        assert done.dropped == ()
        assert len(done.busy) >= 1
        assert (await content(database))[0] == 1_000
        assert len((await keep_telemetry.run(database, Retention(raw_days=40))).dropped) == 1


async def test_a_large_copy_leaves_no_setting_behind(either_dsn: str) -> None:
    query = "select current_setting('timescaledb.enable_direct_compress_copy', true)"
    async with Database(either_dsn, "vigia_service", max_size=1) as database:
        await fill(database, 1)
        async with database.transaction() as tx:
            assert await (await tx.execute(query)).fetchone() in {(None,), ("off",), ("",)}


# ── the columnstore ──────────────────────────────────────────────────────────────────────────────────────────────────

INDEXES = """
select array_agg(a.attname::text order by a.attnum)
from pg_index i join pg_attribute a on a.attrelid = i.indexrelid join _timescaledb_catalog.compression_settings k on k.relid = i.indrelid
where k.compress_relid is not null
group by i.indexrelid
"""
SETTINGS = (
    "select segmentby, orderby from _timescaledb_catalog.compression_settings k"
    " join _timescaledb_catalog.chunk c on c.relid = k.relid order by c.id"
)


@pytest.mark.timescale
async def test_a_large_copy_goes_to_the_columnstore_without_a_warning_and_a_small_one_does_not(timescale_dsn: str) -> None:
    said: list[str] = []
    async with Database(timescale_dsn, "vigia_service", max_size=1) as database:
        async with database.transaction() as tx:
            tx.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
            await store(tx, day_of(0))
            await store(tx, day_of(1, 4_999))
        assert await states(database) == ["unordered", "rows"]
        async with database.transaction() as tx:
            await store(tx, day_of(0, 100, seed=2))
            batches = await (
                await tx.execute("select _ts_meta_count from telemetry_day._hyper_1_1_chunk_compressed order by _ts_meta_count desc")
            ).fetchall()
        assert await states(database) == ["partial", "rows"]
    assert [count for (count,) in batches] == [1_000] * 10
    assert said == []


@pytest.mark.timescale
async def test_overlapping_commits_are_read_in_order(timescale_dsn: str) -> None:
    async with Database(timescale_dsn, "vigia_service") as database:
        for seed in range(3):
            async with database.transaction() as tx:
                await store(tx, day_of(0, seed=seed))
        async with database.transaction() as tx:
            found = await (await tx.execute("select point_id, ts from telemetry order by point_id, ts")).fetchall()
    assert len(found) == 30_000
    assert found == sorted(found)


@pytest.mark.timescale
async def test_few_points_with_many_readings_leave_an_open_day_unsegmented(timescale_dsn: str) -> None:
    async with Database(timescale_dsn, "vigia_service") as database:
        readings = day_of(0)
        async with database.transaction() as tx:
            await store(tx, Readings(readings.point_id % 2 + 1, readings.ts, readings.value, readings.quality).sorted())
            assert await (await tx.execute(SETTINGS)).fetchall() == [(None, ["point_id", "ts"])]


@pytest.mark.timescale
async def test_closed_days_are_packed_a_point_a_batch(timescale_dsn: str) -> None:
    async with Database(timescale_dsn, "vigia_service") as database:
        await fill(database, 4)
        async with database.transaction() as tx:
            await store(tx, day_of(0, 100, seed=2))  # a partial day
            await store(tx, day_of(4, 100))  # rows only
            await store(tx, day_of(6, 100))
        before = await content(database)
        done = await keep_telemetry.run(database, Retention())
        assert len(done.packed) == 5
        assert await states(database) == ["packed"] * 5 + ["rows"]
        assert await content(database) == before
        async with database.transaction() as tx:
            assert await (await tx.execute(SETTINGS)).fetchall() == [(["point_id"], ["ts"])] * 5
            own = "select segmentby, orderby from _timescaledb_catalog.compression_settings where relid = 'telemetry'::regclass"
            assert await (await tx.execute(own)).fetchall() == [(None, None)]


@pytest.mark.timescale
async def test_a_run_broken_off_before_it_packs_leaves_a_day_that_is_read_written_and_packed_later(timescale_dsn: str) -> None:
    async with Database(timescale_dsn, "vigia_service") as database:
        await fill(database, 4)
        before = await content(database)
        async with database.transaction() as tx:
            first, _ = await upkeep.due(tx)
        async with database.transaction() as tx:
            await upkeep.prepare_pack(tx, first)
        async with database.transaction() as tx:
            await store(tx, day_of(0, 100, seed=2))
        stored = await content(database)
        assert stored[0] == before[0] + 100  # type: ignore[operator]  # a count
        assert len((await keep_telemetry.run(database, Retention())).packed) == 2
        assert await content(database) == stored
        async with database.transaction() as tx:
            indexes = await (await tx.execute(INDEXES)).fetchall()
        assert [tuple(columns) for (columns,) in indexes] == [("point_id", "ts")] * 4


@pytest.mark.timescale
async def test_a_day_with_many_rows_outside_the_columnstore_keeps_its_index_until_it_is_packed(timescale_dsn: str) -> None:
    async with Database(timescale_dsn, "vigia_service") as database:
        await fill(database, 3)
        async with database.transaction() as tx:
            await tx.execute(
                "insert into telemetry select 1, timestamptz '2026-01-01 00:00Z' + i * interval '100 ms', 1, 192"
                " from generate_series(1, 300000) i"
            )
            (piece,) = await upkeep.due(tx)
            await upkeep.prepare_pack(tx, piece)
            assert len(await (await tx.execute(INDEXES)).fetchall()) == 3


@pytest.mark.timescale
@pytest.mark.parametrize("late", [30, 10_000])
async def test_late_readings_of_a_packed_day_stay_and_are_packed_by_the_next_run(timescale_dsn: str, late: int) -> None:
    async with Database(timescale_dsn, "vigia_service") as database:
        await fill(database, 4)
        await keep_telemetry.run(database, Retention())
        before = (await content(database))[0]
        async with database.transaction() as tx:
            await store(tx, day_of(0, late, seed=3))
        stored = await content(database)
        assert stored[0] == before + late  # type: ignore[operator]  # a count
        assert (await states(database))[0] != "packed"
        done = await keep_telemetry.run(database, Retention())
        assert len(done.packed) == 1
        assert await content(database) == stored
        assert (await states(database))[:2] == ["packed", "packed"]


@pytest.mark.timescale
async def test_packing_keeps_no_writer_of_another_day_waiting(timescale_dsn: str) -> None:
    async with Database(timescale_dsn, "vigia_service", max_size=2) as database:
        await fill(database, 4)
        before = await content(database)
        async with database.transaction() as packing:
            for piece in await upkeep.due(packing):
                await upkeep.pack(packing, piece)  # and does not commit yet
            async with asyncio.timeout(10), database.transaction() as writer:
                await writer.execute("set local lock_timeout = '1s'")
                await store(writer, day_of(3, seed=2))
                await store(writer, day_of(9))  # a day whose columnstore is made meanwhile
                await store(writer, day_of(10, 100))
        found = await content(database)
        assert found[0] == before[0] + 20_100  # type: ignore[operator]  # a count
        assert await states(database) == ["packed", "packed", "unordered", "unordered", "unordered", "rows"]


@pytest.mark.timescale
async def test_writers_and_upkeep_at_once_lose_nothing(timescale_dsn: str) -> None:
    """Readings keep coming, of open days and late, while runs of upkeep meet them and each other."""
    async with Database(timescale_dsn, "vigia_service", max_size=6) as database:
        await fill(database, 5)

        async def write(seed: int) -> int:
            written = 0
            for day in (4, 3, 6 + seed, 0):
                for rows in (6_000, 50):
                    async with database.transaction() as tx:
                        await store(tx, day_of(day, rows, seed=10 + seed))
                    written += rows
            return written

        runs = [keep_telemetry.run(database, Retention()) for _ in range(2)]
        written, *_ = await asyncio.gather(asyncio.gather(*(write(seed) for seed in range(3))), *runs)
        assert (await content(database))[0] == 50_000 + sum(written)
        stored = await content(database)
        last = await keep_telemetry.run(database, Retention())
        assert last.busy == ()
        assert await content(database) == stored
