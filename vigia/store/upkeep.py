"""Upkeep of telemetry: closed days are packed, what is older than it must be kept is dropped, and what state the days are in.

A piece of telemetry is one day of readings: a chunk on TimescaleDB, a partition on PostgreSQL alone. Its state is one of STATES.

Time here is the data's: the end of the newest day that has readings, so that a replayed year is kept like a lived one.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from vigia.store import audit, queries
from vigia.store.database import StoreError, Transaction

State = Literal["rows", "partial", "unordered", "packed"]
STATES: Final[tuple[State, ...]] = ("rows", "partial", "unordered", "packed")
"""None compressed; some; all, in batches that overlap; all, each batch of one point, ordered by time."""

OPEN: Final = timedelta(days=2)
"""A day is closed when it ended so long before the newest one does: late readings are taken then too, they are only dearer."""

SHORTEST_DAYS: Final = 40
PATIENCE_MS: Final = 2_000

_ACTION = "telemetry_upkeep"


class RetentionTooShortError(StoreError):
    """Readings must be kept for at least 40 days; set a longer VIGIA_RETENTION_* or leave it out to keep everything."""


@dataclass(frozen=True)
class Retention:
    """For how many days readings and their rollups are kept; None keeps everything.

    A contract is settled by the month, from the same readings that its customer sees, and a month may be disputed for a week after it
    has ended: so nothing younger than SHORTEST_DAYS may go. Raises RetentionTooShortError.
    """

    raw_days: int | None = None
    minute_days: int | None = None
    hour_days: int | None = None

    def __post_init__(self) -> None:
        for name, days in (("RAW", self.raw_days), ("1M", self.minute_days), ("1H", self.hour_days)):
            if days is not None and days < SHORTEST_DAYS:
                raise RetentionTooShortError(
                    f"VIGIA_RETENTION_{name}_DAYS = {days}: an open contract period needs its readings for {SHORTEST_DAYS} days;"
                    f" set {SHORTEST_DAYS} or more, or leave it out to keep everything"
                )


@dataclass(frozen=True)
class Piece:
    """One day of readings, from `from_ts` until before `until_ts`. Of rows that are not compressed `row_count` is an estimate."""

    name: str
    from_ts: datetime
    until_ts: datetime
    state: State
    row_count: int
    bytes: int


@dataclass(frozen=True)
class Done:
    """What one run did: pieces packed, dropped, and left for the next run because someone used them; rollup rows gone."""

    packed: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    busy: tuple[str, ...] = ()
    minutes_dropped: int = 0
    hours_dropped: int = 0


@dataclass(frozen=True)
class LastRun:
    """When upkeep ran last (wall clock), and what it did."""

    at: datetime
    detail: dict[str, Any]


@dataclass(frozen=True)
class Health:
    """All pieces, oldest first; those due to be packed; the last run, None before the first."""

    pieces: tuple[Piece, ...]
    due: tuple[str, ...]
    last: LastRun | None

    @property
    def rows(self) -> int:
        """Estimated where rows are not compressed."""
        return sum(piece.row_count for piece in self.pieces)

    @property
    def bytes(self) -> int:
        """On disk, indexes included."""
        return sum(piece.bytes for piece in self.pieces)

    @property
    def bytes_per_row(self) -> float | None:
        """None while there is no row."""
        return self.bytes / self.rows if self.rows else None

    def in_state(self, state: State) -> int:
        """How many pieces are in `state`."""
        return sum(piece.state == state for piece in self.pieces)


async def prepare_copy(tx: Transaction, rows: int) -> None:
    """The next COPY into telemetry in this transaction brings `rows` rows, sorted by point and time. One round trip."""
    await queries.execute(tx, "prepare_telemetry_copy", rows=rows)


async def health(tx: Transaction) -> Health:
    """The state of telemetry; reads the head of every compressed batch, no reading."""
    found = await queries.rows(tx, "telemetry_pieces", Piece)
    last = await queries.first(tx, "upkeep_last", LastRun)
    return Health(tuple(found), tuple(await _due(tx, found)), last)


async def due(tx: Transaction) -> list[str]:
    """Names of closed pieces that are not packed, oldest first; none where the database cannot pack."""
    return await _due(tx, await queries.rows(tx, "telemetry_pieces", Piece))


async def _due(tx: Transaction, pieces: Sequence[Piece]) -> list[str]:
    clock = await clock_of(tx)
    if clock is None or not await queries.value(tx, "telemetry_packable"):
        return []
    return [piece.name for piece in pieces if piece.state != "packed" and piece.until_ts <= clock - OPEN]


async def clock_of(tx: Transaction) -> datetime | None:
    """The data's clock, None before the first reading."""
    clock: datetime | None = await queries.value(tx, "telemetry_clock")
    return clock


async def prepare_pack(tx: Transaction, piece: str) -> None:
    """In a transaction of its own before that of `pack`, which is much faster then. Waits and raises as `pack` does."""
    await _be_impatient(tx)
    await queries.execute(tx, "prepare_telemetry_pack", piece=piece)


async def pack(tx: Transaction, piece: str) -> None:
    """Pack the piece. Its writers wait until `tx` ends: a transaction of its own.

    Raises what Database.transaction makes a TransactionConflictError when others use the piece for more than PATIENCE_MS.
    """
    await _be_impatient(tx)
    await queries.execute(tx, "pack_telemetry", piece=piece)


async def drop_before(tx: Transaction, before: datetime) -> list[str]:
    """Drop the pieces that end at or before `before`; their names. Waits and raises as `pack` does."""
    await _be_impatient(tx)
    cursor = await tx.execute(queries.sql("drop_telemetry"), {"before": before})
    return [name for (name,) in await cursor.fetchall()]


async def rollup_points(tx: Transaction) -> list[int]:
    """Every point that may have rollups."""
    cursor = await tx.execute(queries.sql("rollup_point_ids"))
    return [point_id for (point_id,) in await cursor.fetchall()]


async def drop_minutes_before(tx: Transaction, point_ids: Sequence[int], before: datetime) -> int:
    """Delete the points' minutes that begin before `before`; how many there were."""
    return await queries.execute(tx, "drop_telemetry_1m", point_ids=list(point_ids), before=before)


async def drop_hours_before(tx: Transaction, point_ids: Sequence[int], before: datetime) -> int:
    """Delete the points' hours that begin before `before`; how many there were."""
    return await queries.execute(tx, "drop_telemetry_1h", point_ids=list(point_ids), before=before)


async def ran_within(tx: Transaction, span: timedelta) -> bool:
    """Whether a run ended within the last `span` of wall-clock time."""
    ran: bool = await queries.value(tx, "upkeep_ran_within", span=span)
    return ran


async def record(tx: Transaction, done: Done) -> None:
    """Put the run on record, for `health` and whoever asks later where readings went."""
    await audit.record(tx, audit.Action(None, None, _ACTION, "telemetry", asdict(done)))


async def _be_impatient(tx: Transaction) -> None:
    await queries.execute(tx, "upkeep_patience", patience_ms=PATIENCE_MS)
