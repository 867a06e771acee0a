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
from vigia.errors import VigiaError


class DetectorError(VigiaError):
    """A detector was given columns it cannot use."""


class Detector(Protocol):
    """One kind of trouble. `width` float64 a point is what it remembers; zeros for a point never seen."""

    width: int

    def score(self, state: NDArray[np.float64], readings: "Readings") -> list[Sign]:
        """Advance `state` in place by `readings`, give the signs in the order of time."""


@dataclass(frozen=True)
class Readings:
    """Good readings of measurements, in any order. Columns of the same length, but for `group`.

    row : which row of the state, i.e. which point
    ts : microseconds since 1970 UTC
    value : in the unit of the sensor; NaN is skipped
    group : one number a row of the state, the same for points of one asset
    """

    row: NDArray[np.int64]
    ts: NDArray[np.int64]
    value: NDArray[np.float64]
    group: NDArray[np.int64]


DETECTORS: Mapping[str, Detector] = MappingProxyType({"drift": drift.Drift()})
STATE_WIDTH = sum(detector.width for detector in DETECTORS.values())


def new_state(points: int) -> NDArray[np.float64]:
    """The state of points never seen: they begin to learn their baseline."""
    return np.zeros((points, STATE_WIDTH))


def score(state: NDArray[np.float64], readings: Readings) -> list[Sign]:
    """Run every detector over `readings`; advances `state` (float64[points, STATE_WIDTH]) in place.

    Raises DetectorError, before anything is changed, when the columns do not fit each other or the state.
    """
    _check(state, readings)
    signs = []
    begin = 0
    for detector in DETECTORS.values():
        signs += detector.score(state[:, begin : begin + detector.width], readings)
        begin += detector.width
    return sorted(signs, key=lambda sign: int(readings.ts[sign.reading]))


def _check(state: NDArray[np.float64], readings: Readings) -> None:
    if state.shape[1:] != (STATE_WIDTH,) or len(readings.group) != len(state):
        msg = f"state of shape {state.shape} and {len(readings.group)} groups; expected (n, {STATE_WIDTH}) and n"
        raise DetectorError(msg)
    if not len(readings.row) == len(readings.ts) == len(readings.value):
        raise DetectorError("row, ts and value are of different length")
    if len(readings.row) and not 0 <= readings.row.min() <= readings.row.max() < len(state):
        msg = f"a row is outside the state's {len(state)} points"
        raise DetectorError(msg)
