"""One cycle of each of many machines into their averages and slopes."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

BASELINE_CYCLES = 25
"""A machine's first cycles are its own healthy baseline."""
QUICK, FAST, SLOW, SLOWEST = 0.3, 0.12, 0.05, 0.02
"""Weights of the newest reading in the exponential averages (about 3, 8, 20 and 50 cycles)."""


class State(NamedTuple):
    """Arrays with one row a machine; readings in deviations of the training fleet in the same condition."""

    seen: NDArray[np.int64]
    baseline: NDArray[np.float64]
    """float64[machines, sensors], as the averages"""
    quick: NDArray[np.float64]
    fast: NDArray[np.float64]
    slow: NDArray[np.float64]
    slowest: NDArray[np.float64]
    recent: NDArray[np.float64]
    """float64[machines, window, sensors], a ring"""


@njit(cache=True, nogil=True)
def advance(  # noqa: PLR0913, PLR0917 - plain arrays
    state: State,
    rows: NDArray[np.int64],
    reading: NDArray[np.float64],
    long: NDArray[np.float64],
    short: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Take one reading of each machine of `rows` into `state`, and write its features.

    reading : float64[len(rows), sensors], no NaN
    long, short : float64[window, window + 1] and float64[short window, window + 1], the weight in a slope of the reading `lag` cycles ago
        once so many are there
    out : float64[len(rows), >= 9 * sensors]: averages (quick, fast, slow), fast and slow less the baseline, quick less slow, fast less
        slowest, long and short slope; what is behind is left as it is
    """
    window, sensors = state.recent.shape[1], reading.shape[1]
    for i in range(len(rows)):
        row = rows[i]
        seen = state.seen[row] + 1
        state.seen[row] = seen
        filled = min(seen, window)
        for s in range(sensors):
            value = reading[i, s]
            if seen <= BASELINE_CYCLES:
                state.baseline[row, s] += (value - state.baseline[row, s]) / seen
            state.quick[row, s] += (value - state.quick[row, s]) * max(QUICK, 1 / seen)
            state.fast[row, s] += (value - state.fast[row, s]) * max(FAST, 1 / seen)
            state.slow[row, s] += (value - state.slow[row, s]) * max(SLOW, 1 / seen)
            state.slowest[row, s] += (value - state.slowest[row, s]) * max(SLOWEST, 1 / seen)
            state.recent[row, seen % window, s] = value
            baseline, quick, fast, slow = state.baseline[row, s], state.quick[row, s], state.fast[row, s], state.slow[row, s]
            out[i, s] = quick
            out[i, sensors + s] = fast
            out[i, 2 * sensors + s] = slow
            out[i, 3 * sensors + s] = fast - baseline
            out[i, 4 * sensors + s] = slow - baseline
            out[i, 5 * sensors + s] = quick - slow
            out[i, 6 * sensors + s] = fast - state.slowest[row, s]
            out[i, 7 * sensors + s] = 0.0
            out[i, 8 * sensors + s] = 0.0
        for lag in range(filled):
            slot, weight = (seen - lag) % window, long[lag, filled]
            for s in range(sensors):
                out[i, 7 * sensors + s] += weight * state.recent[row, slot, s]
        for lag in range(min(filled, len(short))):
            slot, weight = (seen - lag) % window, short[lag, filled]
            for s in range(sensors):
                out[i, 8 * sensors + s] += weight * state.recent[row, slot, s]
