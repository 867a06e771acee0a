"""The level of a point: learned, then followed, and the two sums beside it; a reading at a time, or a table of points abreast.

What the state keeps narrow is computed narrow, so that where readings are cut into batches changes nothing. Kernels elsewhere call
`learn`, `drift` and `sigma_of`: touch their files when these change, for numba's cache looks at one file alone.
"""

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vigia.analytics.kernels.watch_state import Crossings, Settings, new_state

OUTLIER_SIGMA: Final = 3.5  # while learning, a reading further out counts as this far out
OUTLIER_AFTER: Final = 8  # readings from which on sigma is known well enough for that
OUTLIER_RATE: Final = 5.0  # and a change faster than so many usual ones counts as so fast
SIGMA_OF_MEAN: Final = np.float32(1.2533141373155)  # the deviation of normal noise by its mean absolute deviation
A_US: Final = 1e-6  # seconds
LANES: Final = 128  # points taken abreast: their state fits the first cache
_INVERSE, _LAST, _VALUE = LANES, 2 * LANES, 3 * LANES  # where wide columns begin; the mean's at 0
# and narrow ones; the memory's at 0
_LEVEL, _SPREAD, _UP, _DOWN, _RECENT, _DIRECTION, _BEFORE, _DEVIATION, _ELAPSED = (k * LANES for k in range(1, 10))
ZERO, ONE = np.float32(0.0), np.float32(1.0)

Known = tuple[np.float32, np.float32, np.float32, np.float32, np.float32, np.float32, np.float32]
"""memory, level, spread, up, down, recent, direction."""


class Narrow(NamedTuple):
    """Of `Settings`, what one step of level and sums needs.

    usual : the time constant of the level from which on the baseline holds a usual day
    unsure : the threshold until then
    """

    slack: np.float32
    threshold: np.float32
    usual: np.float32
    unsure: np.float32
    clip: np.float32
    clear: np.float32
    robust: np.float32
    follow: np.float32
    least: np.float32
    most: np.float32
    weight: np.float32
    guard: np.float32
    heaviest: np.float32


@njit(cache=True, nogil=True)
def _limited(x: float, limit: float) -> float:
    return min(max(x, -limit), limit)


@njit(cache=True, nogil=True)
def learn(s: np.void, x: float, elapsed: float, settings: Settings) -> None:
    """Running mean and variance; an outlier is pulled in so that it does not widen the baseline."""
    s["learned"] += 1
    n = s["learned"]
    s["longest"] = max(s["longest"], s["same"])
    if n == 1:
        s["mean"] = x
        s["lowest"] = s["highest"] = x
        s["spread"] = 1.0
        return
    s["lowest"], s["highest"] = min(s["lowest"], x), max(s["highest"], x)
    rate = abs(x - s["last"]) / elapsed
    if n > OUTLIER_AFTER and s["usual"] > 0.0:
        rate = min(rate, OUTLIER_RATE * s["usual"])
    s["usual"] += (rate - s["usual"]) / (n - 1)
    if n <= settings.learn:
        s["memory"] += elapsed
    d = x - s["mean"]
    if n > OUTLIER_AFTER and s["variance"] > 0.0:
        d = _limited(d, OUTLIER_SIGMA * np.sqrt(s["variance"]))
    step = d / n
    s["mean"] += step
    s["variance"] += (d * (d - step) - s["variance"]) / n
    if n == settings.learn:
        s["memory"] *= settings.memory


@njit(cache=True, nogil=True)
def sigma_of(s: np.void) -> float:
    """Of the baseline."""
    return float(np.sqrt(s["variance"] * s["learned"] / max(s["learned"] - 1.0, 1.0)))


