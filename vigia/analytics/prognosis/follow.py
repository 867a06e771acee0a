"""Follow machines through time with one model: readings in, outcomes out, the feature state kept between."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat, starmap
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.prognosis.explain import Contribution, Reasons
from vigia.analytics.prognosis.features import Observed
from vigia.analytics.prognosis.model import Prognosis
from vigia.analytics.prognosis.similar import Case, Cases


@dataclass(frozen=True)
class Cycle:
    """One cycle of one followed machine."""

    row: int
    """as `Follower.begin` gave it"""
    values: NDArray[np.float64]
    """settings and sensors in the order of the model's spec, in their units; NaN: missing, the last value is carried"""
    age: float
    """cycles flown by the machine's own count; NaN: unknown, the cycles seen count"""
    wanted: bool
    """False: it only builds the state up, no outcome is computed"""
    asset_id: int = 0
    """so that its own past is no similar case; 0: unknown"""


class Judged(NamedTuple):
    """What is said of many machines at once, in arrays: of which of it one asks, that is made."""

    within: NDArray[np.float64]
    """float64[machines, horizons]"""
    reasons: Reasons
    similar: Cases


class Outcome(NamedTuple):
    """What the model says of one machine after one cycle; lives in the model's life unit, health 0-100 of this cycle alone."""

    probability: float
    life_p10: float
    life_p50: float
    life_p90: float
    health: float
    judged: Judged
    """together with others"""
    row: int
    """of them"""

    @property
    def within(self) -> Sequence[float]:
        """The probability for each of the model's horizons, shortest first."""
        found: list[float] = self.judged.within[self.row].tolist()
        return found

    @property
    def reasons(self) -> Sequence[Contribution]:
        """Why, largest contribution first."""
        return self.judged.reasons[self.row]

    @property
    def similar(self) -> Sequence[Case]:
        """What became of machines that once were like it; none where nothing points to a failure."""
        return self.judged.similar[self.row]


class Follower:
    """The feature state of all followed machines, and the model that judges them."""

    def __init__(self, model: Prognosis) -> None:
        self.model = model
        self._bank = model.bank()

    def begin(self) -> int:
        """Follow one more machine, new or back from repair; its row."""
        return self._bank.add()

    def end(self, row: int) -> None:
        """Stop following it; the row may be given to another."""
        self._bank.release(row)

    def advance(self, waves: Sequence[Sequence[Cycle]]) -> list[Outcome | None]:
        """Take in wave after wave, each at most one cycle a machine; the outcomes in the same order, None where none was wanted.

        What is computed does not depend on how cycles are spread over waves and calls.
        """
        seen = [self._step(wave) for wave in waves if wave]
        cycles = [cycle for wave in waves for cycle in wave]
        found: list[Outcome | None] = [None] * len(cycles)
        wanted = [index for index, cycle in enumerate(cycles) if cycle.wanted]
        if not wanted:
            return found
        every = Observed.joined(seen)
        asked = every if len(wanted) == len(cycles) else every.take(wanted)
        forecast = self.model.forecast(asked.features)
        within = np.column_stack(list(forecast.within.values()))
        numbers = (forecast.probability, forecast.p10, forecast.p50, forecast.p90, forecast.health)
        reasons = self.model.reasons(asked)
        own = np.array([cycles[index].asset_id for index in wanted], dtype=np.int64)
        judged = Judged(within, reasons, self.model.similar(asked, forecast, reasons, own))
        columns = (*(each.tolist() for each in numbers), repeat(judged, len(wanted)), range(len(wanted)))
        said = starmap(Outcome, zip(*columns, strict=True))
        for index, outcome in zip(wanted, said, strict=True):
            found[index] = outcome
        return found

    def _step(self, wave: Sequence[Cycle]) -> Observed:
        rows = np.array([cycle.row for cycle in wave], dtype=np.int64)
        ages = np.array([cycle.age for cycle in wave], dtype=np.float64)
        return self._bank.observe(rows, self._bank.step(rows, np.array([cycle.values for cycle in wave]), ages))
