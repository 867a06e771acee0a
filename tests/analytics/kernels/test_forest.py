"""The trees in flat arrays say what scikit-learn's say, and their Shapley values are those of the definition."""

from itertools import permutations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from vigia.analytics.prognosis.forest import Forest

GROUP = np.array([0, 0, 1, 2, 2, 3])
SETTINGS = {"max_iter": 30, "min_samples_leaf": 5, "random_state": 1}


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return np.random.default_rng(1).normal(0, 1, (500, len(GROUP)))


@pytest.fixture(scope="module")
def target(rows: np.ndarray) -> np.ndarray:
    return rows[:, 0] * rows[:, 2] + np.abs(rows[:, 4]) - rows[:, 5]


@pytest.fixture(scope="module")
def regressor(rows: np.ndarray, target: np.ndarray) -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(**SETTINGS).fit(rows, target)


def test_a_regressors_trees_say_the_same(rows: np.ndarray, regressor: HistGradientBoostingRegressor) -> None:
    np.testing.assert_array_equal(Forest.of(regressor)(rows), regressor.predict(rows))


def test_a_classifiers_trees_say_the_same(rows: np.ndarray, target: np.ndarray) -> None:
    fitted = HistGradientBoostingClassifier(**SETTINGS).fit(rows, target > 0)
    np.testing.assert_array_equal(Forest.of(fitted)(rows), fitted.decision_function(rows))


def test_what_a_row_gets_does_not_depend_on_the_others(rows: np.ndarray, regressor: HistGradientBoostingRegressor) -> None:
    forest = Forest.of(regressor)
    whole = forest.shapley(rows[:100], rows[100:200], GROUP, 4)
    alone = [forest.shapley(rows[i : i + 1], rows[100 + i : 101 + i], GROUP, 4)[0] for i in range(100)]
    np.testing.assert_array_equal(whole, alone)


def test_each_group_gets_the_mean_of_what_it_adds_over_all_orders(rows: np.ndarray, regressor: HistGradientBoostingRegressor) -> None:
    forest = Forest.of(regressor)
    now, before = rows[:20], rows[20:40]
    expected = np.zeros((20, 4))
    orders = list(permutations(range(4)))
    for order in orders:
        current = before.copy()
        for group in order:
            said = forest(current)
            current[:, group == GROUP] = now[:, group == GROUP]
            expected[:, group] += (forest(current) - said) / len(orders)
    found = forest.shapley(now, before, GROUP, 4)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    np.testing.assert_allclose(found.sum(axis=1), forest(now) - forest(before), atol=1e-9)
