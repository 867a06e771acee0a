"""One pass over readings: learn each point's healthy level, then watch it with a two-sided CUSUM."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

LEARNED, MEAN, VARIANCE, SUM_UP, SUM_DOWN, DIRECTION, SHOWN, RECENT, LAST_TS = range(9)
STATE_WIDTH = 9
OUTLIER_SIGMA = 3.5  # while learning, a reading further out counts as this far out
OUTLIER_AFTER = 8  # readings from which on sigma is known well enough for that


class Settings(NamedTuple):
    """Parameters of the drift watch; `slack` to `clear` in multiples of sigma."""

    learn: int  # readings the baseline is learned from
    slack: float  # a deviation below this is health
    threshold: float  # sum at which a drift starts
    clip: float  # no single reading deviates more than this
    clear: float  # the recent deviation below which a drift ends
    weight: float  # of the newest deviation in the recent one
    shown: int  # drifts shown at a time in one group


class Readings(NamedTuple):
    """Columns in the order of time.

    `row` is the row of the state, `ts` microseconds since 1970 UTC, `value` in the unit of the sensor; NaN is skipped.
    """

    row: NDArray[np.int64]
    ts: NDArray[np.int64]
    value: NDArray[np.float64]


class Starts(NamedTuple):
    """Where drifts start: index of the reading, the recent deviation there (signed) and the CUSUM, both in multiples of sigma."""

    reading: NDArray[np.int64]
    size: NDArray[np.float64]
    total: NDArray[np.float64]


@njit(cache=True, nogil=True)
def _learn(s: NDArray[np.float64], x: float) -> None:
    """Running mean and variance; an outlier is pulled in so that it does not widen the baseline."""
    s[LEARNED] += 1.0
    d = x - s[MEAN]
    if s[LEARNED] == 1.0:
        s[MEAN] = x
        return
    if s[LEARNED] > OUTLIER_AFTER and s[VARIANCE] > 0.0:
        limit = OUTLIER_SIGMA * np.sqrt(s[VARIANCE])
        d = min(max(d, -limit), limit)
    step = d / s[LEARNED]
    s[MEAN] += step
    s[VARIANCE] += (d * (d - step) - s[VARIANCE]) / s[LEARNED]


@njit(cache=True, nogil=True)
def _watch(s: NDArray[np.float64], x: float, settings: Settings) -> int:
    """1 when a drift starts at `x`, -1 when one ends, else 0."""
    sigma = np.sqrt(s[VARIANCE] * s[LEARNED] / (s[LEARNED] - 1.0))
    z = min(max((x - s[MEAN]) / sigma, -settings.clip), settings.clip)
    s[RECENT] += settings.weight * (z - s[RECENT])
    if s[DIRECTION] != 0.0:
        if s[RECENT] * s[DIRECTION] >= settings.clear:
            return 0
        s[SUM_UP] = 0.0
        s[SUM_DOWN] = 0.0
        s[DIRECTION] = 0.0
        return -1
    s[SUM_UP] = max(0.0, s[SUM_UP] + z - settings.slack)
    s[SUM_DOWN] = max(0.0, s[SUM_DOWN] - z - settings.slack)
    if max(s[SUM_UP], s[SUM_DOWN]) <= settings.threshold:
        return 0
    s[DIRECTION] = 1.0 if s[SUM_UP] > s[SUM_DOWN] else -1.0
    return 1


@njit(cache=True, nogil=True)
def watch_drift(state: NDArray[np.float64], group: NDArray[np.int64], readings: Readings, settings: Settings, out: Starts) -> int:
    """Advance `state` by `readings`; fill `out`, as long as `readings`, with the drifts that start and are shown; return how many.

    state : float64[n_points, 9], columns named above, zeros for a new point, changed in place
    group : int64[n_points] in 0..n_points-1, the same for points that belong together
    A reading not newer than its point's newest is skipped.
    """
    shown = np.zeros(len(state), np.int64)
    for p in range(len(state)):
        if state[p, SHOWN] != 0.0:
            shown[group[p]] += 1
    found = 0
    for i in range(len(readings.row)):
        p = readings.row[i]
        s = state[p]
        x = readings.value[i]
        if np.isnan(x) or readings.ts[i] <= s[LAST_TS]:
            continue
        s[LAST_TS] = readings.ts[i]
        # While the point has never moved there is no sigma to measure in: go on learning.
        if s[LEARNED] < settings.learn or not s[VARIANCE] > 0.0:
            _learn(s, x)
            continue
        change = _watch(s, x, settings)
        if change == 1 and shown[group[p]] < settings.shown:
            shown[group[p]] += 1
            s[SHOWN] = 1.0
            out.reading[found] = i
            out.size[found] = s[RECENT]
            out.total[found] = max(s[SUM_UP], s[SUM_DOWN])
            found += 1
        elif change == -1 and s[SHOWN] != 0.0:
            shown[group[p]] -= 1
            s[SHOWN] = 0.0
    return found
