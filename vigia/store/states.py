"""What each role's time counted as, and the readings that prove it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from vigia.domain.availability import Category, Evidence, Interval
from vigia.store import queries
from vigia.store.database import Transaction


@dataclass(frozen=True)
class StateInterval:
    """One row of `state_interval`; `ended_at` None: still so."""

    state_interval_id: int
    customer_id: int
    role_id: int
    asset_id: int | None
    category: str
    started_at: datetime
    ended_at: datetime | None
    work_order_id: int | None


@dataclass(frozen=True)
class NewInterval:
    """A stretch to be written down; `ended_at` None: from now on. `work_order_id` is the evidence."""

    customer_id: int
    role_id: int
    asset_id: int | None
    category: Category
    started_at: datetime
    ended_at: datetime | None = None
    work_order_id: int | None = None


@dataclass(frozen=True)
class _IntervalRow:
    role_id: int
    category: str
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True)
class _EvidenceRow:
    role_id: int
    start: datetime
    end: datetime


@dataclass(frozen=True)
class _ReportRow:
    at: datetime
    state: int


@dataclass(frozen=True)
class _HoursRow:
    role_id: int
    hours: int


async def current(tx: Transaction, role_id: int) -> StateInterval | None:
    """The role's open interval, or None when nothing is known of it now."""
    return await queries.first(tx, "state_current", StateInterval, role_id=role_id)


async def newest(tx: Transaction, role_id: int) -> StateInterval | None:
    """The role's last interval, open or ended."""
    return await queries.first(tx, "state_newest", StateInterval, role_id=role_id)


async def stretches_from(tx: Transaction, role_id: int, since: datetime) -> list[StateInterval]:
    """The role's intervals that touch the time from `since` on, and the one before them, in the order of time."""
    return await queries.rows(tx, "states_from", StateInterval, role_id=role_id, since=since)


async def reported(tx: Transaction, asset_id: int, after: datetime) -> list[tuple[datetime, int]]:
    """The first reading of the asset's state point after a moment, and each that differs from the one before."""
    found = await queries.rows(tx, "state_changes", _ReportRow, asset_id=asset_id, after=after)
    return [(row.at, row.state) for row in found]


async def remove(tx: Transaction, written: Sequence[StateInterval]) -> None:
    """Take intervals back, to write them down anew."""
    await queries.execute(tx, "states_remove", state_interval_ids=[one.state_interval_id for one in written])


async def begin(tx: Transaction, new: NewInterval) -> None:
    """Write a stretch down. It may not overlap another of the role."""
    await queries.execute(
        tx,
        "state_begin",
        customer_id=new.customer_id,
        role_id=new.role_id,
        asset_id=new.asset_id,
        category=new.category,
        started_at=new.started_at,
        ended_at=new.ended_at,
        work_order_id=new.work_order_id,
    )


async def end(tx: Transaction, interval: StateInterval, at: datetime) -> None:
    """End the interval at `at`, not before its start."""
    await queries.execute(tx, "state_end", state_interval_id=interval.state_interval_id, at=max(at, interval.started_at))


async def name_evidence(tx: Transaction, interval: StateInterval, work_order_id: int) -> None:
    """Name the order that bears the interval out, unless one is named."""
    await queries.execute(tx, "state_evidence", state_interval_id=interval.state_interval_id, work_order_id=work_order_id)


async def intervals(tx: Transaction, start: datetime, until: datetime, customer_id: int | None = None) -> dict[int, list[Interval]]:
    """Per role_id, the intervals that touch the time from `start` to `until`, not clipped to it."""
    found: dict[int, list[Interval]] = defaultdict(list)
    for row in await queries.rows(tx, "states_within", _IntervalRow, start=start, end=until, customer_id=customer_id):
        found[row.role_id].append(Interval(Category(row.category), row.started_at, row.ended_at))
    return found


async def evidence(tx: Transaction, start: datetime, until: datetime, customer_id: int | None = None) -> dict[int, list[Evidence]]:
    """Per role_id, the time that readings of its state point speak for, joined up, not clipped."""
    await queries.execute(tx, "states_see_all")
    found: dict[int, list[Evidence]] = defaultdict(list)
    for row in await queries.rows(tx, "states_evidence", _EvidenceRow, start=start, end=until, customer_id=customer_id):
        found[row.role_id].append(Evidence(row.start, row.end))
    return found


async def operating_hours(tx: Transaction, start: datetime, until: datetime, customer_id: int | None = None) -> dict[int, int]:
    """Per role_id, the hours ending after `start` and not after `until` in which the state point said operating."""
    await queries.execute(tx, "states_see_all")
    found = await queries.rows(tx, "states_operating_hours", _HoursRow, start=start, end=until, customer_id=customer_id)
    return {row.role_id: row.hours for row in found}
