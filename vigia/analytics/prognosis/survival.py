"""Remaining life from age alone: a Weibull distribution of the lives of machines that failed and of those that still run.

Maximum likelihood with right-censored lives; the shape, which few failures make look too sharp, is reduced as by Ross (Formulas to describe
the bias and standard deviation of the ML-estimated Weibull shape parameter, IEEE Transactions on Dielectrics and Electrical Insulation 1,
1994). With less than three failures the shape is assumed instead (Weibayes).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.prognosis.raw import Raw

ASSUMED_SHAPE = 3.0
"""Machines wear out: the older, the more often they fail."""
_SHAPES = (0.2, 50.0)
_ENOUGH = 3
_STEPS = 128


@dataclass(frozen=True)
class Weibull:
    """Share that reaches age t: exp(-(t / scale) ** shape)."""

    shape: float
    scale: float
    """life unit"""

    @classmethod
    def fit(cls, lives: NDArray[np.float64], failed: NDArray[np.bool_]) -> Self:
        """Fit on lives > 0 (float64[machines]): at the failure, or so far (bool[machines] False). At least one has failed."""
        size = float(lives.max())
        t, failures = lives / size, int(failed.sum())
        shape = ASSUMED_SHAPE
        if failures >= _ENOUGH:
            low, high = _SHAPES
            for _ in range(60):  # halvings
                shape = (low + high) / 2
                powers = t**shape
                slope = float(powers @ np.log(t) / powers.sum() - 1 / shape - np.log(t[failed]).mean())
                low, high = (shape, high) if slope < 0 else (low, shape)
            shape *= (failures - 2) / (failures - 0.68)
        return cls(shape, size * float((t**shape).sum() / failures) ** (1 / shape))

    def survival(self, age: NDArray[np.float64], further: float) -> NDArray[np.float64]:
        """The share of machines of each age that lives `further`."""
        return np.asarray(np.exp((age / self.scale) ** self.shape - ((age + further) / self.scale) ** self.shape))

    def mean_life(self, age: NDArray[np.float64], cap: float) -> NDArray[np.float64]:
        """The mean remaining life of machines of each age, of which none counts for more than `cap`."""
        steps = (np.arange(_STEPS) + 0.5) * cap / _STEPS
        return np.asarray(np.mean([self.survival(age, step) for step in steps], axis=0) * cap)


@dataclass(frozen=True)
class Survival:
    """Judges a machine by its age, the last of its features."""

    weibull: Weibull
    horizon: float
    cap: float

    def __call__(self, features: NDArray[np.float64]) -> Raw:
        """What is told of each row of features."""
        age = features[:, -1]
        life = self.weibull.mean_life(age, self.cap)
        return Raw(1 - self.weibull.survival(age, self.horizon), life, life[:, None])

    def chances(self, features: NDArray[np.float64], _life: NDArray[np.float64], horizons: Sequence[float]) -> NDArray[np.float64]:
        """Failure probability within each of `horizons` (float64[machines, horizons]) of machines that became so old."""
        return np.column_stack([np.empty((len(features), 0)), *(1 - self.weibull.survival(features[:, -1], one) for one in horizons)])

    def contributions(self, features: NDArray[np.float64], _healthy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Life lost to age (float64[machines, 1]): what a new machine has before it, less what is left."""
        age = features[:, -1]
        return (self.weibull.mean_life(np.zeros(1), self.cap) - self.weibull.mean_life(age, self.cap))[:, None]
