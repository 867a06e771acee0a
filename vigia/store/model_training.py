"""Trainings that the schedule began: when, why, from how many verdicts, and what came of them."""

from dataclasses import dataclass
from datetime import datetime
from typing import cast

from vigia.domain.retraining import Reason
from vigia.store import queries
from vigia.store.database import Transaction
from vigia.store.models import ModelVersion


@dataclass(frozen=True)
class Training:
    """One row of `model_training`. `began_at` is fleet time, the others the wall's; `said` is why no model went into the shadow."""

    model_training_id: int
    asset_model_id: int
    failure_mode: str
    began_at: datetime
    claimed_at: datetime
    ended_at: datetime | None
    reason: Reason
    orders: int
    model_version_id: int | None
    said: str


async def last(tx: Transaction, model: ModelVersion) -> Training | None:
    """The newest training for what `model` is in charge of, or None."""
    return await queries.first(tx, "model_training_last", Training, asset_model_id=model.asset_model_id, failure_mode=model.failure_mode)


async def predicting_since(tx: Transaction, model: ModelVersion) -> datetime | None:
    """Fleet time of the model's first prediction; None: it has made none."""
    return cast("datetime | None", await queries.value(tx, "model_training_predicting_since", model_version_id=model.model_version_id))


async def begin(tx: Transaction, model: ModelVersion, at: datetime, reason: Reason, orders: int) -> int | None:
    """Claim the next training; its id, or None while another one runs, in whatever process."""
    await queries.execute(tx, "model_training_give_up", asset_model_id=model.asset_model_id, failure_mode=model.failure_mode)
    found = await queries.value(
        tx,
        "model_training_begin",
        asset_model_id=model.asset_model_id,
        failure_mode=model.failure_mode,
        at=at,
        reason=reason,
        orders=orders,
    )
    return cast("int | None", found)


async def end(tx: Transaction, model_training_id: int, model_version_id: int | None, said: str = "") -> None:
    """Store what came of it, unless it was given up meanwhile."""
    await queries.execute(tx, "model_training_end", model_training_id=model_training_id, model_version_id=model_version_id, said=said)


async def made(tx: Transaction, model_version_id: int) -> bool:
    """Whether the schedule trained that model."""
    return bool(await queries.value(tx, "model_training_made", model_version_id=model_version_id))
