"""Make the trees' numbers honest, on machines that the trees have not seen.

Probabilities: beta calibration (Kull, Silva Filho and Flach 2017), of which the logistic one is the middle. Intervals of remaining life:
conformalized quantiles (Romano, Patterson and Candes 2019), with the machine as the unit of exchange, since the cycles of one machine are
anything but independent (hierarchical conformal prediction, Lee, Barber and Willett 2023). What they missed is looked at one moment a
machine, any moment as likely as another, among the machines of which about the same was predicted (localized conformal prediction, Guan
2023).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

EDGE = 1e-6
MOST_ODDS = 700.0  # log-odds beyond which a float is 0 or 1
RIDGE = 100.0
"""What draws the two slopes together: a handful of failures cannot tell them apart, many can."""
KNOTS = 6
CLOSE = 0.5
"""In life units. An end so near the cap is there: nothing lies above."""
CAUTIONS = tuple(step / 4 for step in range(41))
_WEAK = 1e6  # the inverse of a ridge that only keeps slopes finite
_ROUNDING = 1e-12


def _slopes(columns: Sequence[NDArray[np.float64]], fails: NDArray[np.bool_]) -> tuple[list[float], float]:
    """The logistic regression of what happened on these columns: their weights, and the intercept."""
    line = LogisticRegression(C=_WEAK, solver="newton-cholesky").fit(np.column_stack(columns), fails)
    return line.coef_[0].tolist(), float(line.intercept_[0])


@dataclass(frozen=True)
class ProbabilityCalibration:
    """Calibrated log-odds = failing * ln(p) - sound * ln(1 - p) + intercept; neither slope is below 0, so the order of machines stays."""

    failing: float
    sound: float
    intercept: float

    @classmethod
    def fit(cls, probability: NDArray[np.float64], fails: NDArray[np.bool_], ridge: float = RIDGE) -> Self:
        """Fit on out-of-unit probabilities (float64[rows]) and what happened (bool[rows]). Sums on one thread: always the same bits.

        A `ridge` without end makes it the logistic calibration (Platt), with one slope.
        """
        up, down = _logs(probability)
        scale = (_WEAK * ridge) ** -0.5
        with threadpool_limits(1, user_api="blas"):
            (both, apart), intercept = _slopes((up + down, scale * (up - down)), fails)
            failing, sound = both + scale * apart, both - scale * apart
            if failing < 0:
                failing, ((sound,), intercept) = 0.0, _slopes((down,), fails)
            elif sound < 0:
                sound, ((failing,), intercept) = 0.0, _slopes((up,), fails)
        if min(failing, sound) < 0:
            return cls(0.0, 0.0, float(np.log(fails.mean() / (1 - fails.mean()))))
        return cls(failing, sound, intercept)

    def __call__(self, probability: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated probability, between 0 and 1."""
        up, down = _logs(probability)
        odds = np.clip(self.failing * up + self.sound * down + self.intercept, -MOST_ODDS, MOST_ODDS)
        return np.asarray(1 / (1 + np.exp(-odds)))


