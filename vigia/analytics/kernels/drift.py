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
    """Columns sorted by (row, ts).

    `row` is the row of the state, `ts` microseconds since 1970 UTC, `value` in the unit of the sensor; NaN is skipped.
    """

    row: NDArray[np.int64]
    ts: NDArray[np.int64]
    value: NDArray[np.float64]


class Groups(NamedTuple):
    """Which rows of the state belong together; both int64[points].

    `leader` is the same row for all rows of a group, itself one of them; `peer` the next row of the group, after the last the first.
    """

    leader: NDArray[np.int64]
    peer: NDArray[np.int64]


class Changes(NamedTuple):
    """Where drifts start and end, by row: as in `Starts`, and +1 or -1 in `change`."""

    reading: NDArray[np.int64]
    change: NDArray[np.int8]
    size: NDArray[np.float64]
    total: NDArray[np.float64]


class Starts(NamedTuple):
    """Where drifts start, by time: index of the reading, the recent deviation there (signed) and the CUSUM, both in multiples of sigma."""

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
def _advance(state: NDArray[np.float64], readings: Readings, settings: Settings, out: Changes) -> int:
    """Advance each point by its readings and fill `out` with where drifts start and end, shown or not; return how many."""
    found = 0
    for i in range(len(readings.row)):
        if i == 0 or readings.row[i] != readings.row[i - 1]:
            s = state[readings.row[i]]
        x = readings.value[i]
        if np.isnan(x) or readings.ts[i] <= s[LAST_TS]:
            continue
        s[LAST_TS] = readings.ts[i]
        # While the point has never moved there is no sigma to measure in: go on learning.
        if s[LEARNED] < settings.learn or not s[VARIANCE] > 0.0:
            _learn(s, x)
            continue
        change = _watch(s, x, settings)
        if change != 0:
            out.reading[found] = i
            out.change[found] = change
            out.size[found] = s[RECENT]
            out.total[found] = max(s[SUM_UP], s[SUM_DOWN])
            found += 1
    return found


@njit(cache=True, nogil=True)
def _shown_in(state: NDArray[np.float64], peer: NDArray[np.int64], leader: int) -> int:
    """How many drifts of a group are shown."""
    shown = 0
    row = leader
    while True:
        if state[row, SHOWN] != 0.0:
            shown += 1
        row = peer[row]
        if row == leader:
            return shown


@njit(cache=True, nogil=True)
def _show(state: NDArray[np.float64], groups: Groups, row: NDArray[np.int64], change: NDArray[np.int8], most: int) -> NDArray[np.bool_]:
    """Which changes are starts to be shown; sets and clears SHOWN.

    row, change : of the changes, in the order of time
    """
    starts = np.zeros(len(row), np.bool_)
    shown = np.empty(len(state), np.int64)  # by leader; only those of the groups at hand are ever touched
    for i in range(len(row)):
        shown[groups.leader[row[i]]] = -1
    for i in range(len(row)):
        leader = groups.leader[row[i]]
        if shown[leader] < 0:
            shown[leader] = _shown_in(state, groups.peer, leader)
        if change[i] == 1 and shown[leader] < most:
            shown[leader] += 1
            state[row[i], SHOWN] = 1.0
            starts[i] = True
        elif change[i] == -1 and state[row[i], SHOWN] != 0.0:
            shown[leader] -= 1
            state[row[i], SHOWN] = 0.0
    return starts


@njit(cache=True, nogil=True)
def watch_drift(state: NDArray[np.float64], groups: Groups, readings: Readings, settings: Settings) -> Starts:
    """Advance `state` by `readings`; the drifts that start and are shown.

    state : float64[points, STATE_WIDTH], columns named above, zeros for a new point; only rows of `readings` are changed, in place
    A reading not newer than its point's newest is skipped. Which drifts are shown is decided in the order of time, and of rows at the
    same moment, whatever the group.
    """
    n = len(readings.row)
    changes = Changes(np.empty(n, np.int64), np.empty(n, np.int8), np.empty(n, np.float64), np.empty(n, np.float64))
    found = _advance(state, readings, settings, changes)
    reading = changes.reading[:found]
    order = np.argsort(readings.ts[reading], kind="mergesort")  # stable: they come by row
    starts = order[_show(state, groups, readings.row[reading[order]], changes.change[order], settings.shown)]
    return Starts(reading[starts], changes.size[starts], changes.total[starts])


def groups_of(number: NDArray[np.int64]) -> Groups:
    """Rows with the same number are a group; int64[points]. Costs a sort: keep the result until a point joins or changes its group."""
    order = np.argsort(number, kind="stable")
    first = np.flatnonzero(np.append([True], number[order[1:]] != number[order[:-1]])) if len(order) else order
    size = np.diff(np.append(first, len(order)))
    leader, peer = np.empty_like(order), np.empty_like(order)
    leader[order] = np.repeat(order[first], size)
    peer[order[:-1]] = order[1:]
    peer[order[first + size - 1]] = order[first]
    return Groups(leader, peer)
