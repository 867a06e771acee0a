"""The streaming watch: one pass over readings, a sensor's faults first, then its rate of change and its level.

Readings a sensor fault is suspected of count for nothing else.
"""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vigia.analytics.kernels.level import A_US, Narrow, drift, learn, narrowed, sigma_of
from vigia.analytics.kernels.watch_state import (
    DRIFT,
    DROPOUT,
    FLAT,
    KINDS,
    NO_FAULT,
    RATE,
    SATURATION,
    SENSOR,
    About,
    Changes,
    Readings,
    Seen,
    Settings,
    about_of,
    new_state,
)

LONGEST_ROW: Final = 30_000
LONGEST_RUN: Final = 100
MOST_CHANGES: Final = 5  # of one reading: a sensor fault ends and another starts, a drift, a rate
SEEN: Final = len(Seen._fields)
US: Final = 1_000_000


@njit(cache=True, nogil=True)
def _ends(kind: int) -> int:
    """As a bit of a reading's events."""
    return 1 << kind


@njit(cache=True, nogil=True)
def _starts(kind: int) -> int:
    return 1 << (kind + KINDS)


@njit(cache=True, nogil=True)
def _renew(s: np.void, epoch: int, climbs: int) -> int:
    """The baseline is over, and so is what was under way; a new one begins after second `epoch`. The events of it."""
    events = _ends(DRIFT) if s["direction"] != 0 else 0
    if abs(s["climb"]) >= climbs:
        events |= _ends(RATE)
    s["mean"] = s["variance"] = 0.0
    s["memory"] = s["level"] = s["spread"] = s["up"] = s["down"] = s["recent"] = s["usual"] = s["lowest"] = s["highest"] = 0.0
    s["learned"] = s["longest"] = s["direction"] = s["climb"] = 0
    s["epoch"] = epoch
    return events


@njit(cache=True, nogil=True)
def _suspicion(s: np.void, x: float, low: float, high: float, settings: Settings) -> int:
    """What a reading looks like; counts how often its value was repeated."""
    if not np.isfinite(x):
        return DROPOUT
    s["same"] = min(s["same"] + 1, LONGEST_ROW) if x == s["last"] and s["last_ts"] != 0 else 0
    if s["learned"] < settings.learn:
        return NO_FAULT
    width = s["highest"] - s["lowest"]
    if x == 0.0 and (s["lowest"] > width or s["highest"] < -width):
        return DROPOUT
    if low < high and ((x >= high and s["highest"] < high) or (x <= low and s["lowest"] > low)):
        return SATURATION
    if s["variance"] > 0.0 and s["same"] >= max(settings.flat, settings.flat_ratio * (s["longest"] + 1)):
        return FLAT
    return NO_FAULT


@njit(cache=True, nogil=True)
def _sensor(s: np.void, suspect: int, settings: Settings) -> int:
    """Events of the sensor."""
    ends = _ends(SENSOR) if s["fault"] != NO_FAULT else 0
    if suspect == NO_FAULT:
        s["suspect"] = s["run"] = s["fault"] = NO_FAULT
        return ends
    s["run"] = min(s["run"] + 1, LONGEST_RUN) if s["suspect"] == suspect else 1
    s["suspect"] = suspect
    if s["fault"] == suspect or s["run"] < (1 if suspect == FLAT else settings.faulty):
        return 0
    s["fault"] = suspect
    return ends | _starts(SENSOR)


@njit(cache=True, nogil=True)
def _rate(s: np.void, x: float, elapsed: float, taught: float, settings: Settings) -> int:
    """Events of the rate of change; follows the usual one."""
    change = (x - s["last"]) / elapsed
    size, before = abs(change), s["climb"]
    if size > settings.fast * s["usual"] > 0.0:
        side = 1 if change > 0.0 else -1
        s["climb"] = side * min(abs(before) + 1, LONGEST_RUN) if before * side > 0 else side
    else:
        s["climb"] = 0
        if taught > 0.0:
            s["usual"] += min(taught / (s["memory"] + taught), settings.heaviest) * (size - s["usual"])
    was, now = abs(before) >= settings.climbs, abs(s["climb"]) >= settings.climbs
    if now == was:
        return 0
    return _starts(RATE) if now else _ends(RATE)


@njit(cache=True, nogil=True)
def _machine(  # noqa: PLR0913, PLR0917 - a kernel's
    s: np.void, x: float, inverse: float, elapsed: float, taught: float, settings: Settings, to: Narrow
) -> int:
    """Events of the rate and the level.

    inverse : of the baseline's sigma
    taught : as `elapsed`, 0 when nothing is to be learned
    """
    events = _rate(s, x, elapsed, taught, settings)
    change = drift(s, (x - s["mean"]) * inverse, taught, to)
    if change == 0:
        return events
    return events | (_starts(DRIFT) if change > 0 else _ends(DRIFT))


@njit(cache=True, nogil=True)
def _seen(s: np.void, size: float, total: float, settings: Settings) -> Seen:
    sigma = sigma_of(s)
    level, spread = s["mean"] + s["level"] * sigma, s["spread"] * sigma
    return Seen(np.float64(size), np.float64(total), level, spread, np.float64(s["learned"]), s["memory"] / settings.memory)


