"""Operating conditions: the same healthy machine reads differently at cruise and on the ground.

Readings are compared with what the training fleet read in the same condition. Conditions are found from the settings: values of
a setting that stand clearly apart are different levels, and each combination of levels that occurs is a condition.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

LEVEL_GAP = 0.05
"""Two levels of a setting are at least this share of its range apart ..."""
LEVEL_SHARE = 0.01
"""... and each holds at least this share of the readings; otherwise the setting has one level and noise."""
CONSTANT = 1e-6
"""A sensor whose deviation is below this share of its mean, in every condition, says nothing."""


@dataclass(frozen=True)
class Conditions:
    """What the training fleet read in each of its operating conditions."""

    scale: NDArray[np.float64]
    """float64[settings]: range of each setting, to measure distances in"""
    centres: NDArray[np.float64]
    """float64[conditions, settings]"""
    mean: NDArray[np.float64]
    """float64[conditions, sensors], sensor units"""
    deviation: NDArray[np.float64]
    """float64[conditions, sensors], sensor units, never 0"""
    varying: NDArray[np.bool_]
    """bool[sensors]: False for the sensors that are constant in every condition"""

    @classmethod
    def fit(cls, settings: NDArray[np.float64], sensors: NDArray[np.float64]) -> Self:
        """Find the conditions in the training fleet's readings (float64[rows, settings], float64[rows, sensors]; no NaN)."""
        levels = np.column_stack([_levels(column) for column in settings.T]) if settings.shape[1] else np.zeros((len(settings), 1), int)
        _, condition = np.unique(levels, axis=0, return_inverse=True)
        count = int(condition.max()) + 1
        groups = [condition == index for index in range(count)]
        mean = np.array([sensors[group].mean(axis=0) for group in groups])
        deviation = np.array([sensors[group].std(axis=0) for group in groups])
        constant = deviation <= CONSTANT * np.maximum(np.abs(mean), CONSTANT)
        return cls(
            scale=np.where(np.ptp(settings, axis=0) > 0, np.ptp(settings, axis=0), 1.0),
            centres=np.array([settings[group].mean(axis=0) for group in groups]),
            mean=mean,
            deviation=np.where(constant, 1.0, deviation),
            varying=~constant.all(axis=0),
        )

    def of(self, settings: NDArray[np.float64]) -> NDArray[np.int64]:
        """The condition nearest to each row of `settings` (float64[rows, settings]); a NaN setting does not count."""
        if len(self.centres) == 1:
            return np.zeros(len(settings), dtype=np.int64)
        distance = np.abs(settings[:, None, :] - self.centres[None, :, :]) / self.scale
        return np.asarray(np.nan_to_num(distance).sum(axis=2).argmin(axis=1), dtype=np.int64)


def _levels(column: NDArray[np.float64]) -> NDArray[np.int64]:
    """Which of its well-separated levels each value belongs to; all 0 when there is only one."""
    ordered = np.sort(column)
    gaps = np.diff(ordered)
    cuts = np.flatnonzero(gaps > LEVEL_GAP * max(float(ordered[-1] - ordered[0]), 1e-12))
    sizes = np.diff(np.concatenate(([0], cuts + 1, [len(column)])))
    if not len(cuts) or sizes.min() < LEVEL_SHARE * len(column):
        return np.zeros(len(column), dtype=np.int64)
    return np.searchsorted(ordered[cuts], column, side="left").astype(np.int64)
