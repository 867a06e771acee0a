"""Telemetry is kept in order here: closed days packed, old ones dropped. Each step is a transaction, so that none waits for another."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from vigia.store import upkeep
from vigia.store.database import Database, Transaction, TransactionConflictError
from vigia.store.upkeep import Done, Retention

POINTS_AT_ONCE = 500  # whose rollups one transaction deletes


async def run_if_due(database: Database, retention: Retention, every: timedelta) -> Done | None:
    """`run`, unless a run ended less than `every` ago, here or in another worker."""
    async with database.transaction() as tx:
        if await upkeep.ran_within(tx, every):
            return None
    return await run(database, retention)


async def run(database: Database, retention: Retention) -> Done:
    """Do all that is due in `database`, opened as the service, and put it on record. What is in use is left for the next run."""
    async with database.transaction() as tx:
        clock = await upkeep.clock_of(tx)
    if clock is None:
        return await _recorded(database, Done())
    dropped, busy = await _drop(database, _before(clock, retention.raw_days))
    minutes = await _thin(database, upkeep.drop_minutes_before, _before(clock, retention.minute_days))
    hours = await _thin(database, upkeep.drop_hours_before, _before(clock, retention.hour_days))
    async with database.transaction() as tx:
        due = await upkeep.due(tx)
    packed = []
    for piece in due:
        try:
            async with database.transaction() as tx:
                await upkeep.prepare_pack(tx, piece)
            async with database.transaction() as tx:
                await upkeep.pack(tx, piece)
            packed.append(piece)
        except TransactionConflictError:
            busy.append(piece)
    return await _recorded(database, Done(tuple(packed), tuple(dropped), tuple(busy), minutes, hours))


def _before(clock: datetime, days: int | None) -> datetime | None:
    return None if days is None else clock - timedelta(days=days)


async def _drop(database: Database, before: datetime | None) -> tuple[list[str], list[str]]:
    if before is None:
        return [], []
    try:
        async with database.transaction() as tx:
            return await upkeep.drop_before(tx, before), []
    except TransactionConflictError:
        return [], [f"readings before {before:%Y-%m-%d}"]


async def _thin(database: Database, drop: Callable[[Transaction, Sequence[int], datetime], Awaitable[int]], before: datetime | None) -> int:
    if before is None:
        return 0
    async with database.transaction() as tx:
        points = await upkeep.rollup_points(tx)
    gone = 0
    for first in range(0, len(points), POINTS_AT_ONCE):
        async with database.transaction() as tx:
            gone += await drop(tx, points[first : first + POINTS_AT_ONCE], before)
    return gone


async def _recorded(database: Database, done: Done) -> Done:
    async with database.transaction() as tx:
        await upkeep.record(tx, done)
    return done
