"""Make the trees' numbers honest, on machines that the trees have not seen.

Probabilities: logistic calibration (Platt) of the classifier's log-odds. Intervals of remaining life: conformal, with the
machine as the unit of exchange, since the cycles of one machine are anything but independent (hierarchical conformal prediction,
Lee, Barber and Willett 2023). What the predicted mean missed is looked at one moment a machine, any moment as likely as another, among
the machines of which about the same was predicted (localized conformal prediction, Guan 2023).
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
KNOTS = 26
REACH = 2.0
"""A knot looks at what was predicted up to so many knots away, the farther the less."""
TAILS = 41
"""So many nested intervals are tried, from one that leaves nothing out."""
CAUTIONS = tuple(step / 4 for step in range(41))
_ROUNDING = 1e-12


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
        """Fit on out-of-unit probabilities (float64[rows]) and what happened (bool[rows]). Sums on one thread: always the same bits."""
        with threadpool_limits(1, user_api="blas"):
            line = LogisticRegression(C=1e6).fit(_log_odds(probability)[:, None], fails)
        return cls(float(line.coef_[0, 0]), float(line.intercept_[0]))

    def __call__(self, probability: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated probability, between 0 and 1."""
        odds = np.clip(self.slope * _log_odds(probability) + self.intercept, -MOST_ODDS, MOST_ODDS)
        return np.asarray(1 / (1 + np.exp(-odds)))


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
    """The remaining life that goes with a predicted mean: its median, and the ends of intervals that hold it as often as they say."""

    knots: NDArray[np.float64]
    """predicted means, from 0 to the cap; between two of them the ends are interpolated"""
    ends: Mapping[float, NDArray[np.float64]]
    """by level, float64[knots]: 0.1 and 0.9 are the ends of the interval that holds the life with 80 %, 0.5 is the median"""

    @classmethod
    def fit(cls, levels: Sequence[float], seen: OutOfUnit, cap: float) -> Self:
        """Fit the ends of all `levels`, each below 0.5 with that above it."""
        knots = np.linspace(0.0, cap, KNOTS)
        near = _Neighbours.of(knots, seen)
        middle = [hood.quantiles(np.array([0.5]))[0] for hood in near]
        ends = {0.5: np.clip(knots + middle, 0.0, cap)}
        for level in (level for level in levels if level < 0.5):  # noqa: PLR2004
            ends[level], ends[1 - level] = _interval(1 - 2 * level, knots, near, (seen, cap))
        return cls(knots, {level: ends[min(ends, key=lambda one: abs(one - level))] for level in levels})

    def __call__(self, level: float, predicted: NDArray[np.float64]) -> NDArray[np.float64]:
        """The end at `level` for each predicted mean."""
        return np.interp(predicted, self.knots, self.ends[level])


@dataclass(frozen=True)
class _Neighbours:
    """The rows predicted near a knot, by what was missing in their prediction, smallest first."""

    rows: NDArray[np.intp]
    missing: NDArray[np.float64]
    weight: NDArray[np.float64]
    """adds up to 1"""
    below: NDArray[np.float64]
    """weight of the row and of all before it"""
    machines: float
    """so many machines as would weigh the same"""

    @classmethod
    def of(cls, knots: NDArray[np.float64], seen: OutOfUnit) -> list[Self]:
        step, snapshot = knots[1] - knots[0], seen.snapshot_weights()
        predicted = np.clip(seen.predicted, knots[0], knots[-1])
        found = []
        for knot in knots:
            closeness = np.maximum(1 - np.abs(predicted - knot) / (REACH * step), 0.0)
            rows = np.flatnonzero(closeness)
            if not len(rows):
                rows, closeness = np.array([np.argmin(np.abs(predicted - knot))]), np.ones(len(predicted))
            missing, weight = (seen.life - seen.predicted)[rows], (closeness * snapshot)[rows]
            order = np.argsort(missing, kind="stable")
            of_machine = np.bincount(seen.unit[rows], weight)
            weight = weight / weight.sum()
            machines = float(of_machine.sum() ** 2 / np.square(of_machine).sum())
            found.append(cls(rows[order], missing[order], weight[order], np.cumsum(weight[order]), machines))
        return found

    def quantiles(self, levels: NDArray[np.float64]) -> NDArray[np.float64]:
        """What was missing at these levels: below 0.5 the greatest with at most so much weight before it, else the least reaching it."""
        low = np.searchsorted(self.below, levels + _ROUNDING, side="right")
        high = np.searchsorted(self.below, levels - _ROUNDING, side="left")
        at = np.minimum(np.where(levels < 0.5, low, high), len(self.missing) - 1)  # noqa: PLR2004
        return np.asarray(self.missing[at])


def _interval(
    wanted: float, knots: NDArray[np.float64], near: Sequence[_Neighbours], of: tuple[OutOfUnit, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both ends, at each knot, of the narrowest of nested intervals that hold the life with `wanted` and one more, unknown machine.

    They leave out the same share below and above, as far as there is any above: far from its end no life exceeds the cap, and what may be
    missed lies below.
    """
    seen, cap = of
    tails = np.linspace(0.0, 1 - wanted, TAILS)
    predicted = np.clip(seen.predicted, knots[0], knots[-1])
    low = np.array([hood.quantiles(tails) for hood in near]) + knots[:, None]
    high = np.array([hood.quantiles(1 - tails) for hood in near]) + knots[:, None]
    low, high = np.clip(low, 0.0, cap), np.clip(high, 0.0, cap)
    missed = np.array(
        [
            (seen.life < np.interp(predicted, knots, low[:, tail])) | (seen.life > np.interp(predicted, knots, high[:, tail]))
            for tail in range(TAILS)
        ]
    )
    chosen = np.zeros(len(knots), dtype=np.int64)
    for at, hood in enumerate(near):
        leeway = 1 - min(wanted * (hood.machines + 1) / hood.machines, 1.0)
        enough = np.flatnonzero(missed[:, hood.rows] @ hood.weight <= leeway + _ROUNDING)
        chosen[at] = enough[-1] if len(enough) else 0
    every = np.arange(len(knots))
    return low[every, chosen], high[every, chosen]
