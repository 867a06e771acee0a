"""Channels of many machines watched together as their readings come: the newest value of each, smoothed, projected and squared.

A machine's row is complete when its next moment begins, half a usual step after it or later: sensors that are read one after the other make
one row. A channel that says nothing in a moment is what it was.
"""

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vigia.analytics.kernels.moments import Rows

CALM, ALARMED = 0, 1
ENTERED: Final = 3  # rows in a row beyond the limit that start an alarm
LEFT: Final = 10  # rows in a row below `lower` that end one
SETTLED: Final = 30  # rows after which a watch that began at rest knows where a machine is
HEAVIEST: Final = 0.2  # of the time constant: no row weighs more, however long it was awaited
CLIP: Final = 5.0  # deviations: a single wild row is no evidence
STEPS: Final = 10  # the time constant, in usual steps from row to row
NEAR: Final = 0.5  # steps: readings no further apart are of one moment
A_US: Final = 1e-6  # seconds


class Shape(NamedTuple):
    """Of one machine's baseline."""

    channels: int
    settings: int
    modes: int
    components: int


class Healthy(NamedTuple):
    """What is healthy of one machine.

    centre, scale : float64[modes, settings] and float64[settings], to tell the operating mode by
    mean, inverse : float64[modes, channels]; a channel less its mean, times the inverse of its deviation, is what is smoothed
    axes : float64[components, channels], rows of length 1
    weight : float64[components], of a component's square, so that their sum is in multiples of the limit
    memory_s : time constant of the smoothing, seconds
    lower : share of the limit below which an alarm ends
    """

    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    mean: NDArray[np.float64]
    inverse: NDArray[np.float64]
    axes: NDArray[np.float64]
    weight: NDArray[np.float64]
    memory_s: float
    lower: float


class Memory(NamedTuple):
    """What is remembered of one machine.

    newest : float64[channels + settings], values; NaN before the first
    smooth : float64[channels]
    times : int64[2], the moment under way and the one before it, microseconds since 1970 UTC; 0: none
    counts : int64[2], CALM or ALARMED, and how many rows in a row speak against it
    """

    newest: NDArray[np.float64]
    smooth: NDArray[np.float64]
    times: NDArray[np.int64]
    counts: NDArray[np.int64]


class Fleet(NamedTuple):
    """Many machines, one behind the other: where in `book` and `memory` the numbers of each begin.

    shape : int64[machines, 4], a Shape each
    book_at, memory_at : int64[machines]
    book : float64, of each machine memory_s, lower, centre, scale, mean, inverse, axes, weight
    memory : float64, of each machine newest, smooth
    times, counts : int64[machines, 2]
    """

    shape: NDArray[np.int64]
    book_at: NDArray[np.int64]
    memory_at: NDArray[np.int64]
    book: NDArray[np.float64]
    memory: NDArray[np.float64]
    times: NDArray[np.int64]
    counts: NDArray[np.int64]


class Alarms(NamedTuple):
    """Where alarms start (+1 in `change`) and end (-1).

    Which machine, at which moment, the statistic there in multiples of the limit, and the smoothed channels.
    """

    machine: NDArray[np.int64]
    change: NDArray[np.int8]
    ts: NDArray[np.int64]
    ratio: NDArray[np.float64]
    smooth: NDArray[np.float64]


@njit(cache=True, nogil=True)
def healthy_of(fleet: Fleet, m: int) -> Healthy:
    """Of machine `m`, in place."""
    channels, settings, modes, components = fleet.shape[m]
    book = fleet.book[fleet.book_at[m] :]
    centre = 2
    scale = centre + modes * settings
    mean = scale + settings
    inverse = mean + modes * channels
    axes = inverse + modes * channels
    weight = axes + components * channels
    return Healthy(
        book[centre:scale].reshape(modes, settings),
        book[scale:mean],
        book[mean:inverse].reshape(modes, channels),
        book[inverse:axes].reshape(modes, channels),
        book[axes:weight].reshape(components, channels),
        book[weight : weight + components],
        book[0],
        book[1],
    )


@njit(cache=True, nogil=True)
def memory_of(fleet: Fleet, m: int) -> Memory:
    """Of machine `m`, in place."""
    channels, settings, _, _ = fleet.shape[m]
    at = fleet.memory_at[m]
    split = at + channels + settings
    return Memory(fleet.memory[at:split], fleet.memory[split : split + channels], fleet.times[m], fleet.counts[m])


@njit(cache=True, nogil=True)
def kept(fleet: Fleet, machines: NDArray[np.int64]) -> NDArray[np.float64]:
    """A copy of what is remembered of `machines`, one behind the other, without their times and counts."""
    size = 0
    for m in machines:
        size += 2 * fleet.shape[m, 0] + fleet.shape[m, 1]
    out, at = np.empty(size), 0
    for m in machines:
        wide = 2 * fleet.shape[m, 0] + fleet.shape[m, 1]
        out[at : at + wide] = fleet.memory[fleet.memory_at[m] : fleet.memory_at[m] + wide]
        at += wide
    return out