@njit(cache=True, nogil=True)
def narrowed(settings: Settings) -> Narrow:
    """As wide as the state."""
    return Narrow(
        np.float32(settings.slack),
        np.float32(settings.threshold),
        np.float32(settings.usual * settings.memory),
        np.float32(settings.unsure * settings.threshold),
        np.float32(settings.clip),
        np.float32(settings.clear),
        np.float32(settings.robust),
        np.float32(settings.follow),
        np.float32(settings.least),
        np.float32(settings.most),
        np.float32(settings.weight),
        np.float32(settings.guard),
        np.float32(settings.heaviest),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _greater(a: np.float32, b: np.float32) -> np.float32:
    """As max, which would widen them."""
    return max(b, a)


@njit(cache=True, nogil=True, error_model="numpy")
def _between(low: np.float32, x: np.float32, high: np.float32) -> np.float32:
    above = max(x, low)
    return min(above, high)


@njit(cache=True, nogil=True, error_model="numpy")
def weigh(known: Known, deviation: np.float32, elapsed: np.float32, to: Narrow) -> Known:
    """One reading's step. Without branches and all of one width: many points take it abreast.

    deviation : from the baseline, in its sigmas
    elapsed : seconds since the reading before, 0 when nothing is to be learned
    """
    memory, level, spread, up, down, recent, direction = known
    ratio = (deviation - level) / spread
    z = _between(-to.clip, ratio, to.clip)
    recent += to.weight * (z - recent)
    more_up = _greater(ZERO, up + z - to.slack)
    more_down = _greater(ZERO, down - z - to.slack)
    most = _greater(more_up, more_down)
    drifting = direction != ZERO
    ends = drifting and recent * direction < to.clear
    threshold = to.unsure if memory < to.usual else to.threshold
    starts = not drifting and most > threshold
    up = (ZERO if ends else up) if drifting else more_up
    down = (ZERO if ends else down) if drifting else more_down
    side = ONE if more_up > more_down else -ONE
    direction = side if starts else (ZERO if ends else direction)
    weight = elapsed / (memory + elapsed)
    weight = min(to.heaviest, weight)
    weight = ZERO if drifting or most > to.guard else weight
    taught = _between(-to.robust, ratio, to.robust)
    level = _between(-to.follow, level + weight * taught * spread, to.follow)
    spread = _between(to.least, spread * (ONE + weight * (SIGMA_OF_MEAN * abs(taught) - ONE)), to.most)
    return memory, level, spread, up, down, recent, direction


@njit(cache=True, nogil=True)
def drift(s: np.void, deviation: float, taught: float, to: Narrow) -> int:
    """1 when a drift starts, -1 when one ends, else 0.

    deviation : of the reading from the baseline, in its sigmas
    taught : seconds since the reading before, 0 if nothing is to be learned
    """
    before = s["direction"]
    known = (s["memory"], s["level"], s["spread"], s["up"], s["down"], s["recent"], np.float32(before))
    after = weigh(known, np.float32(deviation), np.float32(taught), to)
    _, s["level"], s["spread"], s["up"], s["down"], s["recent"], s["direction"] = after
    return int(s["direction"] != 0) - int(before != 0)


@njit(cache=True, nogil=True)
def _slowly(  # noqa: PLR0913, PLR0917
    s: np.void, begin: int, ts: NDArray[np.int64], column: NDArray[np.float64], settings: Settings, out: Crossings
) -> int:
    """One point's column, its baseline included."""
    found = 0
    for i in range(len(ts)):
        x = column[i]
        if np.isnan(x) or ts[i] <= s["last_ts"]:
            continue
        elapsed = (ts[i] - s["last_ts"]) * A_US
        if s["learned"] < settings.learn or not s["variance"] > 0.0:
            learn(s, x, elapsed, settings)
        elif drift(s, (x - s["mean"]) * (1.0 / sigma_of(s)), elapsed, narrowed(settings)) == 1:
            out.row[begin + found] = i
            out.size[begin + found] = s["recent"]
            out.total[begin + found] = max(s["up"], s["down"])
            found += 1
        s["last_ts"], s["last"] = ts[i], x
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def _weigh_all(n: int, work: NDArray[np.float32], to: Narrow) -> int:
    """One step of the first `n` points of `work`; how many drifts started or ended.

    One array for all, LANES to a column: the compiler sees that nothing overlaps.
    """
    crossed = 0
    for p in range(n):
        elapsed = work[p + _ELAPSED]
        known = (work[p], work[p + _LEVEL], work[p + _SPREAD], work[p + _UP], work[p + _DOWN], work[p + _RECENT], work[p + _DIRECTION])
        _, level, spread, up, down, recent, direction = weigh(known, work[p + _DEVIATION], elapsed, to)
        counts = elapsed > ZERO
        work[p + _LEVEL] = level if counts else known[1]
        work[p + _SPREAD] = spread if counts else known[2]
        work[p + _UP] = up if counts else known[3]
        work[p + _DOWN] = down if counts else known[4]
        work[p + _RECENT] = recent if counts else known[5]
        work[p + _BEFORE] = known[6]
        work[p + _DIRECTION] = direction if counts else known[6]
        crossed += work[p + _DIRECTION] != work[p + _BEFORE]
    return crossed


@njit(cache=True, nogil=True, error_model="numpy")
def _deviate_all(row: NDArray[np.float64], now: float, wide: NDArray[np.float64], work: NDArray[np.float32]) -> None:
    for p in range(len(row)):
        x, last = row[p], wide[p + _LAST]
        elapsed = (now - last) * A_US
        counts = x == x and elapsed > 0.0  # noqa: PLR0124 - not NaN
        work[p + _DEVIATION] = (x - wide[p]) * wide[p + _INVERSE]
        work[p + _ELAPSED] = elapsed if counts else 0.0
        wide[p + _LAST] = now if counts else last
        wide[p + _VALUE] = x if counts else wide[p + _VALUE]


@njit(cache=True, nogil=True)
def _abreast(  # noqa: PLR0913, PLR0917 - a kernel's
    state: NDArray[np.void], ts: NDArray[np.int64], values: NDArray[np.float64], to: Narrow, begin: int, out: Crossings
) -> int:
    """At most LANES points with baselines, row by row."""
    n = len(state)
    wide, work = np.empty(4 * LANES), np.empty(10 * LANES, np.float32)
    for p in range(n):
        s = state[p]
        wide[p], wide[p + _INVERSE], wide[p + _LAST], wide[p + _VALUE] = s["mean"], 1.0 / sigma_of(s), s["last_ts"] - ts[0], s["last"]
        work[p], work[p + _LEVEL], work[p + _SPREAD] = s["memory"], s["level"], s["spread"]
        work[p + _UP], work[p + _DOWN], work[p + _RECENT], work[p + _DIRECTION] = s["up"], s["down"], s["recent"], s["direction"]
    found = begin
    for i in range(len(ts)):
        _deviate_all(values[i], float(ts[i] - ts[0]), wide, work)
        if _weigh_all(n, work, to) == 0:
            continue
        for p in range(n):
            if work[p + _BEFORE] == ZERO and work[p + _DIRECTION] != ZERO:
                out.row[found], out.point[found] = i, p
                out.size[found], out.total[found] = work[p + _RECENT], max(work[p + _UP], work[p + _DOWN])
                found += 1
    for p in range(n):
        s = state[p]
        s["last_ts"], s["last"] = ts[0] + int(wide[p + _LAST]), wide[p + _VALUE]
        s["level"], s["spread"] = work[p + _LEVEL], work[p + _SPREAD]
        s["up"], s["down"], s["recent"], s["direction"] = work[p + _UP], work[p + _DOWN], work[p + _RECENT], work[p + _DIRECTION]
    return found - begin


@njit(cache=True, nogil=True)
def watch_table(state: NDArray[np.void], ts: NDArray[np.int64], values: NDArray[np.float64], settings: Settings) -> Crossings:
    """Level and CUSUM alone, for a table: float64[rows, points] at `ts` (int64[rows], rising); advances `state`, one record a point.

    What `watch` does with the same readings where no sensor is at fault. Points are taken LANES abreast.
    """
    to = narrowed(settings)
    most = values.size
    out = Crossings(np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most), np.empty(most))
    found = 0
    for begin in range(0, len(state), LANES):
        end = min(begin + LANES, len(state))
        learned = True
        for p in range(begin, end):
            learned = learned and state[p]["learned"] >= settings.learn and state[p]["variance"] > 0.0
        more = 0
        if learned:
            more = _abreast(state[begin:end], ts, values[:, begin:end], to, found, out)
            for k in range(found, found + more):
                out.point[k] += begin
        else:
            for p in range(begin, end):
                of_point = _slowly(state[p], found + more, ts, values[:, p], settings, out)
                out.point[found + more : found + more + of_point] = p
                more += of_point
        found += more
    return Crossings(out.row[:found], out.point[:found], out.size[:found], out.total[:found])


def warm_up(settings: Settings) -> None:
    """Compile for the types above."""
    watch_table(new_state(1), np.zeros(1, np.int64), np.zeros((1, 1)), settings)
