"""What closed orders teach: the record of each machine from its installation to the end of its order, and what the technician found."""

import itertools

import numpy as np

from vigia.analytics.inputs import PointMap
from vigia.analytics.prognosis.similar import Known
from vigia.analytics.prognosis.train import Ended, History, TrainingOptions
from vigia.store import models, predictions
from vigia.store.database import Database
from vigia.store.models import ClosedOrder
from vigia.store.predictions import Stretch

LEAST_CYCLES = 30
"""A shorter record shows no wear."""
_ENDED = {"confirmed": Ended.CONFIRMED, "wrong": Ended.SOUND}


async def histories(database: Database, asset_model: str, options: TrainingOptions) -> list[History]:
    """One history for the last closed order of each stay of a machine in a role, if it is long enough. Raises UnknownAssetModelError.

    A machine that failed did so by its case; otherwise the verdict counts, and what is early or inconclusive leaves the end open.
    """
    async with database.transaction() as tx:
        orders = await models.closed_orders(tx, asset_model, options.failure_mode)
    found = [await _history(database, order, options) for order in orders]
    return [history for history in found if history is not None]


async def _history(database: Database, order: ClosedOrder, options: TrainingOptions) -> History | None:
    until = order.failed_at or order.finished_at
    async with database.transaction() as tx:
        points = PointMap.of(options, await predictions.points(tx, [order.asset_id]))
        moments = await predictions.readings(tx, [Stretch(order.asset_id, order.installed_at, until)])
    inputs = [one for one in map(points.inputs, moments) if one is not None]
    if len(inputs) < LEAST_CYCLES:
        return None
    values = np.array([one.values for one in inputs])
    counted = np.array([one.age for one in inputs])
    ages = np.where(np.isnan(counted), np.arange(1.0, len(inputs) + 1), counted)
    split = len(options.settings)
    ended = Ended.FAILED if order.failed_at is not None and order.verdict != "wrong" else _ENDED.get(order.verdict, Ended.OPEN)
    known = Known(work_order_id=order.work_order_id, customer_id=order.customer_id, asset_id=order.asset_id)
    return History(_filled(values[:, :split]), _filled(values[:, split:]), ages, ages[-1] - ages, ended, known)


def _filled(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """A missing value is the last one before it, as in service; before the first it stays missing."""
    found = values.copy()
    for before, now in itertools.pairwise(found):
        np.copyto(now, before, where=np.isnan(now))
    return found
