"""Others' detectors on one machine's readings, as their documentation calls them. One that is not installed is left out."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata, util
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

PACKAGES: Final = ("river", "pysad", "pyod", "scikit-learn")
_MODULES: Final = {"scikit-learn": "sklearn"}
LEAST_S: Final = 0.3  # each way runs at least so long


@dataclass(frozen=True)
class Peer:
    """How fast one way is. `what` names Vigía's figure of the same work: `ewma_cusum_values` or `pca_rows`."""

    what: str
    rate: float

    def figures(self, ours: float) -> dict[str, float]:
        """Its rate, and how many times as fast Vigía is."""
        unit = self.what.rpartition("_")[2]
        return {f"{unit}_per_s": round(self.rate), "times": round(ours / self.rate, 1)}


def missing() -> list[str]:
    """Which of PACKAGES are not installed."""
    return [name for name in PACKAGES if util.find_spec(_MODULES.get(name, name)) is None]


def versions() -> dict[str, str]:
    """Versions of those that are."""
    return {name: metadata.version(name) for name in PACKAGES if name not in missing()}


def measure(healthy: NDArray[np.float64], rows: NDArray[np.float64]) -> dict[str, Peer]:
    """Rates on one machine: learned from `healthy`, timed on `rows`, both float64[n, channels], again and again."""
    ways: dict[str, tuple[str, str, Callable[[NDArray[np.float64], NDArray[np.float64]], Callable[[], int]]]] = {
        "river EWMean, EWVar and PageHinkley": ("river", "ewma_cusum_values", _river),
        "pysad StandardAbsoluteDeviation": ("pysad", "ewma_cusum_values", _pysad),
        "river HalfSpaceTrees": ("river", "pca_rows", _half_space_trees),
        "pyod PCA": ("pyod", "pca_rows", _pyod),
        "scikit-learn IsolationForest": ("scikit-learn", "pca_rows", _isolation_forest),
    }
    absent = missing()
    return {name: Peer(what, _rate(ready(healthy, rows))) for name, (package, what, ready) in ways.items() if package not in absent}


def _rate(way: Callable[[], int]) -> float:
    """What `way` counts, a second of CPU time."""
    way()  # warms up
    done, begun = 0, time.thread_time()
    while (spent := time.thread_time() - begun) < LEAST_S:
        done += way()
    return done / spent


def _river(healthy: NDArray[np.float64], rows: NDArray[np.float64]) -> Callable[[], int]:
    from river import drift, stats  # noqa: PLC0415 - an extra

    channels = [(stats.EWMean(0.01), stats.EWVar(0.01), drift.PageHinkley(mode="both")) for _ in range(rows.shape[1])]
    told = [column.tolist() for column in rows.T]

    def run() -> int:
        for (mean, variance, page), column in zip(channels, told, strict=True):
            for value in column:
                mean.update(value)
                variance.update(value)
                spread = variance.get()
                page.update((value - mean.get()) / spread**0.5 if spread > 0 else 0.0)
        return rows.size

    _run_over(healthy, channels)
    return run


def _run_over(healthy: NDArray[np.float64], channels: Sequence[tuple[Any, Any, Any]]) -> None:
    for (mean, variance, _), column in zip(channels, healthy.T, strict=True):
        for value in column.tolist():
            mean.update(value)
            variance.update(value)


def _pysad(healthy: NDArray[np.float64], rows: NDArray[np.float64]) -> Callable[[], int]:
    from pysad.models import StandardAbsoluteDeviation  # noqa: PLC0415

    models = [StandardAbsoluteDeviation() for _ in range(rows.shape[1])]

    def run_on(table: NDArray[np.float64]) -> int:
        for c, model in enumerate(models):
            for r in range(len(table)):
                model.fit_score_partial(table[r, c : c + 1])
        return table.size

    run_on(healthy)
    return lambda: run_on(rows)


def _half_space_trees(healthy: NDArray[np.float64], rows: NDArray[np.float64]) -> Callable[[], int]:
    from river import anomaly, preprocessing  # noqa: PLC0415

    model = preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(seed=1)

    def run_on(table: NDArray[np.float64]) -> int:
        for row in table.tolist():
            named = dict(enumerate(row))
            model.score_one(named)
            model.learn_one(named)
        return len(table)

    run_on(healthy)
    return lambda: run_on(rows)


def _pyod(healthy: NDArray[np.float64], rows: NDArray[np.float64]) -> Callable[[], int]:
    from pyod.models.pca import PCA  # noqa: PLC0415

    model = PCA(random_state=1).fit(healthy)
    return lambda: len(model.decision_function(rows))


def _isolation_forest(healthy: NDArray[np.float64], rows: NDArray[np.float64]) -> Callable[[], int]:
    from sklearn.ensemble import IsolationForest  # noqa: PLC0415

    model = IsolationForest(random_state=1, n_jobs=1).fit(healthy)
    return lambda: len(model.score_samples(rows))
