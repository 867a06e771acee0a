"""The gradient-boosted trees and their settings, chosen by cross-validation by unit on FD001's units 1-80."""

from collections.abc import Mapping
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


@cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()


def _one_thread() -> AbstractContextManager[object]:
    """Keep OpenMP to the calling thread: its threads wait for each other by spinning, which on a busy machine took ten times as long."""
    limited: AbstractContextManager[object] = _threads().limit(limits=1, user_api="openmp")
    return limited


_PATIENT: Mapping[str, Any] = {**_SETTINGS, "learning_rate": 0.03, "max_features": 0.2}
_PATIENCE = 3  # so many times the trees, for the smaller steps


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
        sensors = len(self.weights)
        fused = np.zeros((len(features), len(PER_SENSOR)))
        for sensor, weight in enumerate(self.weights):
            fused += weight * features[:, sensor : len(PER_SENSOR) * sensors : sensors]
        return np.hstack((features, fused))


@dataclass(frozen=True)
class Boosters:
    """One classifier (does it fail within the horizon?) and one regressor a quantile of the remaining life."""

    fusion: Fusion
    classifier: HistGradientBoostingClassifier
    quantiles: Mapping[float, HistGradientBoostingRegressor]

    def probability(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Uncalibrated failure probability of each row."""
        with _one_thread():
            return np.asarray(self.classifier.predict_proba(self.fusion(features))[:, 1])

    def life(self, features: NDArray[np.float64], level: float) -> NDArray[np.float64]:
        """The `level` quantile of the remaining life of each row, before conformal correction, in life units."""
        with _one_thread():
            return np.asarray(self.quantiles[level].predict(self.fusion(features)))


@dataclass(frozen=True)
class Wanted:
    """Which quantiles of the remaining life, and how many trees each model has."""

    levels: tuple[float, ...]
    trees: int


def fit(features: NDArray[np.float64], fails: NDArray[np.bool_], life: NDArray[np.float64], wanted: Wanted) -> Boosters:
    """Train on rows of many machines.

    features : float64[rows, features]
    fails : bool[rows], does the machine fail within the horizon?
    life : float64[rows], remaining life, capped, in life units
    """
    settings = {**_SETTINGS, "max_iter": wanted.trees}
    fusion = Fusion.fit(features, life)
    x = fusion(features)
    with _one_thread():
        return Boosters(
            fusion,
            HistGradientBoostingClassifier(**settings).fit(x, fails),
            {level: HistGradientBoostingRegressor(loss="quantile", quantile=level, **settings).fit(x, life) for level in wanted.levels},
        )


@dataclass(frozen=True)
class Expectation:
    """A regressor of the mean remaining life: the single number with the smallest squared error."""

    fusion: Fusion
    regressor: HistGradientBoostingRegressor

    @classmethod
    def fit(cls, features: NDArray[np.float64], life: NDArray[np.float64], trees: int) -> Self:
        """As `fit`; it learns by smaller steps, and has more trees for that."""
        fusion = Fusion.fit(features, life)
        regressor = HistGradientBoostingRegressor(**_PATIENT, max_iter=_PATIENCE * trees)
        with _one_thread():
            return cls(fusion, regressor.fit(fusion(features), life))

    def life(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean remaining life of each row, in life units."""
        with _one_thread():
            return np.asarray(self.regressor.predict(self.fusion(features)))
