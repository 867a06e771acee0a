"""Probability of failing within several horizons, from what is foretold anyway: no further trees are learned.

The horizon by which orders are raised has a classifier of its own. At every other one, machines are in the order of their predicted
remaining life; how likely each is to fail is learned on machines that were not seen, as for the first.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.prognosis.calibration import ProbabilityCalibration, reliability

LIFE_PER_ODDS = 10.0
"""The predicted life, in life units, by which the log-odds of a failure change by one, before they are calibrated."""
MOST_ODDS = 30.0


def of_life(life: NDArray[np.float64], horizons: Sequence[float]) -> NDArray[np.float64]:
    """float64[machines, horizons]: the failure probability, not calibrated, of each predicted life (float64[machines])."""
    beyond = (life[:, None] - np.array(horizons)) / LIFE_PER_ODDS
    return np.asarray(1 / (1 + np.exp(np.clip(beyond, -MOST_ODDS, MOST_ODDS))))


@dataclass(frozen=True)
class Horizons:
    """The calibrations of all horizons but the main one, which is calibrated with its classifier."""

    main: float
    calibrations: Mapping[float, ProbabilityCalibration]
    """shortest horizon first"""

    @property
    def every(self) -> tuple[float, ...]:
        """All horizons, shortest first."""
        return tuple(sorted({self.main, *self.calibrations}))

    @classmethod
    def fit(
        cls,
        main: float,
        others: Sequence[float],
        raw: NDArray[np.float64],
        outcomes: Sequence[tuple[NDArray[np.bool_], NDArray[np.bool_]]],
    ) -> Self:
        """Fit on machines that were not seen. A horizon within which all or none failed is left out.

        others : rising
        raw : float64[rows, others], not calibrated
        outcomes : of each of `others`, which rows fail within it (bool[rows]) and of which that is known (bool[rows])
        """
        found = {}
        for horizon, probability, (fails, told) in zip(others, raw.T, outcomes, strict=True):
            if 0 < fails[told].sum() < told.sum():
                found[horizon] = ProbabilityCalibration.fit(probability[told], fails[told])
        return cls(main, found)

    def __call__(self, probability: NDArray[np.float64], raw: NDArray[np.float64]) -> dict[float, NDArray[np.float64]]:
        """By horizon, shortest first, the calibrated probability of each machine, which never falls from one horizon to a longer one.

        probability : float64[machines], of the main horizon, calibrated
        raw : float64[machines, calibrations], not calibrated
        """
        said = {horizon: fit(column) for (horizon, fit), column in zip(self.calibrations.items(), raw.T, strict=True)}
        said[self.main] = most = least = probability
        for horizon in sorted(said, reverse=True):
            if horizon < self.main:
                said[horizon] = most = np.minimum(said[horizon], most)
        for horizon in sorted(said):
            if horizon > self.main:
                said[horizon] = least = np.maximum(said[horizon], least)
        return dict(sorted(said.items()))


def figures(
    within: Mapping[float, NDArray[np.float64]], outcomes: Callable[[float], tuple[NDArray[np.bool_], NDArray[np.bool_]]]
) -> list[dict[str, Any]]:
    """How good probabilities within each horizon were: Brier score, that of always saying the share of failures, reliability curve.

    outcomes : of a horizon, which rows fail within it, and of which that is known
    """
    found = []
    for horizon, said in within.items():
        fails, told = outcomes(horizon)
        probability, fails = said[told], fails[told]
        brier, base = np.mean(np.square(probability - fails)), np.mean(np.square(fails.mean() - fails))
        numbers = {"horizon": horizon, "brier": round(float(brier), 4), "brier_of_the_base_rate": round(float(base), 4)}
        found.append({**numbers, "reliability": reliability(probability, fails)})
    return found