def _logs(probability: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ln(p) and -ln(1 - p)."""
    inside = np.clip(probability, EDGE, 1 - EDGE)
    return np.log(inside), -np.log(1 - inside)


def reliability(probability: NDArray[np.float64], fails: NDArray[np.bool_]) -> list[dict[str, float]]:
    """The reliability curve: for each tenth of probability that was said, its mean, the share that did fail, and how many rows it holds."""
    band = np.minimum((probability * 10).astype(int), 9)
    groups = [band == one for one in np.unique(band)]
    return [
        {"said": round(float(probability[group].mean()), 4), "failed": round(float(fails[group].mean()), 4), "rows": int(group.sum())}
        for group in groups
    ]


@dataclass(frozen=True)
class OutOfUnit:
    """Predictions of machines that the predicting trees had not seen, one a row."""

    predicted: NDArray[np.float64]
    """mean remaining life"""
    life: NDArray[np.float64]
    """what it really was, at most the cap"""
    unit: NDArray[np.int64]
    """the machine"""

    def snapshot_weights(self) -> NDArray[np.float64]:
        """The probability of each row when one moment of each machine is looked at, any of its moments as likely as another."""
        _, machine, cycles = np.unique(self.unit, return_inverse=True, return_counts=True)
        return np.asarray(1 / (len(cycles) * cycles[machine]))


def phm08(late: NDArray[np.float64]) -> NDArray[np.float64]:
    """The penalty of the PHM08 challenge for predicting `late` too long a life (float64[n], life units): late costs more than early."""
    return np.asarray(np.where(late < 0, np.exp(-late / 13), np.exp(late / 10)) - 1)


def caution(seen: OutOfUnit, cap: float) -> float:
    """What to take off the predicted mean, in life units, for the least penalty at any moment of a machine's life."""
    weight = seen.snapshot_weights()
    return min(CAUTIONS, key=lambda off: float(phm08(np.clip(seen.predicted - off, 0.0, cap) - seen.life) @ weight))


@dataclass(frozen=True)
class LifeIntervals:
    """Quantiles of remaining life, moved apart or together until their intervals hold it as often as they say, for a machine not seen."""

    levels: tuple[float, ...]
    """rising: 0.1 and 0.9 are the ends of the interval that holds the life with 80 %, 0.5 is the median"""
    cap: float
    margins: Mapping[float, NDArray[np.float64]]
    """by the level of the lower end, float64[KNOTS], life units that both ends move outwards at predicted means from 0 to the cap"""

    @classmethod
    def fit(cls, levels: Sequence[float], told: NDArray[np.float64], seen: OutOfUnit, cap: float) -> Self:
        """Fit the ends of all `levels`, each below 0.5 with that above it.

        levels : rising
        told : float64[levels, rows], quantiles of each row of `seen` from trees that had not seen its machine
        """
        near = _near(seen, cap)
        margins = {}
        for low, high in _pairs(levels):
            missed = _missed(told[low], told[high], seen.life, cap)
            margins[levels[low]] = np.array([_margin(missed, weight, seen.unit, levels[high] - levels[low]) for weight in near])
        return cls(tuple(levels), cap, margins)

    def __call__(self, told: NDArray[np.float64], predicted: NDArray[np.float64]) -> dict[float, NDArray[np.float64]]:
        """The ends by level, no lower level above a higher one.

        told : float64[levels, machines]; predicted : float64[machines], means
        """
        found = np.array(told)
        for low, high in _pairs(self.levels):
            margin = np.interp(predicted, np.linspace(0.0, self.cap, KNOTS), self.margins[self.levels[low]])
            margin = np.maximum(margin, (told[low] - told[high]) / 2)
            found[low] = np.where(told[low] <= 0, 0.0, told[low] - margin)
            found[high] = np.where(told[high] >= self.cap - CLOSE, self.cap, told[high] + margin)
        return dict(zip(self.levels, np.sort(np.clip(found, 0.0, self.cap), axis=0), strict=True))


def _pairs(levels: Sequence[float]) -> list[tuple[int, int]]:
    """Where each lower end stands in `levels`, and where its upper."""
    return [(at, len(levels) - 1 - at) for at in range(len(levels) // 2)]


def _near(seen: OutOfUnit, cap: float) -> list[NDArray[np.float64]]:
    """For each knot the weight of each row, the more the nearer its predicted mean; of the nearest alone where none is near."""
    predicted, found = np.clip(seen.predicted, 0.0, cap), []
    for knot in np.linspace(0.0, cap, KNOTS):
        away = np.abs(predicted - knot)
        closeness = np.maximum(1 - away * (KNOTS - 1) / cap, 0.0)
        found.append((closeness if closeness.any() else (away == away.min()).astype(float)) * seen.snapshot_weights())
    return found


def _missed(low: NDArray[np.float64], high: NDArray[np.float64], life: NDArray[np.float64], cap: float) -> NDArray[np.float64]:
    """How far each life is outside its interval, less than 0 inside. No life is missed below 0, and none above the cap."""
    below = np.where(low <= 0, -cap, low - life)
    return np.maximum(below, np.where(high >= cap - CLOSE, -cap, life - high))


def _margin(missed: NDArray[np.float64], weight: NDArray[np.float64], unit: NDArray[np.int64], wanted: float) -> float:
    """By how much both ends move to hold `wanted` of the weight, of which one more, unknown machine, that was missed, has its part."""
    of_machine = np.bincount(unit, weight)
    machines = of_machine.sum() ** 2 / np.square(of_machine).sum()
    order = np.argsort(missed, kind="stable")
    order = order[weight[order] > 0]
    held = np.cumsum(weight[order])
    enough = min(wanted * (machines + 1) / machines, 1.0) * held[-1]
    return float(missed[order[np.searchsorted(held, enough * (1 - _ROUNDING))]])
