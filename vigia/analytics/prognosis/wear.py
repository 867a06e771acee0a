"""Remaining life from how far a machine has worn: the line, fitted on few failures, on which its sensors come down to the failure.

The wear is a weighted sum of how far each sensor has left the machine's own baseline, and the line leads from the wear of machines that are
far from their end to that at which the known ones failed. A straight line is what a handful of failures can teach.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from vigia.analytics.prognosis.features import PER_SENSOR
from vigia.analytics.prognosis.horizons import of_life
from vigia.analytics.prognosis.raw import Raw

KINDS = ("level", "fast")
"""What of each sensor counts: its average, and how far that has left the baseline."""
RIDGE = 100.0


@dataclass(frozen=True)
class Wear:
    """Mean remaining life = intercept + weights * features."""

    weights: NDArray[np.float64]
    """float64[features]"""
    intercept: float
    sensors: int
    horizon: float

    @classmethod
    def fit(cls, features: NDArray[np.float64], life: NDArray[np.float64], sensors: int, horizon: float) -> Self:
        """Fit on rows of machines that failed.

        features : float64[rows, features]
        life : float64[rows], remaining life, capped, in life units
        sensors : of which there are features
        """
        columns = np.concatenate([np.arange(sensors) + PER_SENSOR.index(kind) * sensors for kind in KINDS])
        line = Ridge(alpha=RIDGE).fit(features[:, columns], life)
        weights = np.zeros(features.shape[1])
        weights[columns] = line.coef_
        return cls(weights, float(line.intercept_), sensors, horizon)

    def __call__(self, features: NDArray[np.float64]) -> Raw:
        """What is told of each row of features."""
        life = np.full(len(features), self.intercept)
        for column in np.flatnonzero(self.weights):  # one after the other: the same whoever else is in the batch
            life += self.weights[column] * features[:, column]
        return Raw(of_life(life, (self.horizon,))[:, 0], life, life[:, None])

    def chances(self, _features: NDArray[np.float64], life: NDArray[np.float64], horizons: Sequence[float]) -> NDArray[np.float64]:
        """Failure probability within each of `horizons` (float64[machines, horizons]), not calibrated, from the life just predicted."""
        return of_life(life, horizons)

    def contributions(self, features: NDArray[np.float64], healthy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Life lost to each sensor (float64[machines, sensors]): on a line, its own part of the sum."""
        end = len(PER_SENSOR) * self.sensors
        parts = ((healthy - features) * self.weights)[:, :end]
        return np.asarray(parts.reshape(len(features), len(PER_SENSOR), self.sensors).sum(axis=1))
