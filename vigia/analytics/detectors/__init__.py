"""Streaming detectors: columns of readings in, signs of trouble out. Pure; every sign says why.

`DETECTORS` is the flat registry. A detector owns a stretch of each point's state row; `score` runs them all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.detectors import drift
from vigia.analytics.detectors.sign import Sign
from vigia.analytics.kernels import order
from vigia.analytics.kernels.drift import Groups, groups_of
from vigia.analytics.kernels.newest import unique_sorted
from vigia.errors import VigiaError

__all__ = [
    "DETECTORS",
    "STATE_WIDTH",
    "Detector",
    "DetectorError",
    "Groups",
    "Readings",
    "Sign",
    "groups_of",
    "new_state",
    "score",
    "touched",
    "warm_up",
]


class DetectorError(VigiaError):
    """A detector was given columns it cannot use."""


class Detector(Protocol):
    """One kind of trouble. `width` float64 a point is what it remembers; zeros for a point never seen."""

    width: int

    def score(self, state: NDArray[np.float64], readings: "Readings") -> list[Sign]:
        """Advance `state` in place by `readings`, give the signs in the order of time."""


@dataclass(frozen=True)
class Readings:
    """Good readings of measurements, sorted by (row, ts). Columns of the same length, but for `groups`.

    row : which row of the state, i.e. which point
    ts : microseconds since 1970 UTC
    value : in the unit of the sensor; NaN is skipped
    groups : of the rows of the state, those of one asset a group; `groups_of` gives them
    """

    row: NDArray[np.int64]
    ts: NDArray[np.int64]
    value: NDArray[np.float64]
    groups: Groups


DETECTORS: Mapping[str, Detector] = MappingProxyType({"drift": drift.Drift()})
STATE_WIDTH = sum(detector.width for detector in DETECTORS.values())


def new_state(points: int) -> NDArray[np.float64]:
    """The state of points never seen: they begin to learn their baseline."""
    return np.zeros((points, STATE_WIDTH))


def score(state: NDArray[np.float64], readings: Readings) -> list[Sign]:
    """Run every detector over `readings`; advances `state` (float64[points, STATE_WIDTH]) in place, but no row that has no reading.

    Raises DetectorError, before anything is changed, when the columns are not sorted or do not fit each other or the state.
    """
    _check(state, readings)
    signs = []
    begin = 0
    for detector in DETECTORS.values():
        signs += detector.score(state[:, begin : begin + detector.width], readings)
        begin += detector.width
    return sorted(signs, key=lambda sign: int(readings.ts[sign.reading]))


def touched(readings: Readings) -> NDArray[np.int64]:
    """The rows of the state that `score` may change, each once: keep state[touched] and put it back to undo a `score`."""
    return unique_sorted(readings.row)


def warm_up() -> None:
    """Compile the detectors for the types of `Readings`."""
    one = np.zeros(1, np.int64)
    readings = Readings(one, one, np.zeros(1), groups_of(one))
    score(new_state(1), readings)
    touched(readings)


def _check(state: NDArray[np.float64], readings: Readings) -> None:
    row, points = readings.row, len(readings.groups.leader)
    if state.shape[1:] != (STATE_WIDTH,) or points != len(state):
        msg = f"state of shape {state.shape} and {points} points in groups; expected (n, {STATE_WIDTH}) and n"
        raise DetectorError(msg)
    if not len(row) == len(readings.ts) == len(readings.value):
        raise DetectorError("row, ts and value are of different length")
    if not order.in_order(row, readings.ts):
        raise DetectorError("readings are not sorted by (row, ts)")
    if len(row) and not 0 <= row[0] <= row[-1] < len(state):
        msg = f"a row is outside the state's {len(state)} points"
        raise DetectorError(msg)
