"""Causal features of each machine, cycle by cycle.

One code for training and service: `FeatureBank.step` advances many machines by one cycle each; `of_histories` steps a whole
training fleet in lockstep. A feature depends on the machine's own readings up to that cycle and on nothing else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.kernels.features import State, advance
from vigia.analytics.prognosis.conditions import Conditions

WINDOW = 60
SHORT_WINDOW = 20
"""Cycles over which the two slopes are fitted."""
LEVELS = ("level_quick", "level", "level_slow")
PER_SENSOR = (*LEVELS, "fast", "slow", "recent", "trend", "slope", "slope_short")
"""Three averages; the difference of the fast and the slow one to the machine's own baseline; of the quick one to the slow one and of the
fast one to the slowest; the two slopes. All are linear in the readings."""


@dataclass(frozen=True)
class FeatureSpec:
    """What goes in and what comes out."""

    settings: tuple[str, ...]
    sensors: tuple[str, ...]
    """All sensors expected, in the order of the values given; the constant ones give no features."""
    conditions: Conditions
    with_age: bool = False
    """Is the number of cycles flown a feature?"""

    @property
    def used(self) -> tuple[str, ...]:
        """The sensors that give features."""
        return tuple(name for name, varies in zip(self.sensors, self.conditions.varying, strict=True) if varies)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each feature column."""
        return (*(f"{sensor}:{kind}" for kind in PER_SENSOR for sensor in self.used), *(("age",) if self.with_age else ()))


def _slope_weights(window: int, span: int) -> NDArray[np.float64]:
    """float64[window, seen + 1]: weight of the reading `lag` cycles ago in the slope over `span` cycles, once `seen` readings are there.

    The denominator is the one of a full span: a slope over few readings is drawn to 0 instead of being noise.
    """
    weights = np.zeros((window, window + 1))
    full = np.square(np.arange(span) - (span - 1) / 2).sum()
    for seen in range(2, window + 1):
        used = min(seen, span)
        age = np.arange(used)
        weights[:used, seen] = ((used - 1) / 2 - age) / full
    return weights


@dataclass(frozen=True)
class Observed:
    """Features of some machine-cycles, one a row, and what is needed to explain them later."""

    features: NDArray[np.float64]
    baseline: NDArray[np.float64]
    """float64[rows, used sensors]: the machine's own healthy reading, in deviations of the training fleet"""
    condition: NDArray[np.int64]

    @classmethod
    def joined(cls, parts: Sequence["Observed"]) -> "Observed":
        """The rows of all `parts`, which are not empty, one after the other."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))

    def take(self, rows: NDArray[np.intp] | list[int]) -> "Observed":
        """Some of the rows."""
        return Observed(self.features[rows], self.baseline[rows], self.condition[rows])

    def blocks(self, size: int) -> Iterator["Observed"]:
        """The rows, at most `size` at once: what is computed of them stays in the processor's cache. At least one block."""
        for first in range(0, max(len(self.features), 1), size):
            some = slice(first, first + size)
            yield Observed(self.features[some], self.baseline[some], self.condition[some])

    def healthy(self) -> NDArray[np.float64]:
        """float64[rows, features]: the features had every sensor still read its machine's own baseline; age stays as it is."""
        sensors = self.baseline.shape[1]
        found = np.zeros_like(self.features)
        found[:, : len(LEVELS) * sensors] = np.tile(self.baseline, len(LEVELS))
        found[:, len(PER_SENSOR) * sensors :] = self.features[:, len(PER_SENSOR) * sensors :]
        return found

    def readings(self, spec: FeatureSpec) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Smoothed reading and baseline (each float64[rows, used sensors]) in the sensor's unit and the same operating condition."""
        sensors, varying = self.baseline.shape[1], spec.conditions.varying
        mean = spec.conditions.mean[self.condition][:, varying]
        deviation = spec.conditions.deviation[self.condition][:, varying]
        return self.features[:, sensors : 2 * sensors] * deviation + mean, self.baseline * deviation + mean


