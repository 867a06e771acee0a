"""What is healthy of a machine's channels together, learned from its own readings: operating modes first, then how the channels move."""

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.detectors.subspace import BaselineError
from vigia.analytics.detectors.together import Baseline, Modes
from vigia.analytics.kernels.together import NEAR
from vigia.analytics.prognosis.conditions import Conditions


def varying(channels: NDArray[np.float64]) -> NDArray[np.bool_]:
    """bool[channels]: those that have values, and not always the same."""
    return np.array([len(np.unique(column[np.isfinite(column)])) > 1 for column in channels.T], np.bool_)


def rows_of(ts: NDArray[np.int64], values: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows as the watch makes them, of readings float64[n, columns] at `ts` (microseconds, rising), NaN where a column was not read.

    Readings within half a usual step of the busiest column are one row, at the time of the first of them.
    """
    busiest = int(np.argmax(np.isfinite(values).sum(axis=0)))
    steps = np.diff(ts[np.isfinite(values[:, busiest])])
    near = float(np.median(steps)) * NEAR if len(steps) else 0.0
    begins: list[int] = []
    row = np.empty(len(ts), np.int64)
    for i, at in enumerate(ts.tolist()):
        if not begins or at >= begins[-1] + max(near, 1.0):
            begins.append(at)
        row[i] = len(begins) - 1
    out = np.full((len(begins), values.shape[1]), np.nan)
    at, column = np.nonzero(np.isfinite(values))
    out[row[at], column] = values[at, column]  # of several the last
    return np.array(begins, np.int64), out


def learned(ts: NDArray[np.int64], channels: NDArray[np.float64], settings: NDArray[np.float64]) -> Baseline:
    """From float64[rows, channels] at `ts` (microseconds since 1970 UTC, rising), NaN without a value, and float64[rows, settings].

    Raises BaselineError when there is too little.
    """
    if not channels.shape[1] or not varying(channels).all():
        raise BaselineError("a channel is needed, and each must vary")
    rows, told = _filled(channels), _filled(settings)
    found = Conditions.fit(told, rows)
    return Baseline.learn(ts, channels, told, Modes(found.centres, found.scale, found.mean, found.deviation))


def _filled(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each NaN as the value before it, or at the beginning the one behind it."""
    missing = ~np.isfinite(rows)
    if not missing.any():
        return rows
    last = np.maximum.accumulate(np.where(missing, -1, np.arange(len(rows))[:, None]), axis=0)
    first = np.argmax(~missing, axis=0)
    return np.take_along_axis(rows, np.where(last < 0, first, last), axis=0)
