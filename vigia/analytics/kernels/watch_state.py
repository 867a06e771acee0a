"""What the streaming watch remembers of each point, is told of it, and says."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

STATE: Final = np.dtype(
    [
        ("last_ts", np.int64),  # of the newest reading with a value, microseconds since 1970 UTC
        ("last", np.float64),  # its value
        ("mean", np.float64),  # of the baseline
        ("variance", np.float64),
        ("learned", np.int32),  # readings the baseline was learned from
        ("memory", np.float32),  # seconds: while it learns those it took, then the time constant of the level
        ("level", np.float32),  # how far the level has followed since, in baseline sigmas
        ("spread", np.float32),  # the deviation now, likewise
        ("up", np.float32),  # the two sums
        ("down", np.float32),
        ("recent", np.float32),  # mean deviation of the last readings
        ("usual", np.float32),  # mean rate of change, units a second
        ("lowest", np.float32),  # of the baseline
        ("highest", np.float32),
        ("epoch", np.uint32),  # the baseline begins after this second
        ("same", np.int16),  # readings in a row that repeat the value before
        ("longest", np.int16),  # such a row in the baseline
        ("direction", np.int8),  # of the drift under way
        ("climb", np.int8),  # fast changes in a row, signed
        ("suspect", np.int8),  # what the last reading is suspected of
        ("run", np.int8),  # for so many readings
        ("fault", np.int8),  # the sensor fault under way
        ("shown", np.int8),  # bit k: what is under way of kind k was told
    ],
    align=True,
)
"""One record a point; zeros for a point never seen. Sums and ratios are narrow, so that saving them with each commit costs little."""

DRIFT, RATE, SENSOR = range(3)
KINDS: Final = 3
NO_FAULT, FLAT, DROPOUT, SATURATION = range(4)
NEVER: Final = np.iinfo(np.int64).max


class Settings(NamedTuple):
    """Parameters of the watch; `slack` to `most` in multiples of sigma."""

    learn: int  # readings the baseline is learned from
    slack: float  # a deviation below this is health
    threshold: float  # sum at which a drift starts
    usual: float  # seconds of a usual day; of a baseline learned in less ...
    unsure: float  # ... a drift starts only at so many times the threshold
    clip: float  # no single reading deviates more than this
    clear: float  # the recent deviation below which a drift ends
    robust: float  # nor teaches the level more than this
    follow: float  # the level follows no further from the baseline
    least: float  # bounds of the spread
    most: float
    weight: float  # of the newest deviation in the recent one
    guard: float  # nothing is learned while a sum is above this
    memory: float  # time constant of the level, in durations of the baseline
    heaviest: float  # no reading weighs more in the level, however long it was awaited
    faulty: int  # suspect readings in a row that make a sensor fault
    flat: int  # repeats of a value that make one ...
    flat_ratio: int  # ... and at least so many times the longest row of them in the baseline
    fast: float  # times the usual rate of change
    climbs: int  # fast changes in a row, in one direction, that make a finding
    shown: int  # findings of one kind told at a time in one group


class Readings(NamedTuple):
    """Columns sorted by (row, ts).

    `row` is the row of the state, `ts` microseconds since 1970 UTC, `value` in the unit of the sensor, NaN where it has none or a bad one.
    """

    row: NDArray[np.int64]
    ts: NDArray[np.int64]
    value: NDArray[np.float64]


class About(NamedTuple):
    """What is known of the rows of the state from elsewhere: columns as long as it.

    `leader` is the same row for all rows of a group, itself one of them; `peer` the next row of the group, after the last the first.
    `low`, `high`: the range of the sensor, NaN where none is known. Times are microseconds since 1970 UTC: readings after `held_from` teach
    nothing (NEVER: all do) until, when that is later, `new_from`, after which they make a new baseline (0: none).
    """

    leader: NDArray[np.int64]
    peer: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    held_from: NDArray[np.int64]
    new_from: NDArray[np.int64]


class Seen(NamedTuple):
    """What explains a start.

    size : the recent deviation in sigmas, signed; the rate in units a second, signed; or FLAT, DROPOUT, SATURATION
    total : the sum in sigmas; the usual rate; or for how many readings
    level, sigma : what was expected, and how far off is usual, in the unit of the sensor
    learned, duration : how many readings the baseline was learned from, and in how many seconds
    """

    size: float
    total: float
    level: float
    sigma: float
    learned: float
    duration: float


class Changes(NamedTuple):
    """What starts (+1 in `change`) and ends (-1) at a reading (its index): DRIFT, RATE or SENSOR.

    seen : float64[n, 6], the fields of `Seen`; of an end anything
    """

    reading: NDArray[np.int64]
    kind: NDArray[np.int8]
    change: NDArray[np.int8]
    seen: NDArray[np.float64]


class Crossings(NamedTuple):
    """Where drifts start in a table: its row and point, the recent deviation and the sum there, both in sigmas."""

    row: NDArray[np.int64]
    point: NDArray[np.int64]
    size: NDArray[np.float64]
    total: NDArray[np.float64]


def new_state(points: int) -> NDArray[np.void]:
    """The state of points never seen: they begin to learn their baseline."""
    return np.zeros(points, STATE)


def about_of(group: NDArray[np.int64]) -> About:
    """Rows with the same number are a group, and nothing else is known; int64[points].

    Costs a sort: keep the result until a point joins or changes its group.
    """
    order = np.argsort(group, kind="stable")
    first = np.flatnonzero(np.append([True], group[order[1:]] != group[order[:-1]])) if len(order) else order
    size = np.diff(np.append(first, len(order)))
    leader, peer = np.empty_like(order), np.empty_like(order)
    leader[order] = np.repeat(order[first], size)
    peer[order[:-1]] = order[1:]
    peer[order[first + size - 1]] = order[first]
    rows = len(order)
    return About(leader, peer, np.full(rows, np.nan), np.full(rows, np.nan), np.full(rows, NEVER), np.zeros(rows, np.int64))