@njit(cache=True, nogil=True)
def _note(  # noqa: PLR0913, PLR0917
    s: np.void, x: float, ts: int, reading: int, events: int, settings: Settings, out: Changes, found: int
) -> int:
    """Write down what ends and starts with a reading, before it becomes the last; how many are written now."""
    for kind in range(KINDS):
        if events & _ends(kind):
            out.reading[found], out.kind[found], out.change[found] = reading, kind, -1
            found += 1
    for kind in range(KINDS):
        if not events & _starts(kind):
            continue
        seen = _seen(s, s["recent"], max(s["up"], s["down"]), settings)
        if kind == RATE:
            seen = _seen(s, (x - s["last"]) / ((ts - s["last_ts"]) * A_US), s["usual"], settings)
        elif kind == SENSOR:
            seen = _seen(s, s["fault"], s["same"] if s["fault"] == FLAT else s["run"], settings)
        for k in range(SEEN):
            out.seen[found, k] = seen[k]
        out.reading[found], out.kind[found], out.change[found] = reading, kind, 1
        found += 1
    return found


@njit(cache=True, nogil=True)
def _advance(state: NDArray[np.void], about: About, readings: Readings, settings: Settings, out: Changes) -> int:
    """Advance each point by its readings and fill `out` with what starts and ends, shown or not; return how many."""
    to = narrowed(settings)
    found = 0
    last_row, inverse = -1, 0.0
    for i in range(len(readings.row)):
        row, x, ts = readings.row[i], readings.value[i], readings.ts[i]
        s = state[row]
        if ts <= s["last_ts"]:
            continue
        held, renewed = about.held_from[row], about.new_from[row]
        events = 0
        if 0 < renewed < ts and s["epoch"] < renewed // US and s["fault"] == NO_FAULT:
            events = _renew(s, renewed // US, settings.climbs)
        suspect = _suspicion(s, x, about.low[row], about.high[row], settings)
        if suspect != NO_FAULT or s["suspect"] != NO_FAULT:
            events |= _sensor(s, suspect, settings)
        elapsed = (ts - s["last_ts"]) * A_US
        taught = elapsed if ts <= held or held < renewed < ts else 0.0
        known = s["learned"] >= settings.learn and s["variance"] > 0.0
        if suspect == NO_FAULT and known and s["same"] <= s["longest"]:  # a value repeated more often than ever in health is no evidence
            if row != last_row:  # a root and a division a point, not a reading
                last_row, inverse = row, 1.0 / sigma_of(s)
            events |= _machine(s, x, inverse, elapsed, taught, settings, to)
        elif suspect == NO_FAULT and not known and taught > 0.0:
            learn(s, x, elapsed, settings)
            last_row = -1
        if events != 0:
            found = _note(s, x, ts, i, events, settings, out, found)
        if np.isfinite(x):
            s["last_ts"], s["last"] = ts, x
    return found


@njit(cache=True, nogil=True)
def _shown_in(state: NDArray[np.void], peer: NDArray[np.int64], leader: int, bit: int) -> int:
    """How many findings of a kind are shown in a group."""
    shown = 0
    row = leader
    while True:
        shown += (state[row]["shown"] & bit) != 0
        row = peer[row]
        if row == leader:
            return int(shown)


@njit(cache=True, nogil=True)
def _show(state: NDArray[np.void], about: About, row: NDArray[np.int64], changes: Changes, most: int) -> NDArray[np.bool_]:
    """Which changes are to be told: starts while few enough are shown, and the ends of those; keeps in the state what is.

    row, changes : in the order of time
    """
    told = np.zeros(len(row), np.bool_)
    shown = np.empty((len(state), KINDS), np.int64)  # by leader; only those of the groups at hand are ever touched
    for i in range(len(row)):
        shown[about.leader[row[i]]] = -1
    for i in range(len(row)):
        leader, kind, change = about.leader[row[i]], changes.kind[i], changes.change[i]
        bit = 1 << kind
        s = state[row[i]]
        if shown[leader, kind] < 0:
            shown[leader, kind] = _shown_in(state, about.peer, leader, bit)
        if change == 1 and shown[leader, kind] < most:
            shown[leader, kind] += 1
            s["shown"] |= bit
            told[i] = True
        elif change == -1 and (s["shown"] & bit) != 0:
            shown[leader, kind] -= 1
            s["shown"] &= ~bit
            told[i] = True
    return told


@njit(cache=True, nogil=True)
def watch(state: NDArray[np.void], about: About, readings: Readings, settings: Settings) -> Changes:
    """Advance `state` (of STATE) by `readings`; what is told, by time. Only rows of `readings` are changed, in place.

    A reading not newer than its point's newest is skipped. What is shown is decided in the order of time, and of rows at the same moment,
    whatever the group.
    """
    n = MOST_CHANGES * len(readings.row)
    out = Changes(np.empty(n, np.int64), np.empty(n, np.int8), np.empty(n, np.int8), np.empty((n, SEEN)))
    found = _advance(state, about, readings, settings, out)
    order = np.argsort(readings.ts[out.reading[:found]], kind="mergesort")  # stable: they come by row
    by_time = Changes(out.reading[order], out.kind[order], out.change[order], out.seen[order])
    told = _show(state, about, readings.row[by_time.reading], by_time, settings.shown)
    return Changes(by_time.reading[told], by_time.kind[told], by_time.change[told], by_time.seen[told])


def warm_up(settings: Settings) -> None:
    """Compile for the types above."""
    one = np.zeros(1, np.int64)
    watch(new_state(1), about_of(one), Readings(one, one, np.zeros(1)), settings)
