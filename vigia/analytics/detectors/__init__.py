"""Streaming detectors: columns of readings in, signs of trouble out. Pure; every sign says why.

`DETECTORS` is the flat registry: what each looks for, and how it explains what it saw. One pass over the readings runs them all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.detectors import drift, rate, sensor
from vigia.analytics.detectors.drift import DEFAULTS
from vigia.analytics.detectors.sign import End, Scored, Sign
from vigia.analytics.kernels import order, watch_state
from vigia.analytics.kernels import watch as kernel
from vigia.analytics.kernels.newest import unique_sorted
from vigia.analytics.kernels.watch_state import DRIFT, NEVER, RATE, SENSOR, STATE, About, Seen, Settings, about_of, new_state
from vigia.errors import VigiaError

__all__ = [
    "DEFAULTS",
    "DETECTORS",
    "NEVER",
    "STATE",
    "About",
    "Detector",
    "DetectorError",
    "End",
    "Readings",
    "Scored",
    "Settings",
    "Sign",
    "about_of",
    "new_state",
    "score",
    "touched",
    "warm_up",
]


class DetectorError(VigiaError):
    """A detector was given columns it cannot use."""


class Explain(Protocol):
    """From what the kernel saw and the reading's value: the score, and why."""

    def __call__(self, seen: Seen, value: float, settings: Settings) -> tuple[float, dict[str, float | str]]:
        """The score in multiples of the threshold, and what explains it to a person."""


class Detector(NamedTuple):
    """One kind of trouble. `of_sensor`: the sensor's, not the machine's."""

    name: str
    explain: Explain
    of_sensor: bool = False


@dataclass(frozen=True)
class Readings:
    """Readings of measurements, sorted by (row, ts). Columns of the same length, but for `about`.

    row : which row of the state, i.e. which point
    ts : microseconds since 1970 UTC
    value : in the unit of the sensor; NaN where there is none or its quality is bad
    about : what is known of the rows of the state; those of one asset are a group. `about_of` gives one
    """

    row: NDArray[np.int64]
    ts: NDArray[np.int64]
    value: NDArray[np.float64]
    about: About


DETECTORS: Mapping[int, Detector] = MappingProxyType(
    {
        DRIFT: Detector("drift", drift.explain),
        RATE: Detector("rate", rate.explain),
        SENSOR: Detector("sensor", sensor.explain, of_sensor=True),
    }
)


def score(state: NDArray[np.void], readings: Readings, settings: Settings = DEFAULTS) -> Scored:
    """Run every detector over `readings`; advances `state` (of STATE, a record a point) in place, but no row that has no reading.

    Of what is told the end is told as well. Raises DetectorError, before anything is changed, when the columns are not sorted or do not fit
    each other or the state.
    """
    _check(state, readings)
    changes = kernel.watch(state, readings.about, watch_state.Readings(readings.row, readings.ts, readings.value), settings)
    scored = Scored([], [])
    for reading, kind, change, seen in zip(*(column.tolist() for column in changes), strict=True):
        detector = DETECTORS[kind]
        if change < 0:
            scored.ends.append(End(detector.name, reading))
            continue
        times, why = detector.explain(Seen(*seen), readings.value.item(reading), settings)
        scored.signs.append(Sign(detector.name, reading, times, why))
    return scored


def touched(readings: Readings) -> NDArray[np.int64]:
    """The rows of the state that `score` may change, each once: keep state[touched] and put it back to undo a `score`."""
    return unique_sorted(readings.row)


def warm_up() -> None:
    """Compile the detectors for the types of `Readings`."""
    one = np.zeros(1, np.int64)
    readings = Readings(one, one, np.zeros(1), about_of(one))
    score(new_state(1), readings)
    touched(readings)


def _check(state: NDArray[np.void], readings: Readings) -> None:
    row, points = readings.row, len(readings.about.leader)
    if state.dtype != STATE or state.ndim != 1 or points != len(state):
        msg = f"state of {state.shape} records and {points} points known; expected as many records of STATE as points"
        raise DetectorError(msg)
    if not len(row) == len(readings.ts) == len(readings.value):
        raise DetectorError("row, ts and value are of different length")
    if not order.in_order(row, readings.ts):
        raise DetectorError("readings are not sorted by (row, ts)")
    if len(row) and not 0 <= row[0] <= row[-1] < len(state):
        msg = f"a row is outside the state's {len(state)} points"
        raise DetectorError(msg)
