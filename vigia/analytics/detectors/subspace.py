"""Channels of one machine watched together: principal components of their recent past, T2 of the strong ones, SPE of the weak.

What is healthy is learned from a healthy baseline; so is what is usual of it: each component is measured in how far it wanders from one
part of the baseline to the next, not in its variance, so that a channel that drifts while all is well weighs little. The limit is the
highest statistic of the baseline times a margin.

After Ku, Storer and Georgakis, "Disturbance detection and isolation by dynamic principal component analysis" (1995).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.kernels import subspace as kernel
from vigia.errors import VigiaError

LAGS = 3
"""A row is seen together with the two before it."""
WEIGHT = 0.3
"""Of the newest row in the moving average that is watched."""
PARTS = 5
"""Into so many stretches the baseline is cut, to see how far it wanders."""
SETTLE = 10
"""Rows at the beginning that count for nothing: the moving average is not yet one."""
MARGIN = 3.0
STRONG = 0.9
"""The strong components have this share of the variance."""
LEAST_ROWS = PARTS * (SETTLE + LAGS)
_WEAK = 1e-4  # no component of standardised channels is taken to vary less
MOST = 1e100  # beyond it no reading is one, and squares would overflow
_FLAT = 1e-9  # nor a channel, in its unit


class BaselineError(VigiaError):
    """The healthy baseline cannot be learned from."""


@dataclass(frozen=True)
class Watched:
    """Statistics of rows. Above 1 in `ratio` is a finding; `t2` and `spe` are its two parts, in the same measure.

    contribution : float64[n, channels], the channels' shares of `ratio`; they may be negative and sum to it
    """

    ratio: NDArray[np.float64]
    t2: NDArray[np.float64]
    spe: NDArray[np.float64]
    contribution: NDArray[np.float64]


@dataclass(frozen=True)
class Subspace:
    """A learned baseline. `axes` are columns, over the channels of the newest row first, then of the one before it."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    axes: NDArray[np.float64]
    wander: NDArray[np.float64]
    """float64[components]: mean square by which a part of the baseline is away from the others"""
    strong: int
    limit: float

    @classmethod
    def fit(cls, healthy: NDArray[np.float64]) -> Self:
        """Learn from float64[rows, channels] in the order of time. Raises BaselineError when it is short or no channel has a value."""
        rows = _filled(healthy)
        if len(rows) < LEAST_ROWS:
            message = f"a healthy baseline of {len(rows)} rows; at least {LEAST_ROWS} are needed"
            raise BaselineError(message)
        mean, deviation = rows.mean(axis=0), rows.std(axis=0) + _FLAT
        past = _past((rows - mean) / deviation)
        variance, axes = np.linalg.eigh(np.cov(past.T))
        variance, axes = np.maximum(variance[::-1], _WEAK), np.ascontiguousarray(axes[:, ::-1])
        smooth = _averaged(past) @ axes
        away = []
        for part in np.array_split(np.arange(len(rows)), PARTS):
            others = np.delete(smooth, part, axis=0)
            away.append(np.square(smooth[part][SETTLE // 2 :] - others.mean(axis=0)).mean(axis=0))
        wander = np.maximum(np.max(away, axis=0), _WEAK * _WEAK)
        strong = int(np.searchsorted(np.cumsum(variance) / variance.sum(), STRONG)) + 1
        highest = float((np.square(smooth) / wander).sum(axis=1)[SETTLE:].max())
        return cls(mean, deviation, axes, wander, strong, MARGIN * max(highest, 1.0))  # of constant channels it is 0

    def watch(self, rows: NDArray[np.float64]) -> Watched:
        """Statistics of float64[n, channels] in the order of time; a NaN is read as the value before it, or the baseline's mean."""
        past = _past((_filled(rows, self.mean) - self.mean) / self.deviation)
        width = past.shape[1]
        weight = 1.0 / self.wander / self.limit
        axes = np.ascontiguousarray(self.axes.T)[None]
        models = kernel.Models(np.zeros((1, width)), np.ones((1, width)), axes, weight[None], np.array([self.strong]))
        t2, spe = kernel.statistics(past, np.array([0, len(past)]), models, np.zeros((1, width)), WEIGHT)
        smooth = _averaged(past)
        shares = smooth * ((smooth @ self.axes * weight) @ self.axes.T)
        contribution = shares.reshape(len(rows), LAGS, len(self.mean)).sum(axis=1)
        return Watched(t2 + spe, t2, spe, contribution)


def _filled(rows: NDArray[np.float64], otherwise: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Each NaN as the value before it; before any, `otherwise` or the channel's mean. Raises BaselineError on an empty channel."""
    rows = np.asarray(rows, np.float64)
    missing = ~(np.abs(rows) < MOST)
    if not missing.any():
        return rows
    if otherwise is None:
        if missing.all(axis=0).any():
            message = f"channel {int(np.flatnonzero(missing.all(axis=0))[0])} has no value in the healthy baseline"
            raise BaselineError(message)
        otherwise = np.nanmean(np.where(missing, np.nan, rows), axis=0)
    last = np.maximum.accumulate(np.where(missing, -1, np.arange(len(rows))[:, None]), axis=0)
    found = np.take_along_axis(rows, np.maximum(last, 0), axis=0)
    return np.where(last < 0, otherwise, found)


def _past(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each row beside those before it; before the first, the first."""
    return np.hstack([np.vstack((np.repeat(rows[:1], lag, axis=0), rows[: len(rows) - lag])) for lag in range(LAGS)])


def _averaged(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The moving average, from 0 on: a healthy machine's is there."""
    average = np.empty_like(rows)
    kernel.smooth(rows, np.zeros(rows.shape[1]), WEIGHT, average)
    return average