class FeatureBank:
    """The feature state of many machines. A row of it is one machine, from its first cycle to its removal."""

    def __init__(self, spec: FeatureSpec, capacity: int = 32) -> None:
        self.spec = spec
        self._varying = np.flatnonzero(spec.conditions.varying)
        self._long = _slope_weights(WINDOW, WINDOW)
        self._short = np.ascontiguousarray(_slope_weights(WINDOW, SHORT_WINDOW)[:SHORT_WINDOW])
        self._free: list[int] = []
        self._state, self._last, self._condition = self._empty(0)
        self._grow(capacity)

    def _empty(self, rows: int) -> tuple[State, NDArray[np.float64], NDArray[np.int64]]:
        """The state of new machines, the last value of each of their settings and sensors (NaN: none yet), their condition."""
        sensors = len(self._varying)
        averages = [np.zeros((rows, sensors)) for _ in range(5)]
        state = State._make([np.zeros(rows, np.int64), *averages, np.zeros((rows, WINDOW, sensors))])
        return state, np.full((rows, len(self.spec.settings) + len(self.spec.sensors)), np.nan), np.zeros(rows, np.int64)

    def _grow(self, more: int) -> None:
        have, (state, last, condition) = len(self._condition), self._empty(more)
        self._state = State._make(np.concatenate(pair) for pair in zip(self._state, state, strict=True))
        self._last, self._condition = np.concatenate((self._last, last)), np.concatenate((self._condition, condition))
        self._free.extend(range(have + more - 1, have - 1, -1))

    def add(self) -> int:
        """The row of a machine that has flown nothing yet."""
        if not self._free:
            self._grow(max(len(self._condition), 1))
        return self._free.pop()

    def release(self, row: int) -> None:
        """Forget the machine of `row`; the row may be given to another."""
        for array in self._state:
            array[row] = 0
        self._last[row] = np.nan
        self._condition[row] = 0
        self._free.append(row)

    def step(self, rows: NDArray[np.int64], values: NDArray[np.float64], ages: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Advance each machine of `rows` (no row twice) by one cycle and return its features.

        values : float64[len(rows), settings + sensors], in the spec's order and units; NaN: the last value is carried
        ages : cycles flown, when the machine itself counts them; None or NaN: the cycles seen here count
        returns float64[len(rows), len(spec.names)]
        """
        reading, found = self._normalised(rows, values), np.empty((len(rows), len(self.spec.names)))
        advance(self._state, rows, reading, self._long, self._short, found)
        if self.spec.with_age:
            seen = self._state.seen[rows]
            found[:, -1] = seen if ages is None else np.where(np.isnan(ages), seen, ages)
        return found

    def observe(self, rows: NDArray[np.int64], features: NDArray[np.float64]) -> Observed:
        """`features`, just returned for `rows`, with what is needed to explain them later."""
        return Observed(features, self._state.baseline[rows], self._condition[rows])

    def _normalised(self, rows: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The varying sensors in deviations from the training fleet's mean in the same condition; never NaN."""
        conditions, split, varying = self.spec.conditions, len(self.spec.settings), self._varying
        current = np.where(np.isfinite(values), values, self._last[rows])
        self._last[rows] = current
        condition = conditions.of(current[:, :split])
        self._condition[rows] = condition
        mean, deviation = conditions.mean[:, varying], conditions.deviation[:, varying]
        return np.nan_to_num((current[:, split + varying] - mean[condition]) / deviation[condition])


def of_histories(
    spec: FeatureSpec, histories: Sequence[NDArray[np.float64]], ages: Sequence[NDArray[np.float64]] | None = None
) -> list[NDArray[np.float64]]:
    """The features of whole histories (each float64[cycles, settings + sensors]): what `step` returns cycle by cycle."""
    bank = FeatureBank(spec, max(len(histories), 1))
    rows = np.array([bank.add() for _ in histories], dtype=np.int64)
    found = [np.empty((len(history), len(spec.names))) for history in histories]
    lengths = [len(history) for history in histories]
    for cycle in range(max(lengths, default=0)):
        flying = [index for index, length in enumerate(lengths) if length > cycle]
        values = np.array([histories[index][cycle] for index in flying])
        age = None if ages is None else np.array([ages[index][cycle] for index in flying], dtype=np.float64)
        for index, features in zip(flying, bank.step(rows[flying], values, age), strict=True):
            found[index][cycle] = features
    return found
