"""Causal features of each machine, cycle by cycle.

One code for training and service: `FeatureBank.step` advances many machines by one cycle each; `of_histories` steps a whole
training fleet in lockstep. A feature depends on the machine's own readings up to that cycle and on nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.prognosis.conditions import Conditions

BASELINE_CYCLES = 25
"""A machine's first cycles are its own healthy baseline."""
QUICK, FAST, SLOW, SLOWEST = 0.3, 0.12, 0.05, 0.02
"""Weights of the newest reading in the exponential averages (about 3, 8, 20 and 50 cycles)."""
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


@dataclass
class _State:
    """Arrays with one row a machine; z means in deviations of the training fleet in the same condition."""

    seen: NDArray[np.int64]
    last: NDArray[np.float64]
    """last value of each setting and sensor, in its unit; NaN: none yet"""
    baseline: NDArray[np.float64]
    quick: NDArray[np.float64]
    fast: NDArray[np.float64]
    slow: NDArray[np.float64]
    slowest: NDArray[np.float64]
    recent: NDArray[np.float64]
    """float64[window, machines, sensors], a ring"""
    condition: NDArray[np.int64]


@dataclass(frozen=True)
class Observed:
    """Features of some machine-cycles, one a row, and the same had every sensor still read its machine's own baseline."""

    features: NDArray[np.float64]
    healthy: NDArray[np.float64]
    """float64[rows, features]; age stays as it is"""
    value: NDArray[np.float64]
    """float64[rows, used sensors]: smoothed reading, sensor unit"""
    baseline: NDArray[np.float64]
    """float64[rows, used sensors]: the healthy reading in the same operating condition, sensor unit"""

    @classmethod
    def joined(cls, parts: Sequence["Observed"]) -> "Observed":
        """The rows of all `parts`, which are not empty, one after the other."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))

    def take(self, rows: NDArray[np.intp] | list[int]) -> "Observed":
        """Some of the rows."""
        return Observed(self.features[rows], self.healthy[rows], self.value[rows], self.baseline[rows])


class FeatureBank:
    """The feature state of many machines. A row of it is one machine, from its first cycle to its removal."""

    def __init__(self, spec: FeatureSpec, capacity: int = 32) -> None:
        self.spec = spec
        self._varying = np.flatnonzero(spec.conditions.varying)
        self._lags = np.arange(WINDOW)
        self._long = _slope_weights(WINDOW, WINDOW)
        self._short = _slope_weights(WINDOW, SHORT_WINDOW)
        self._free: list[int] = []
        self._state = self._empty(0)
        self._grow(capacity)

    def _empty(self, rows: int) -> _State:
        sensors = len(self._varying)
        return _State(
            seen=np.zeros(rows, np.int64),
            last=np.full((rows, len(self.spec.settings) + len(self.spec.sensors)), np.nan),
            baseline=np.zeros((rows, sensors)),
            quick=np.zeros((rows, sensors)),
            fast=np.zeros((rows, sensors)),
            slow=np.zeros((rows, sensors)),
            slowest=np.zeros((rows, sensors)),
            recent=np.zeros((WINDOW, rows, sensors)),
            condition=np.zeros(rows, np.int64),
        )

    def _grow(self, more: int) -> None:
        old, new, have = self._state, self._empty(more), len(self._state.seen)
        self._state = _State(
            *(
                np.concatenate((getattr(old, name), getattr(new, name)), axis=1 if name == "recent" else 0)
                for name in _State.__dataclass_fields__
            )
        )
        self._free.extend(range(have + more - 1, have - 1, -1))

    def add(self) -> int:
        """The row of a machine that has flown nothing yet."""
        if not self._free:
            self._grow(max(len(self._state.seen), 1))
        return self._free.pop()

    def release(self, row: int) -> None:
        """Forget the machine of `row`; the row may be given to another."""
        blank = self._empty(1)
        for name in _State.__dataclass_fields__:
            if name == "recent":
                self._state.recent[:, row] = 0.0
            else:
                getattr(self._state, name)[row] = getattr(blank, name)[0]
        self._free.append(row)

    def step(self, rows: NDArray[np.int64], values: NDArray[np.float64], ages: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Advance each machine of `rows` (no row twice) by one cycle and return its features.

        values : float64[len(rows), settings + sensors], in the spec's order and units; NaN: the last value is carried
        ages : cycles flown, when the machine itself counts them; else the cycles seen here
        returns float64[len(rows), len(spec.names)]
        """
        state, z = self._state, self._normalised(rows, values)
        seen = state.seen[rows] + 1
        state.seen[rows] = seen
        count = seen[:, None]
        settling = np.minimum(count, BASELINE_CYCLES)
        state.baseline[rows] += np.where(count <= BASELINE_CYCLES, (z - state.baseline[rows]) / settling, 0.0)
        for average, weight in ((state.quick, QUICK), (state.fast, FAST), (state.slow, SLOW), (state.slowest, SLOWEST)):
            average[rows] += (z - average[rows]) * np.maximum(weight, 1 / count)
        state.recent[seen % WINDOW, rows] = z
        slope, slope_short = self._slopes(rows, seen)
        baseline, quick, fast, slow = state.baseline[rows], state.quick[rows], state.fast[rows], state.slow[rows]
        columns = [quick, fast, slow, fast - baseline, slow - baseline, quick - slow, fast - state.slowest[rows], slope, slope_short]
        if self.spec.with_age:
            columns.append((seen.astype(np.float64) if ages is None else ages)[:, None])
        return np.concatenate(columns, axis=1)

    def observe(self, rows: NDArray[np.int64], features: NDArray[np.float64]) -> "Observed":
        """`features`, just returned for `rows`, with what is needed to explain them later."""
        state, conditions, sensors = self._state, self.spec.conditions, len(self._varying)
        healthy = np.zeros_like(features)
        healthy[:, : len(LEVELS) * sensors] = np.tile(state.baseline[rows], len(LEVELS))
        healthy[:, len(PER_SENSOR) * sensors :] = features[:, len(PER_SENSOR) * sensors :]
        mean = conditions.mean[state.condition[rows]][:, self._varying]
        deviation = conditions.deviation[state.condition[rows]][:, self._varying]
        return Observed(features, healthy, state.fast[rows] * deviation + mean, state.baseline[rows] * deviation + mean)

    def _normalised(self, rows: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The varying sensors in deviations from the training fleet's mean in the same condition; never NaN."""
        state, conditions, split = self._state, self.spec.conditions, len(self.spec.settings)
        current = np.where(np.isfinite(values), values, state.last[rows])
        state.last[rows] = current
        condition = conditions.of(current[:, :split])
        state.condition[rows] = condition
        z = (current[:, split:] - conditions.mean[condition]) / conditions.deviation[condition]
        return np.nan_to_num(z[:, self._varying])

    def _slopes(self, rows: NDArray[np.int64], seen: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Long and short slope of each sensor. Summed over the first axis, lag after lag: the same whoever else is in the batch."""
        filled = np.minimum(seen, WINDOW)
        readings = self._state.recent[(seen - self._lags[:, None]) % WINDOW, rows]
        long, short = self._long[:, filled, None], self._short[:, filled, None]
        return (long * readings).sum(axis=0), (short[:SHORT_WINDOW] * readings[:SHORT_WINDOW]).sum(axis=0)


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
