"""Points: what a machine is measured by. A machine keeps its points wherever it stands."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from vigia.store import queries
from vigia.store.database import Transaction

PointKind = Literal["measurement", "setting", "state", "counter"]


@dataclass(frozen=True)
class NewPoint:
    """A point as its source describes it. `unit` is UCUM, `low` and `high` the engineering range in that unit."""

    name: str
    kind: PointKind = "measurement"
    unit: str = "1"
    description: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Point:
    """A point of an asset."""

    point_id: int
    asset_id: int
    name: str
    kind: PointKind
    unit: str
    description: str
    low: float | None
    high: float | None


async def points_of(tx: Transaction, asset_ids: Collection[int]) -> list[Point]:
    """The points of these assets, by asset, then in the order in which they were made known."""
    return await queries.rows(tx, "points_of", Point, asset_ids=list(asset_ids))


async def point(tx: Transaction, asset_id: int, name: str) -> Point | None:
    """The asset's point of that name, or None."""
    return await queries.first(tx, "point_by_name", Point, asset_id=asset_id, name=name)


async def ensure_points(tx: Transaction, asset_id: int, points: Sequence[NewPoint]) -> dict[str, int]:
    """The ids of the points by name. Missing ones are made; those that exist take the new description."""
    found = await queries.rows(
        tx,
        "ensure_points",
        _Named,
        asset_id=asset_id,
        names=[new.name for new in points],
        kinds=[new.kind for new in points],
        units=[new.unit for new in points],
        descriptions=[new.description for new in points],
        lows=[_real(new.low) for new in points],
        highs=[_real(new.high) for new in points],
    )
    return {row.name: row.point_id for row in found}


def _real(number: float | None) -> float | None:
    return None if number is None else float(number)  # an array of integers and floats has no type


@dataclass(frozen=True)
class _Named:
    name: str
    point_id: int
