"""Judge a whole fleet at once, block by block of machines."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.compute import Compute
from vigia.analytics.prognosis import features
from vigia.analytics.prognosis.model import Forecast, Prognosis

MACHINES_AT_ONCE = 32


@dataclass(frozen=True)
class Machine:
    """One machine's record, one row a cycle; NaN: not measured."""

    inputs: NDArray[np.float64]
    """float64[cycles, settings + sensors], in the order and units of the model's spec"""
    ages: NDArray[np.float64]
    """cycles flown"""


def judge_fleet(model: Prognosis, fleet: Sequence[Machine], where: Compute) -> tuple[NDArray[np.float64], Forecast]:
    """The features (float64[rows, features]) and the forecast of every cycle of every machine, in their order. `fleet` is not empty."""
    blocks = [fleet[first : first + MACHINES_AT_ONCE] for first in range(0, len(fleet), MACHINES_AT_ONCE)]
    found = where.map(_judge, model, blocks)
    forecasts = [forecast for _, forecast in found]
    joined = Forecast(
        np.concatenate([one.probability for one in forecasts]),
        {horizon: np.concatenate([one.within[horizon] for one in forecasts]) for horizon in forecasts[0].within},
        {level: np.concatenate([one.quantiles[level] for one in forecasts]) for level in forecasts[0].quantiles},
        np.concatenate([one.expected for one in forecasts]),
        np.concatenate([one.cautious for one in forecasts]),
        np.concatenate([one.health for one in forecasts]),
    )
    return np.vstack([rows for rows, _ in found]), joined


def judge_newest(model: Prognosis, fleet: Sequence[Machine]) -> Forecast:
    """The forecast of every machine's newest cycle; its health is the lowest of the record. Neither `fleet` nor a record is empty."""
    _, every = _judge(model, fleet)
    ends = np.cumsum([len(one.ages) for one in fleet])
    return replace(taken(every, ends - 1), health=np.minimum.reduceat(every.health, np.concatenate(([0], ends[:-1]))))


def taken(every: Forecast, rows: NDArray[np.int64]) -> Forecast:
    """Some rows of a forecast."""
    return Forecast(
        every.probability[rows],
        {horizon: said[rows] for horizon, said in every.within.items()},
        {level: life[rows] for level, life in every.quantiles.items()},
        every.expected[rows],
        every.cautious[rows],
        every.health[rows],
    )


def _judge(model: Prognosis, block: Sequence[Machine]) -> tuple[NDArray[np.float64], Forecast]:
    """A unit of work."""
    rows = np.vstack(features.of_histories(model.spec, [one.inputs for one in block], [one.ages for one in block]))
    return rows, model.forecast(rows)
