"""Models are trained again when they are due, from closed orders, into the shadow; beside the predicting, in a process of its own."""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from vigia.analytics import training
from vigia.analytics.compute import ComputeError
from vigia.analytics.training import TrainingPlan
from vigia.domain.models import failed_checks
from vigia.domain.retraining import Reason, Schedule, Since, due, no_worse
from vigia.errors import VigiaError
from vigia.store import fleet, model_drift, model_training, models, refusals
from vigia.store.database import Database, Transaction
from vigia.store.models import ModelVersion
from vigia.workflows import promote_model

log = structlog.get_logger()

CHECK_S = 60.0


@dataclass(frozen=True)
class Renewal:
    """Which model is renewed, when, and from what beside closed orders."""

    asset_model: str
    failure_mode: str
    schedule: Schedule
    plan: TrainingPlan


@dataclass(frozen=True)
class _Claim:
    training_id: int
    reason: Reason


async def run(database: Database, renewal: Renewal) -> None:
    """Look every minute until cancelled. A database that is away is waited for."""
    while True:
        await asyncio.sleep(CHECK_S)
        try:
            await step(database, renewal)
        except Exception as error:
            if refusals.cause(error) is None:
                raise
            log.warning("models not renewed, trying again", error=f"{type(error).__name__}: {error}")


async def step(database: Database, renewal: Renewal) -> ModelVersion | None:
    """Let a renewed model take charge if it may, then train if that is due; the model that was trained and registered, or None."""
    async with database.transaction() as tx:
        if renewal.schedule.take_charge:
            await _take_charge(tx, renewal, await fleet.now(tx))
        claim = await _claim(tx, renewal)
    if claim is None:
        return None
    log.info("training from closed orders", reason=claim.reason)
    try:
        plan = await training.with_closed_orders(database, renewal.asset_model, renewal.plan)
        made = await _train(plan)
    except VigiaError as error:
        async with database.transaction() as tx:
            await model_training.end(tx, claim.training_id, None, str(error))
        log.error("training failed", reason=str(error))  # noqa: TRY400 - foreseen
        return None
    async with database.transaction() as tx:
        return await _register(tx, renewal, claim, made)


async def _train(plan: TrainingPlan) -> training.Trained:
    """On the Dask cluster if the plan names one, and here when it cannot be used: the model is the same, and none need be missed."""
    try:
        return await training.train_apart(plan)
    except ComputeError as error:
        log.warning("training on this machine instead", reason=str(error))
    return await training.train_apart(replace(plan, dask=None))


async def _claim(tx: Transaction, renewal: Renewal) -> _Claim | None:
    champion = await models.champion(tx, renewal.asset_model, renewal.failure_mode)
    if champion is None:
        return None
    last = await model_training.last(tx, champion)
    began_at = last.began_at if last is not None else await model_training.predicting_since(tx, champion)
    if began_at is None:
        return None
    now, orders = await fleet.now(tx), len(await models.closed_orders(tx, renewal.asset_model, renewal.failure_mode))
    known = last.orders if last is not None else int(champion.metrics.get("closed_orders", 0))
    drift = (await model_drift.newest(tx, champion.model_version_id)).get(champion.model_version_id)
    reason = due(renewal.schedule, Since(began_at, orders - known, drift is not None and bool(drift.warnings)), now)
    if reason is None:
        return None
    training_id = await model_training.begin(tx, champion, now, reason, orders)
    return None if training_id is None else _Claim(training_id, reason)


async def _register(tx: Transaction, renewal: Renewal, claim: _Claim, made: training.Trained) -> ModelVersion:
    """The model, in the shadow unless it fails its checks or a person has put another one there."""
    registered = await training.register(tx, renewal.asset_model, made)
    failed, shadow = failed_checks(registered.metrics), await models.shadow(tx, renewal.asset_model, renewal.failure_mode)
    said = " ".join(failed)
    if not failed and shadow is not None and not await model_training.made(tx, shadow.model_version_id):
        said = f"{shadow.version}, which a person chose, is in the shadow."
    if not said:
        await models.begin_shadow(tx, registered)
    await model_training.end(tx, claim.training_id, registered.model_version_id, said)
    log.info("trained from closed orders", version=registered.version, shadow=not said, said=said)
    return registered


async def _take_charge(tx: Transaction, renewal: Renewal, now: datetime) -> None:
    champion = await models.champion(tx, renewal.asset_model, renewal.failure_mode)
    shadow = await models.shadow(tx, renewal.asset_model, renewal.failure_mode)
    if champion is None or shadow is None or not await model_training.made(tx, shadow.model_version_id):
        return
    if no_worse(await model_drift.resolved(tx, champion, shadow)) and not failed_checks(shadow.metrics, champion.metrics):
        await promote_model.by_itself(tx, shadow.model_version_id, now)
        log.info("the model in the shadow is in charge", version=shadow.version)
