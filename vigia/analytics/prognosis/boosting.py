"""The gradient-boosted trees and their settings, chosen by cross-validation by unit on FD001's units 1-80."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

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


@dataclass(frozen=True)
class Boosters:
    """One classifier (does it fail within the horizon?) and one regressor a quantile of the remaining life."""

    classifier: HistGradientBoostingClassifier
    quantiles: Mapping[float, HistGradientBoostingRegressor]

    def probability(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Uncalibrated failure probability of each row."""
        with _one_thread():
            return np.asarray(self.classifier.predict_proba(features)[:, 1])

    def life(self, features: NDArray[np.float64], level: float) -> NDArray[np.float64]:
        """The `level` quantile of the remaining life of each row, before conformal correction, in life units."""
        with _one_thread():
            return np.asarray(self.quantiles[level].predict(features))


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
    with _one_thread():
        return Boosters(
            HistGradientBoostingClassifier(**settings).fit(features, fails),
            {
                level: HistGradientBoostingRegressor(loss="quantile", quantile=level, **settings).fit(features, life)
                for level in wanted.levels
            },
        )
