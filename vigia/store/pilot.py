"""What the demo asks of the database: how far the pipeline is, and what the run came to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from vigia.store import queries
from vigia.store.database import Transaction


@dataclass(frozen=True)
class Due:
    """Up to when an engine's readings and predictions should be there."""

    serial_number: str
    reading_at: datetime
    prediction_at: datetime


@dataclass(frozen=True)
class Lag:
    """Engines whose readings or predictions are missing, and jobs that wait."""

    readings: int
    predictions: int
    jobs: int

    @property
    def none(self) -> bool:
        """Whether the pipeline has done all that is due."""
        return not (self.readings or self.predictions or self.jobs)


@dataclass(frozen=True)
class InstalledEngine:
    """The engine that stands in a role."""

    device_id: str
    serial_number: str
    installed_at: datetime
    in_work: bool


@dataclass(frozen=True)
class EngineHistory:
    """One engine's time in a role, its first work order and its failure."""

    device_id: str
    serial_number: str
    installed_at: datetime
    removed_at: datetime | None
    ordered_at: datetime | None
    failed_at: datetime | None


@dataclass(frozen=True)
class Counts:
    """Totals over the whole database."""

    rows_stored: int
    rows_duplicated: int
    holes: int
    dead_letters: int
    work_orders: int
    open_orders: int
    false_orders: int
    last_reading_at: datetime | None


async def lag(tx: Transaction, due: Sequence[Due]) -> Lag:
    """What the pipeline has not yet done of what is due."""
    found = await queries.first(
        tx,
        "pilot_lag",
        Lag,
        serials=[engine.serial_number for engine in due],
        readings=[engine.reading_at for engine in due],
        predictions=[engine.prediction_at for engine in due],
    )
    return found or Lag(0, 0, 0)


async def installed(tx: Transaction) -> list[InstalledEngine]:
    """The engines that stand in roles now."""
    return await queries.rows(tx, "pilot_installed", InstalledEngine)


async def engines(tx: Transaction) -> list[EngineHistory]:
    """Every engine that has stood in a role."""
    return await queries.rows(tx, "pilot_engines", EngineHistory)


async def counts(tx: Transaction) -> Counts:
    """Totals over the whole database."""
    found = await queries.first(tx, "pilot_counts", Counts)
    assert found is not None  # noqa: S101 - a select of scalars has one row
    return found
