"""Predictions, and the readings they are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from vigia.store import queries
from vigia.store.database import Transaction

ALL = 1_000_000_000


@dataclass(frozen=True)
class NewPrediction:
    """A prediction to be stored. `at`: source time of the newest reading used; horizon and lives in the asset model's life unit."""

    customer_id: int
    role_id: int
    asset_id: int
    failure_mode: str
    at: datetime
    horizon: float
    probability: float
    life_p10: float
    life_p50: float
    life_p90: float
    health: float
    contributions: Sequence[Mapping[str, Any]]
    """each with point (or "age"), share, lost, value, healthy, unit; largest first"""
    model_version_id: int
    probabilities: Sequence[Mapping[str, float]] = ()
    """each with horizon, probability; of several horizons, the model's own among them, shortest first"""
    similar_cases: Sequence[Mapping[str, Any]] = ()
    """each with run, work_order_id, lived_on, ended, distance; nearest first. An order is named to its own customer's predictions only"""


@dataclass(frozen=True)
class Prediction:
    """One row of `prediction`."""

    prediction_id: int
    customer_id: int
    role_id: int
    asset_id: int
    failure_mode: str
    at: datetime
    horizon: float
    probability: float
    probabilities: list[dict[str, float]]
    life_p10: float
    life_p50: float
    life_p90: float
    health: float
    contributions: list[dict[str, Any]]
    similar_cases: list[dict[str, Any]]
    model_version_id: int


@dataclass(frozen=True)
class Followed:
    """One stay of a machine in a role, and how far its predictions have come."""

    installation_id: int
    customer_id: int
    role_id: int
    asset_id: int
    life_unit: str
    installed_at: datetime
    removed_at: datetime | None
    newest_at: datetime
    """newest reading of any point of the machine, which may lie after its removal"""
    predicted_at: datetime | None
    """newest prediction since the installation"""
    lowest_health: float | None
    """of the last predictions since the installation"""
    life_p50: float | None
    """of the newest prediction since the installation"""
    probabilities: list[float] | None
    """of the last predictions since the installation, newest last"""


@dataclass(frozen=True)
class FollowedPoint:
    """A point of a followed machine."""

    point_id: int
    asset_id: int
    name: str
    kind: str
    unit: str


@dataclass(frozen=True)
class Moment:
    """All readings of one machine at one source time; a value is None when it is missing or not of good quality."""

    asset_id: int
    at: datetime
    point_ids: list[int]
    values: list[float | None]


@dataclass(frozen=True)
class Stretch:
    """A time of one machine: after `since`, up to and with `until`."""

    asset_id: int
    since: datetime
    until: datetime


async def insert(tx: Transaction, new: Sequence[NewPrediction]) -> list[int | None]:
    """Store predictions; the id of each, None for one that was there already (same asset, failure mode and moment)."""
    if not new:
        return []
    found: list[int | None] = []
    async with tx.cursor() as cursor:
        await cursor.executemany(
            queries.sql("prediction_insert"),
            [
                {
                    **asdict(one),
                    "probabilities": Jsonb([dict(each) for each in one.probabilities]),
                    "contributions": Jsonb([dict(part) for part in one.contributions]),
                    "similar_cases": Jsonb([dict(case) for case in one.similar_cases]),
                }
                for one in new
            ],
            returning=True,
        )
        more: bool | None = True
        while more:
            row = await cursor.fetchone()
            found.append(None if row is None else int(row[0]))
            more = cursor.nextset()
    return found


async def latest(tx: Transaction, asset_ids: Sequence[int] | None = None) -> list[Prediction]:
    """The newest prediction of each asset and failure mode, of all assets that the caller may see or of those named."""
    return await queries.rows(tx, "prediction_latest", Prediction, asset_ids=None if asset_ids is None else list(asset_ids))


async def history(tx: Transaction, asset_id: int, failure_mode: str, since: datetime | None = None, limit: int = ALL) -> list[Prediction]:
    """An asset's predictions from `since` on, oldest first; at most the `limit` newest of them."""
    return await queries.rows(
        tx, "prediction_history", Prediction, asset_id=asset_id, failure_mode=failure_mode, since=since, at_most=limit
    )


async def followed(tx: Transaction, asset_model_id: int, failure_mode: str, *, recent: int, grace: timedelta) -> list[Followed]:
    """Every stay that may have readings to be predicted: machines of that model that stand in a role or were removed within `grace`.

    Only machines with a reading since their installation. `recent`: how many of the last predictions are looked at.
    """
    return await queries.rows(
        tx, "prediction_followed", Followed, asset_model_id=asset_model_id, failure_mode=failure_mode, recent=recent, grace=grace
    )


async def followed_in_shadow(tx: Transaction, asset_model_id: int, model_version_id: int, *, grace: timedelta) -> list[Followed]:
    """As `followed`, by what that model said in the shadow; no health, life and probabilities."""
    return await queries.rows(
        tx, "prediction_followed_in_shadow", Followed, asset_model_id=asset_model_id, model_version_id=model_version_id, grace=grace
    )


async def points(tx: Transaction, asset_ids: Sequence[int]) -> list[FollowedPoint]:
    """The points of these machines."""
    return await queries.rows(tx, "prediction_points", FollowedPoint, asset_ids=list(asset_ids))


async def readings(tx: Transaction, stretches: Sequence[Stretch]) -> list[Moment]:
    """The readings in these stretches (one a machine), in the order of time."""
    return await queries.rows(
        tx,
        "prediction_readings",
        Moment,
        asset_ids=[stretch.asset_id for stretch in stretches],
        since=[stretch.since for stretch in stretches],
        until=[stretch.until for stretch in stretches],
    )