@njit(cache=True, nogil=True)
def put_back(fleet: Fleet, machines: NDArray[np.int64], copy: NDArray[np.float64]) -> None:
    """What `kept` gave is remembered again."""
    at = 0
    for m in machines:
        wide = 2 * fleet.shape[m, 0] + fleet.shape[m, 1]
        fleet.memory[fleet.memory_at[m] : fleet.memory_at[m] + wide] = copy[at : at + wide]
        at += wide


@njit(cache=True, nogil=True)
def mode_of(settings: NDArray[np.float64], healthy: Healthy) -> int:
    """The nearest operating mode; a NaN setting does not count."""
    best, least = 0, np.inf
    for m in range(len(healthy.centre)):
        away = 0.0
        for k in range(len(settings)):
            if np.isfinite(settings[k]):
                away += abs(settings[k] - healthy.centre[m, k]) / healthy.scale[k]
        if away < least:
            best, least = m, away
    return best


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})  # sums in several strands; nothing here is NaN
def statistic(smooth: NDArray[np.float64], healthy: Healthy) -> float:
    """T2 and SPE together, in multiples of the limit."""
    total = 0.0
    for j in range(len(healthy.weight)):
        score = 0.0
        for c in range(len(smooth)):
            score += healthy.axes[j, c] * smooth[c]
        total += healthy.weight[j] * score * score
    return total


@njit(cache=True, nogil=True)
def share_of(elapsed_us: int, memory_s: float) -> float:
    """Of the newest row in the moving average, `elapsed_us` after the one before: a low-pass filter of first order."""
    elapsed = min(elapsed_us * A_US, HEAVIEST * memory_s)
    return elapsed / (memory_s + elapsed)


@njit(cache=True, nogil=True)
def take(memory: Memory, healthy: Healthy) -> float:
    """Take the moment under way into the smoothed channels; the statistic then."""
    channels = len(memory.smooth)
    mode = mode_of(memory.newest[channels:], healthy)
    share = share_of(memory.times[0] - memory.times[1], healthy.memory_s) if memory.times[1] > 0 else 0.0  # a healthy machine is at 0
    for c in range(channels):
        z = (memory.newest[c] - healthy.mean[mode, c]) * healthy.inverse[mode, c]
        if np.isfinite(z):
            memory.smooth[c] += share * (min(max(z, -CLIP), CLIP) - memory.smooth[c])
    return statistic(memory.smooth, healthy)


@njit(cache=True, nogil=True)
def judge(counts: NDArray[np.int64], ratio: float, lower: float) -> int:
    """1 when an alarm starts with this row, -1 when one ends, else 0."""
    against = ratio > 1.0 if counts[0] == CALM else ratio < lower
    counts[1] = counts[1] + 1 if against else 0
    if counts[1] < (ENTERED if counts[0] == CALM else LEFT):
        return 0
    counts[0], counts[1] = 1 - counts[0], 0
    return 1 if counts[0] == ALARMED else -1


@njit(cache=True, nogil=True)
def watch(fleet: Fleet, rows: Rows) -> Alarms:
    """Advance the machines by their readings, of which none is older than its machine's moment under way."""
    n, widest = len(rows.ts), fleet.shape[:, 0].max()
    out = Alarms(np.empty(n, np.int64), np.empty(n, np.int8), np.empty(n, np.int64), np.empty(n), np.empty((n, widest)))
    found = 0
    for m in range(len(rows.first) - 1):
        if rows.first[m] == rows.first[m + 1]:
            continue
        memory, healthy = memory_of(fleet, m), healthy_of(fleet, m)
        near = np.int64(healthy.memory_s / A_US * (NEAR / STEPS))
        for i in range(rows.first[m], rows.first[m + 1]):
            ts = rows.ts[i]
            if ts >= memory.times[0] + near or memory.times[0] == 0:
                if memory.times[0] > 0:
                    ratio = take(memory, healthy)
                    change = judge(memory.counts, ratio, healthy.lower)
                    if change != 0:
                        out.machine[found], out.change[found], out.ts[found], out.ratio[found] = m, change, memory.times[0], ratio
                        out.smooth[found, : len(memory.smooth)] = memory.smooth
                        found += 1
                    memory.times[1] = memory.times[0]
                memory.times[0] = ts
            if rows.column[i] < len(memory.smooth) or np.isfinite(rows.value[i]):  # a setting stands until another is told
                memory.newest[rows.column[i]] = rows.value[i]
    return Alarms(out.machine[:found], out.change[:found], out.ts[:found], out.ratio[:found], out.smooth[:found])


@njit(cache=True, nogil=True)
def smoothed(ts: NDArray[np.int64], z: NDArray[np.float64], memory_s: float) -> NDArray[np.float64]:
    """The moving average that `take` makes, of standardised rows float64[n, channels] at `ts`."""
    out = np.empty_like(z)
    last = np.zeros(z.shape[1])
    for i in range(len(ts)):
        share = share_of(ts[i] - ts[i - 1], memory_s) if i > 0 else 0.0
        for c in range(z.shape[1]):
            if np.isfinite(z[i, c]):
                last[c] += share * (min(max(z[i, c], -CLIP), CLIP) - last[c])
            out[i, c] = last[c]
    return out
