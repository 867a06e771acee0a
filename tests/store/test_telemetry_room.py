import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from vigia.store.database import Database

DAY = timedelta(days=1)
START = datetime(2026, 3, 29, 22, 30, tzinfo=UTC)


async def test_readings_have_a_place_after_it_was_made(either_dsn: str) -> None:
    async with Database(either_dsn, "vigia_service") as database, database.transaction() as tx:
        await tx.execute("select ensure_telemetry_room(%s, %s)", (START, START + 3 * DAY))
        await tx.execute(
            "insert into telemetry select 1, ts, 1, 0 from generate_series(%s, %s, '1 hour'::interval) as ts", (START, START + 3 * DAY)
        )
        assert await (await tx.execute("select count(*) from telemetry")).fetchone() == (73,)


async def test_days_end_at_midnight_utc_wherever_the_session_is(dsn: str) -> None:
    async with Database(dsn, "vigia_service") as database, database.transaction() as tx:
        await tx.execute("set local timezone = 'America/Bogota'")
        await tx.execute("select ensure_telemetry_room('2026-01-02 23:30Z', '2026-01-02 23:30Z')")
        await tx.execute("insert into telemetry values (1, '2026-01-02 00:00Z', 1, 0), (1, '2026-01-02 23:59:59.999999Z', 1, 0)")
        with pytest.raises(psycopg.errors.CheckViolation):
            async with tx.transaction():
                await tx.execute("insert into telemetry values (1, '2026-01-03 00:00Z', 1, 0)")


async def test_writers_that_meet_on_a_new_day_all_write(either_dsn: str) -> None:
    async with Database(either_dsn, "vigia_service", max_size=6) as database:

        async def write(number: int) -> None:
            async with database.transaction() as tx:
                await tx.execute("select ensure_telemetry_room(%s, %s)", (START, START + 5 * DAY))
                await tx.execute("insert into telemetry values (%s, %s, 1, 0)", (number, START + (number % 6) * DAY))

        await asyncio.gather(*(write(number) for number in range(24)))
        async with database.transaction() as tx:
            assert await (await tx.execute("select count(*) from telemetry")).fetchone() == (24,)


async def test_who_writes_on_a_known_day_does_not_wait_for_who_makes_a_new_one(dsn: str) -> None:
    async with Database(dsn, "vigia_service", max_size=2) as database:
        async with database.transaction() as tx:
            await tx.execute("select ensure_telemetry_room(%s, %s)", (START, START))
        async with database.transaction() as maker:
            await maker.execute("select ensure_telemetry_room(%s, %s)", (START, START + DAY))
            async with asyncio.timeout(5), database.transaction() as other:
                await other.execute("select ensure_telemetry_room(%s, %s)", (START, START))
                await other.execute("insert into telemetry values (1, %s, 1, 0)", (START,))
                await other.execute("select count(*) from telemetry")


async def test_a_day_whose_maker_failed_is_made_by_the_next(dsn: str) -> None:
    async with Database(dsn, "vigia_service") as database:
        with pytest.raises(ZeroDivisionError):
            async with database.transaction() as tx:
                await tx.execute("select ensure_telemetry_room(%s, %s)", (START, START))
                raise ZeroDivisionError
        async with database.transaction() as tx:
            await tx.execute("select ensure_telemetry_room(%s, %s)", (START, START))
            await tx.execute("insert into telemetry values (1, %s, 1, 0)", (START,))


async def test_a_clock_gone_mad_makes_no_thousand_tables(dsn: str) -> None:
    async with Database(dsn, "vigia_service") as database:
        with pytest.raises(psycopg.errors.NumericValueOutOfRange, match="400 days"):
            async with database.transaction() as tx:
                await tx.execute("select ensure_telemetry_room('1970-01-01', %s)", (START,))
