"""Make the trees' numbers honest, on machines that the trees have not seen.

Probabilities: logistic calibration (Platt) of the classifier's log-odds. Quantiles of remaining life: conformal correction with the
machine as the unit of exchange, since the cycles of one machine are anything but independent (hierarchical conformal prediction,
Lee, Barber and Willett 2023), separately for machines near their end, in the middle and far from it.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

EDGE = 1e-6


def _log_odds(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.clip(probability, EDGE, 1 - EDGE)
    return np.asarray(np.log(inside / (1 - inside)))


@dataclass(frozen=True)
class ProbabilityCalibration:
    """Calibrated log-odds = slope * log-odds + intercept."""

    slope: float
    intercept: float

    @classmethod
    def fit(cls, probability: NDArray[np.float64], fails: NDArray[np.bool_]) -> Self:
        """Fit on out-of-unit probabilities (float64[rows]) and what happened (bool[rows])."""
        line = LogisticRegression(C=1e6).fit(_log_odds(probability)[:, None], fails)
        return cls(float(line.coef_[0, 0]), float(line.intercept_[0]))

    def __call__(self, probability: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated probability, between 0 and 1."""
        return np.asarray(1 / (1 + np.exp(-(self.slope * _log_odds(probability) + self.intercept))))


@dataclass(frozen=True)
class OutOfUnit:
    """Predictions of machines that the predicting trees had not seen, one a row."""

    quantile: NDArray[np.float64]
    median: NDArray[np.float64]
    life: NDArray[np.float64]
    """what the life really was"""
    unit: NDArray[np.int64]
    """the machine"""


@dataclass(frozen=True)
class QuantileCorrection:
    """What is added to one predicted quantile, by the band in which the predicted median lies."""

    band_edges: NDArray[np.float64]
    added: NDArray[np.float64]
    """float64[bands], life units"""

    @classmethod
    def fit(cls, level: float, seen: OutOfUnit, band_edges: NDArray[np.float64]) -> Self:
        """Fit the quantile at `level`, in the bands of the median between `band_edges`."""
        bands = np.searchsorted(band_edges, seen.median, side="right")
        added = np.zeros(len(band_edges) + 1)
        for band in range(len(added)):
            inside = bands == band
            if inside.any():
                added[band] = _shift(level, (seen.life - seen.quantile)[inside], seen.unit[inside])
        return cls(band_edges, added)

    def __call__(self, quantile: NDArray[np.float64], median: NDArray[np.float64]) -> NDArray[np.float64]:
        """The corrected quantile of each row."""
        return np.asarray(quantile + self.added[np.searchsorted(self.band_edges, median, side="right")])


def _shift(level: float, residual: NDArray[np.float64], unit: NDArray[np.int64]) -> float:
    """What to add so that a new machine's life lies below the quantile with probability at most `level` (above 0.5: at least).

    Every machine weighs the same, and one more machine of unknown residuals is counted on the unsafe side. The median is centred.
    """
    _, machine, cycles = np.unique(unit, return_inverse=True, return_counts=True)
    unknown = 0.0 if level == 0.5 else 1.0  # noqa: PLR2004 - the median has no unsafe side
    weight = 1 / ((len(cycles) + unknown) * cycles[machine])
    upwards = level >= 0.5  # noqa: PLR2004
    order = np.argsort(residual if upwards else -residual, kind="stable")
    reached = np.cumsum(weight[order]) >= (level if upwards else 1 - level) - 1e-12
    position = int(np.argmax(reached)) if reached.any() else len(order) - 1
    return float(residual[order[position]])
