"""Readings: written as columns with their rollups and latest values, read back as series."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.kernels import order, rollup
from vigia.analytics.kernels.newest import last_of_each
from vigia.store import queries, rollups
from vigia.store.columns import Int4s, copy_telemetry
from vigia.store.database import Transaction

GOOD, UNCERTAIN, STALE, BAD = 192, 64, 500, 0
"""Qualities as Sparkplug and classic OPC number them; nothing else is stored."""
DAY_US: Final = 86_400_000_000
MOST_ROWS: Final = 200_000

Resolution = Literal["raw", "1m", "1h"]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_us(at: datetime) -> int:
    """Microseconds since 1970 UTC, exactly."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def from_us(us: int) -> datetime:
    """The moment `us` microseconds after 1970 UTC."""
    return _EPOCH + timedelta(microseconds=int(us))


@dataclass(frozen=True)
class Readings:
    """Columns of the same length. `ts` is microseconds since 1970 UTC, `value` NaN where there is none, `quality` GOOD ... BAD."""

    point_id: NDArray[np.int32]
    ts: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.point_id)

    @property
    def good(self) -> NDArray[np.bool_]:
        """Which readings count: of good quality, with a value."""
        good: NDArray[np.bool_] = (self.quality == GOOD) & ~np.isnan(self.value)
        return good

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "Readings":
        """The readings that `rows` names by mask or index."""
        return Readings(self.point_id[rows], self.ts[rows], self.value[rows], self.quality[rows])

    def sorted(self) -> "Readings":
        """By point, then time, then value; none before any value. Raises ValueError on a negative point."""
        if not len(self):
            return self
        _, rows = order.by_slot(order.Rows(self.point_id, self.ts, self.value, self.quality), int(self.point_id.max()) + 1)
        return Readings(rows.slot, rows.ts, rows.value, rows.quality)


class Latest(NamedTuple):
    """A point's newest reading."""

    point_id: int
    ts: datetime
    value: float | None
    quality: int


@dataclass(frozen=True)
class Stored:
    """One reading as stored."""

    ts: datetime
    value: float


@dataclass(frozen=True)
class _Then:
    values: list[float | None]


@dataclass(frozen=True)
class Series:
    """Readings of a point, or minutes or hours of them, as columns of one length, by time.

    `count` is of good ones; without any, mean, low and high are None.
    """

    point_id: int
    ts: list[datetime]
    mean: list[float | None]
    low: list[float | None]
    high: list[float | None]
    last: list[float | None]
    count: list[int]

    def __len__(self) -> int:
        return len(self.ts)


