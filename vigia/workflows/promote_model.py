"""A failure model is put in charge, or the one in charge gives way to the one before it."""

from dataclasses import dataclass
from datetime import datetime

from vigia.domain.errors import NotFoundError, TransitionRefusedError
from vigia.domain.models import UnfitModelError, failed_checks
from vigia.store import audit, models
from vigia.store.audit import Action
from vigia.store.database import Transaction
from vigia.store.models import ModelVersion


@dataclass(frozen=True)
class Decided:
    """What a person saw who decided: the model then in charge (None: there was none), and that a failed check shall not hinder."""

    champion_id: int | None
    anyway: bool


async def handle(
    tx: Transaction, model_version_id: int, now: datetime, account_id: int | None, decided: Decided | None = None
) -> ModelVersion:
    """The model, in charge by a person's decision; without `decided` whatever is in charge now and whatever its checks say.

    Raises NotFoundError, UnfitModelError, TransitionRefusedError when it is in charge already or another model is than was seen.
    """
    model, champion = await _locked(tx, model_version_id)
    if champion is not None and champion.model_version_id == model_version_id:
        raise TransitionRefusedError(f"{model.version} is in charge already.")
    if decided is not None and decided.champion_id != (champion.model_version_id if champion else None):
        raise TransitionRefusedError("Another model has been put in charge meanwhile.")
    checks = failed_checks(model.metrics, champion.metrics if champion else None)
    if checks and decided is not None and not decided.anyway:
        raise UnfitModelError(" ".join(checks))
    await models.promote(tx, model, champion, account_id, now)
    detail = {"replaced": champion.version if champion else None, "failed_checks": checks}
    await audit.record(tx, Action(account_id, None, "promote_model", f"model_version:{model_version_id}", detail))
    return (await _locked(tx, model_version_id))[0]


async def by_itself(tx: Transaction, model_version_id: int, now: datetime) -> list[str]:
    """Put a model that was just trained in charge unless its checks fail; what failed. Raises NotFoundError."""
    model, champion = await _locked(tx, model_version_id)
    failed = failed_checks(model.metrics, champion.metrics if champion else None)
    if not failed:
        await models.promote(tx, model, champion, None, now)
    detail = {"by_itself": True, "promoted": not failed, "replaced": champion.version if champion else None, "failed_checks": failed}
    await audit.record(tx, Action(None, None, "promote_model", f"model_version:{model_version_id}", detail))
    return failed


async def roll_back(tx: Transaction, model_version_id: int, now: datetime, account_id: int | None) -> ModelVersion:
    """The model that was in charge before this one, in charge again.

    Raises NotFoundError, TransitionRefusedError when this one is not in charge or there was none before.
    """
    model, champion = await _locked(tx, model_version_id)
    if champion is None or champion.model_version_id != model_version_id:
        raise TransitionRefusedError(f"{model.version} is not in charge.")
    if model.replaced_id is None:
        raise TransitionRefusedError(f"No model was in charge before {model.version}.")
    before, _ = await _locked(tx, model.replaced_id)
    await models.withdraw(tx, model, now)
    await models.promote(tx, before, None, account_id, now)
    await audit.record(
        tx, Action(account_id, None, "roll_back_model", f"model_version:{model_version_id}", {"returned_to": before.version})
    )
    return (await _locked(tx, before.model_version_id))[0]


async def _locked(tx: Transaction, model_version_id: int) -> tuple[ModelVersion, ModelVersion | None]:
    """The model and the one in charge of its kind. Raises NotFoundError."""
    every = await models.siblings(tx, model_version_id)
    model = next((one for one in every if one.model_version_id == model_version_id), None)
    if model is None:
        raise NotFoundError
    return model, next((one for one in every if one.champion), None)
