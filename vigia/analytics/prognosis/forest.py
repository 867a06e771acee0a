"""Gradient-boosted trees, taken out of scikit-learn into flat arrays: a fleet is scored in one pass, and explained exactly."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from vigia.analytics.kernels.forest import Trees, add_leaves, add_shapley, order_shares


@dataclass(frozen=True)
class Forest:
    """Trees whose leaves are added to a start: log-odds of a classifier, the value of a regressor."""

    start: float
    trees: Trees

    @classmethod
    def of(cls, fitted: HistGradientBoostingClassifier | HistGradientBoostingRegressor) -> Self:
        """The trees of a fitted regressor (squared error) or classifier of two classes, both without categories."""
        # scikit-learn has no public way to its trees; a test compares what they say, number by number.
        nodes = [trees[0].nodes for trees in fitted._predictors]  # noqa: SLF001
        first = np.cumsum([0, *(len(its) for its in nodes)])[:-1]
        every = np.concatenate(nodes)
        offset = np.repeat(first, [len(its) for its in nodes])
        leaf, itself = every["is_leaf"].astype(bool), np.arange(len(every))
        trees = Trees(
            feature=np.where(leaf, 0, every["feature_idx"]).astype(np.uint32),
            threshold=every["num_threshold"].astype(np.float64),
            left=np.where(leaf, itself, every["left"] + offset).astype(np.uint32),
            right=np.where(leaf, itself, every["right"] + offset).astype(np.uint32),
            value=every["value"].astype(np.float64),
            root=first.astype(np.uint32),
            depth=np.array([its["depth"].max() for its in nodes], np.int32),
        )
        return cls(float(np.ravel(fitted._baseline_prediction)[0]), trees)  # noqa: SLF001

    def __call__(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum for each of `rows` (float64[n, features], no NaN)."""
        total = np.full(len(rows), self.start)
        add_leaves(self.trees, np.ascontiguousarray(rows), total)
        return total

    def shapley(
        self, rows: NDArray[np.float64], reference: NDArray[np.float64], group: NDArray[np.int64], groups: int
    ) -> NDArray[np.float64]:
        """float64[n, groups]: what each group of features makes of the difference between a row's sum and its reference's, exactly.

        rows, reference : float64[n, features], no NaN
        group : int64[features]
        """
        out = np.zeros((len(rows), groups))
        of_node = group.astype(np.uint32)[self.trees.feature]
        shares = order_shares(int(self.trees.depth.max()) + 1)
        add_shapley(self.trees, np.ascontiguousarray(rows), np.ascontiguousarray(reference), of_node, shares, out)
        return out
