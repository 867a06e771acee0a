"""Each day of the fleet's time, whether each model in charge still fits what the fleet sends and what became of its predictions."""

from datetime import datetime, timedelta

from vigia.domain import drift
from vigia.store import audit, model_drift
from vigia.store.audit import Action
from vigia.store.database import Transaction
from vigia.store.model_drift import Drift

WINDOW = timedelta(days=7)
"""Of fleet time: the predictions whose inputs are looked at."""


async def handle(tx: Transaction, now: datetime) -> list[Drift]:
    """What was found of the models in charge that had not been looked at that day; a new warning is on record."""
    found, before = [], await model_drift.newest(tx)
    for model in await model_drift.champions(tx):
        last = before.get(model.model_version_id)
        if last is not None and last.day >= now.date():
            continue
        machines = await model_drift.machines(tx, model.model_version_id, now - WINDOW, now)
        if not machines:
            continue
        learned = (model.inputs or {}).get("inputs", {})
        spread = await model_drift.spread(tx, model, now - WINDOW, now)
        inputs = {name: drift.moved(learned[name]["counts"], counts) for name, counts in spread.items()}
        resolved = await model_drift.resolved(tx, model)
        warnings = drift.warnings(inputs, machines, resolved, model.metrics)
        if not await model_drift.keep(tx, model.model_version_id, now.date(), (machines, inputs, resolved, warnings)):
            continue
        if set(warnings) - set(last.warnings if last else ()):
            await audit.record(tx, Action(None, None, "warn_of_drift", f"model_version:{model.model_version_id}", {"warnings": warnings}))
        found.append((await model_drift.newest(tx, model.model_version_id))[model.model_version_id])
    return found
