"""What is healthy of a machine's channels together: which machines want to be learned, and what was learned."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from vigia.store import queries
from vigia.store.database import Transaction


@dataclass(frozen=True)
class Wanted:
    """A machine of which nothing is learned since `since`; its newest reading is of `newest_at`."""

    asset_id: int
    since: datetime
    newest_at: datetime


@dataclass(frozen=True)
class Hour:
    """An hour from `at` on, and how many readings the machine's busiest measurement has in it."""

    at: datetime
    readings: int


@dataclass(frozen=True)
class NewBaseline:
    """What readings after `since` and up to `until` taught; `point_ids` are channels and, behind them, settings."""

    asset_id: int
    since: datetime
    until: datetime
    point_ids: list[int]
    body: bytes


@dataclass(frozen=True)
class Known:
    """A baseline as it is kept."""

    asset_id: int
    learned_at: datetime
    point_ids: list[int]
    body: bytes


@dataclass(frozen=True)
class _Asset:
    asset_id: int


@dataclass(frozen=True)
class _Version:
    asset_id: int
    learned_at: datetime


async def wanted(tx: Transaction, span: timedelta) -> list[Wanted]:
    """Machines in good order that have told something for `span` and have no baseline of that time."""
    return await queries.rows(tx, "baselines_wanted", Wanted, span=span)


async def hours(tx: Transaction, asset_id: int, since: datetime, at_most: int) -> list[Hour]:
    """The machine's first hours with readings that begin at `since` or later."""
    return await queries.rows(tx, "baseline_hours", Hour, asset_id=asset_id, since=since, at_most=at_most)


async def keep(tx: Transaction, new: NewBaseline) -> None:
    """Keep a baseline in the place of the machine's earlier one."""
    await queries.execute(tx, "baseline_keep", **vars(new))


async def valid(tx: Transaction) -> dict[int, datetime]:
    """When each baseline that holds now was learned, by asset."""
    return {row.asset_id: row.learned_at for row in await queries.rows(tx, "baselines_valid", _Version)}


async def load(tx: Transaction, asset_ids: Collection[int]) -> list[Known]:
    """The baselines of these machines."""
    return await queries.rows(tx, "baselines_of", Known, asset_ids=list(asset_ids))


async def alarmed(tx: Transaction, asset_ids: Collection[int]) -> set[int]:
    """Those of these machines whose channels have parted by their baseline, and not come back."""
    found = await queries.rows(tx, "baselines_alarmed", _Asset, asset_ids=list(asset_ids))
    return {row.asset_id for row in found}


async def of_finding(tx: Transaction, finding_id: int) -> Known | None:
    """The baseline by which the finding's sensor was watched together with the machine's others when it was made, or None."""
    return await queries.first(tx, "baseline_of_finding", Known, finding_id=finding_id)
