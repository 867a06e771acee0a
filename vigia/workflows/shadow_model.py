"""A failure model begins to predict in the shadow of the one in charge, or leaves it."""

from vigia.domain.errors import NotFoundError, TransitionRefusedError
from vigia.store import audit, models
from vigia.store.audit import Action
from vigia.store.database import Transaction
from vigia.store.models import ModelVersion


async def begin(tx: Transaction, model_version_id: int, account_id: int | None) -> ModelVersion:
    """The model, in the shadow; another of its kind that was there leaves it.

    Raises NotFoundError, TransitionRefusedError when it is in charge or in the shadow already.
    """
    model = await _locked(tx, model_version_id)
    if model.champion or model.shadow:
        raise TransitionRefusedError(f"{model.version} is in {'charge' if model.champion else 'the shadow already'}.")
    await models.begin_shadow(tx, model)
    await audit.record(tx, Action(account_id, None, "begin_shadow", f"model_version:{model_version_id}", {}))
    return await _locked(tx, model_version_id)


async def end(tx: Transaction, model_version_id: int, account_id: int | None) -> ModelVersion:
    """The model, out of the shadow. Raises NotFoundError, TransitionRefusedError when it is not in it."""
    model = await _locked(tx, model_version_id)
    if not model.shadow:
        raise TransitionRefusedError(f"{model.version} is not in the shadow.")
    await models.end_shadow(tx, model)
    await audit.record(tx, Action(account_id, None, "end_shadow", f"model_version:{model_version_id}", {}))
    return await _locked(tx, model_version_id)


async def _locked(tx: Transaction, model_version_id: int) -> ModelVersion:
    model = next((one for one in await models.siblings(tx, model_version_id) if one.model_version_id == model_version_id), None)
    if model is None:
        raise NotFoundError
    return model
