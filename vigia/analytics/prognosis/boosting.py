"""The gradient-boosted trees and their settings, chosen by cross-validation by unit on FD001's units 1-80."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from vigia.analytics.prognosis.features import PER_SENSOR
from vigia.analytics.prognosis.forest import Forest
from vigia.analytics.prognosis.horizons import of_life
from vigia.analytics.prognosis.raw import Raw

SEED = 20260101
_SETTINGS: Mapping[str, Any] = {
    "learning_rate": 0.09,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 60,
    "l2_regularization": 5.0,
    "max_features": 0.3,
    "early_stopping": False,
    "random_state": SEED,
}


_PATIENT: Mapping[str, Any] = {**_SETTINGS, "learning_rate": 0.03, "max_features": 0.2}
_FEW_SIGNS: Mapping[str, Any] = {
    **_SETTINGS,
    "loss": "quantile",
    "learning_rate": 0.1,
    "max_iter": 60,
    "max_leaf_nodes": 8,
    "min_samples_leaf": 300,  # a machine has some 200 rows: no leaf is one machine's
    "max_features": 1.0,
}
_PATIENCE = 3  # so many times the trees, for the smaller steps
ROWS_AT_ONCE = 512
_LEVEL = PER_SENSOR.index("level")


def classifier(trees: int) -> HistGradientBoostingClassifier:
    """Learns whether a machine fails within the horizon."""
    return HistGradientBoostingClassifier(**_SETTINGS, max_iter=trees)


def quantile(level: float) -> HistGradientBoostingRegressor:
    """Learns the quantile of remaining life at `level`, less the mean, from little: the wear of the machine and that mean."""
    return HistGradientBoostingRegressor(**_FEW_SIGNS, quantile=level)


def regressor(trees: int) -> HistGradientBoostingRegressor:
    """Learns the mean remaining life: the single number with the smallest squared error."""
    return HistGradientBoostingRegressor(**_PATIENT, max_iter=_PATIENCE * trees)


@cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[object]:
    """Keep OpenMP to the calling thread: its threads wait for each other by spinning, which on a busy machine took ten times as long."""
    limited: AbstractContextManager[object] = _threads().limit(limits=1, user_api="openmp")
    return limited


@dataclass(frozen=True)
class Fusion:
    """One more channel, the weighted sum of all sensors that best follows the remaining life: wear shows in many at once.

    Every kind of feature is linear in the readings, so the channel's features are the same sum of the sensors'.
    """

    weights: NDArray[np.float64]
    """float64[sensors]"""

    @classmethod
    def fit(cls, features: NDArray[np.float64], life: NDArray[np.float64]) -> Self:
        """Learn from the first kind of feature, a level."""
        sensors = (features.shape[1]) // len(PER_SENSOR)
        return cls(np.asarray(Ridge().fit(features[:, :sensors], life).coef_))

    def __call__(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """The features with those of the channel behind them. Summed sensor by sensor: the same whoever else is in the batch."""
        sensors, count = len(self.weights), features.shape[1]
        found = np.zeros((len(features), count + len(PER_SENSOR)))
        found[:, :count] = features
        for sensor, weight in enumerate(self.weights):
            found[:, count:] += weight * features[:, sensor : len(PER_SENSOR) * sensors : sensors]
        return found


@dataclass(frozen=True)
class Examples:
    """Rows of many machines to learn from."""

    features: NDArray[np.float64]
    """float64[rows, features]"""
    answer: NDArray[Any]
    """bool[rows], does it fail within the horizon, or float64[rows], its remaining life, capped, in life units"""


@dataclass(frozen=True)
class Boosters:
    """One forest for whether it fails within the horizon, and one for the mean remaining life."""

    fusion: Fusion
    classifier: Forest
    regressor: Forest

    @classmethod
    def fit(cls, fails: Examples, lives: Examples, trees: int) -> Self:
        """Learn both. `trees` of the classifier; the regressor learns by smaller steps, and has more for that."""
        fusion = Fusion.fit(lives.features, lives.answer)
        with one_thread():
            return cls(
                fusion,
                Forest.of(classifier(trees).fit(fusion(fails.features), fails.answer)),
                Forest.of(regressor(trees).fit(fusion(lives.features), lives.answer)),
            )

    def __call__(self, features: NDArray[np.float64]) -> Raw:
        """What is told of each row of features; its signs are the mean life and the fused channel."""
        odds, signs = np.empty(len(features)), np.empty((len(features), 1 + len(PER_SENSOR)))
        for first in range(0, len(features), ROWS_AT_ONCE):
            some = slice(first, first + ROWS_AT_ONCE)
            x = self.fusion(features[some])
            odds[some], signs[some, 0], signs[some, 1:] = self.classifier(x), self.regressor(x), x[:, features.shape[1] :]
        return Raw(1 / (1 + np.exp(-odds)), signs[:, 0].copy(), signs)

    def chances(self, _features: NDArray[np.float64], life: NDArray[np.float64], horizons: Sequence[float]) -> NDArray[np.float64]:
        """Failure probability within each of `horizons` (float64[machines, horizons]), not calibrated, from the life just predicted."""
        return of_life(life, horizons)

    def contributions(self, features: NDArray[np.float64], healthy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Life lost to each sensor.

        What the fused channel accounts for is shared, in proportion, by the sensors that moved it that way.

        features, healthy : float64[machines, features], now and with every sensor at its baseline
        returns float64[machines, sensors], life units; a row adds up to the mean life of `healthy` less that of `features`
        """
        lost = np.empty((len(features), len(self.fusion.weights)))
        for first in range(0, len(features), ROWS_AT_ONCE):
            some = slice(first, first + ROWS_AT_ONCE)
            lost[some] = self._lost(features[some], healthy[some])
        return lost

    def _lost(self, features: NDArray[np.float64], healthy: NDArray[np.float64]) -> NDArray[np.float64]:
        weights, sensors = self.fusion.weights, len(self.fusion.weights)
        x, reference = self.fusion(features), self.fusion(healthy)
        group = np.full(x.shape[1], sensors, dtype=np.int64)  # the fused channel; age, which does not change, may be there too
        group[: len(PER_SENSOR) * sensors] = np.tile(np.arange(sensors), len(PER_SENSOR))
        lost = -self.regressor.shapley(x, reference, group, sensors + 1)
        level = slice(_LEVEL * sensors, (_LEVEL + 1) * sensors)
        moved = weights * (healthy[:, level] - features[:, level])
        alike = np.maximum(moved * np.sign(lost[:, -1:]), 0.0)
        total = alike.sum(axis=1, keepdims=True)
        return np.asarray(lost[:, :-1] + lost[:, -1:] * np.where(total > 0, alike / np.where(total > 0, total, 1.0), 1 / sensors))