class Writer:
    """Writes readings; remembers for which days the database has room. One a process.

    Tell it how the transaction ended: `committed` or `failed`.
    """

    def __init__(self) -> None:
        self._days: set[int] = set()
        self._new_days: set[int] = set()

    async def add(self, tx: Transaction, readings: Readings) -> None:
        """Store `readings`, merge them into both rollups and the latest values. Nothing here is unique: the caller knows they are new."""
        await self.add_sorted(tx, readings.sorted())

    async def add_sorted(self, tx: Transaction, readings: Readings) -> None:
        """As `add`, of readings that come from `Readings.sorted`."""
        if not len(readings):
            return
        await self.make_room(tx, readings.ts)
        await copy(tx, readings)
        partials = rollup.by_minute(rollup.Readings(readings.point_id, readings.ts, readings.value, readings.good))
        await rollups.merge(tx, partials, readings.quality[last_of_each(readings.point_id)])

    def committed(self) -> None:
        """The transaction of the last `add` is durable."""
        self._days |= self._new_days
        self._new_days.clear()

    def failed(self) -> None:
        """The transaction of the last `add` is rolled back, perhaps because a day's room is gone."""
        self._days.clear()
        self._new_days.clear()

    async def make_room(self, tx: Transaction, ts: NDArray[np.int64]) -> None:
        """Give the days of `ts` (microseconds since 1970 UTC) a place in the table; `add` does so itself."""
        days = np.unique(ts // DAY_US)
        missing = [int(day) for day in days if day not in self._days]
        # A call a day, not one for the whole span: batches of many edges may lie years apart.
        for day in missing:
            at = from_us(day * DAY_US)
            await queries.execute(tx, "ensure_telemetry_room", from_ts=at, to_ts=at)
        self._new_days.update(missing)


async def copy(tx: Transaction, readings: Readings) -> None:
    """Store `readings` and nothing else: neither rollups nor latest values. Their days must have room.

    Sort them by point and time: large batches are stored in that order, and the better the order the faster they are read.
    """
    await queries.execute(tx, "prepare_telemetry_copy", rows=len(readings))
    stream = copy_telemetry(readings.point_id, readings.ts, readings.value, readings.quality)
    async with tx.cursor() as cursor, cursor.copy(queries.sql("copy_telemetry")) as copying:
        await copying.write(stream)


async def latest(tx: Transaction, point_ids: Collection[int]) -> dict[int, Latest]:
    """The newest reading of each of the points that have one. For processes that act for all customers."""
    found = await queries.many(tx, "latest_of", Latest, prepare=False, point_ids=_ids(point_ids))
    return {row.point_id: row for row in found}


async def latest_visible(tx: Transaction, point_ids: Collection[int]) -> dict[int, Latest]:
    """The newest reading of each of the points that have one the caller may see."""
    found = await queries.many(tx, "latest_visible_of", Latest, prepare=False, point_ids=_ids(point_ids))
    return {row.point_id: row for row in found}


async def mark_stale(tx: Transaction, point_ids: Collection[int]) -> None:
    """The source of these points is gone: whatever they told last is stale."""
    await queries.execute(tx, "mark_latest", point_ids=list(point_ids), quality=STALE)


async def mark_standing(tx: Transaction, told_again: Sequence[Latest]) -> None:
    """The source tells again what it told before: where that is the latest reading, and was stale, it has its own quality again."""
    columns = {"point_ids": "point_id", "at": "ts", "values": "value", "qualities": "quality"}
    told = {name: [getattr(one, column) for one in told_again] for name, column in columns.items()}
    await queries.execute(tx, "latest_stands", **told, stale=STALE)


async def around(tx: Transaction, point_id: int, first: datetime, last: datetime) -> list[Stored]:
    """The good readings of a point from `first` to `last`, and the one before and the one after."""
    return await queries.rows(tx, "readings_around", Stored, point_id=point_id, from_ts=first, until_ts=last)


async def newest(tx: Transaction, point_id: int, first: datetime, last: datetime, count: int) -> list[Stored]:
    """The newest `count` good readings of a point from `first` to `last`, by time."""
    found = await queries.rows(tx, "readings_newest", Stored, point_id=point_id, from_ts=first, until_ts=last, count=count)
    return found[::-1]


async def oldest(tx: Transaction, point_id: int, first: datetime, last: datetime, count: int) -> list[Stored]:
    """The oldest `count` good readings of a point from `first` to `last`, by time."""
    return await queries.rows(tx, "readings_oldest", Stored, point_id=point_id, from_ts=first, until_ts=last, count=count)


async def at_moments(tx: Transaction, point_ids: Collection[int], moments: Sequence[datetime]) -> list[list[float | None]]:
    """A list a moment: what each of the points said last by then, None when nothing yet."""
    found = await queries.rows(tx, "readings_at_moments", _Then, point_ids=_ids(point_ids), moments=list(moments))
    return [row.values for row in found]


def resolution_for(span: timedelta, pixels: int) -> Resolution:
    """The coarsest stored resolution that still gives a chart of `span` at least one value a pixel, if the source is that dense."""
    pixel = span / max(pixels, 1)
    if pixel >= timedelta(hours=1):
        return "1h"
    return "1m" if pixel >= timedelta(minutes=1) else "raw"


async def series(  # noqa: PLR0913
    tx: Transaction, point_ids: Collection[int], from_ts: datetime, until_ts: datetime, resolution: Resolution, *, limit: int = MOST_ROWS
) -> list[Series]:
    """Readings from `from_ts` until before `until_ts` of those points, in their order, that have any the caller may see.

    At most `limit` rows: what is too much is missing at the end. A rollup's first row may begin before `from_ts`: it is the whole minute
    or hour that holds it.
    """
    return await queries.many(
        tx, f"series_{resolution}", Series, point_ids=_ids(point_ids), from_ts=from_ts, until_ts=until_ts, limit=limit
    )


def _ids(point_ids: Collection[int]) -> Int4s:
    return Int4s(np.fromiter(point_ids, np.int32, len(point_ids)))
