"""From probabilities to one decision: when is an order raised, and when is the alarm cleared.

The rule: raise after `consecutive` predictions in a row with a probability of at least `probability`; clear after as many below
`clear_probability`. Each rule of a grid is tried on predictions of machines the model has not seen. A model's own rule is chosen by the
orders it would have missed or raised too early; where costs are known, the rule that is expected to cost least.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MISSED_BELOW = 10.0
EARLY_ABOVE = 60.0
"""Remaining life at the order: below the first the technician comes too late, above the second life is thrown away."""
WANTED = 32.0
"""Where the median order should be: the visit's lead time fits in, little life is lost."""
LEAST_PROBABILITY = 0.3
"""Below it an order cannot be defended to the one who pays for the visit, however well it is timed."""
CLEAR_SHARE = 0.4
"""`clear_probability` as a share of `probability`."""
MISSED_COST = 1000.0
EARLY_COST = 100.0
QUANTILES = 100
"""A trial keeps no more lives than these."""


@dataclass(frozen=True)
class Decision:
    """The numbers a model's probabilities are judged by."""

    probability: float
    consecutive: int
    clear_probability: float

    def as_dict(self) -> dict[str, float | int]:
        """For the model's metrics."""
        return asdict(self)


GRID = tuple(
    Decision(round(float(level), 2), consecutive, round(CLEAR_SHARE * float(level), 3))
    for level in np.arange(LEAST_PROBABILITY, 0.91, 0.05)
    for consecutive in (2, 3, 4, 5)
)
LONGEST_RUN = max(rule.consecutive for rule in GRID)


@dataclass(frozen=True)
class Timing:
    """When orders would have been raised: true remaining life at the order, one a machine; NaN: none was raised."""

    remaining: NDArray[np.float64]

    @property
    def missed(self) -> int:
        """Machines whose order came with fewer than 10 cycles left, or never."""
        return int(np.sum(~(self.remaining >= MISSED_BELOW)))

    @property
    def early(self) -> int:
        """Machines whose order came with more than 60 cycles left."""
        return int(np.sum(self.remaining > EARLY_ABOVE))

    @property
    def caught(self) -> int:
        """Machines whose order came with 10 to 60 cycles left."""
        return len(self.remaining) - self.missed - self.early

    def summary(self) -> dict[str, float | int | None]:
        """Counts, and median, p10 and p90 of the remaining life at the order."""
        raised = self.remaining[np.isfinite(self.remaining)]
        p10, p50, p90 = np.quantile(raised, (0.1, 0.5, 0.9)).tolist() if len(raised) else (None, None, None)
        counts = {"machines": len(self.remaining), "caught": self.caught, "early": self.early, "missed": self.missed}
        return {**counts, "lead_p10": p10, "lead_median": p50, "lead_p90": p90}


def should_raise(recent_probabilities: Sequence[float], decision: Decision) -> bool:
    """Whether the last predictions (newest last) warrant an order; False while there are fewer than `decision.consecutive`."""
    newest = recent_probabilities[-decision.consecutive :]
    return len(newest) == decision.consecutive and min(newest) >= decision.probability


def timing(probabilities: Sequence[NDArray[np.float64]], remaining: Sequence[NDArray[np.float64]], decision: Decision) -> Timing:
    """When each machine's first order would have been raised, from its probabilities and true remaining life, cycle by cycle."""
    at_order = []
    for probability, left in zip(probabilities, remaining, strict=True):
        over = np.concatenate(([0], np.cumsum(probability >= decision.probability)))
        streak = over[decision.consecutive :] - over[: -decision.consecutive] == decision.consecutive
        at_order.append(float(left[int(np.argmax(streak)) + decision.consecutive - 1]) if streak.any() else np.nan)
    return Timing(np.array(at_order))


@dataclass(frozen=True)
class Costs:
    """What it costs, in one currency, when a machine fails, when somebody goes, and when a machine is replaced before its time."""

    failure: float = 60_000.0
    visit: float = 8_000.0
    lost_life: float = 60.0
    """each life unit that is thrown away"""
    lead: float = MISSED_BELOW
    """life used between the order and the visit: with less left, the machine fails first"""

    def of(self, at_order: NDArray[np.float64]) -> NDArray[np.float64]:
        """The cost of each machine by its life left at the order (float64[machines]; NaN: no order)."""
        in_time = at_order >= self.lead
        lost = self.lost_life * np.where(in_time, at_order - self.lead, 0.0)
        return np.where(in_time, self.visit + lost, self.failure + np.where(np.isnan(at_order), 0.0, self.visit))


def choose(probabilities: Sequence[NDArray[np.float64]], remaining: Sequence[NDArray[np.float64]]) -> Decision:
    """The rule with the fewest missed and early orders on these machines, then the median nearest to WANTED and the least spread."""

    def cost(decision: Decision) -> float:
        when = timing(probabilities, remaining, decision)
        raised = when.remaining[np.isfinite(when.remaining)]
        if not len(raised):
            return np.inf
        low, median, high = np.quantile(raised, (0.05, 0.5, 0.95))
        return float(MISSED_COST * when.missed + EARLY_COST * when.early + abs(median - WANTED) + (high - low) / 4)

    return min(GRID, key=cost)


@dataclass(frozen=True)
class Trial:
    """What a rule would have done to machines that the model had not seen."""

    rule: Decision
    machines: int
    ordered: int
    """machines for which an order would have been raised; the others would have failed without one"""
    at_order: tuple[float, ...]
    """life left at the order, ascending: of each of the ordered, or QUANTILES of them that stand for as many each"""

    def lead(self) -> tuple[float, float, float]:
        """Life left at the order: p10, p50 and p90; zeros without an order."""
        p10, p50, p90 = np.quantile(self.at_order, (0.1, 0.5, 0.9)).tolist() if self.at_order else (0.0, 0.0, 0.0)
        return p10, p50, p90

    def as_dict(self) -> dict[str, Any]:
        """For the registry of models."""
        return {**self.rule.as_dict(), "machines": self.machines, "ordered": self.ordered, "at_order": list(self.at_order)}


@dataclass(frozen=True)
class Expected:
    """What a rule is expected to cost a machine from new to its order or failure, and the share of machines it misses."""

    cost: float
    missed: float


def trials(probabilities: Sequence[NDArray[np.float64]], remaining: Sequence[NDArray[np.float64]]) -> list[Trial]:
    """Each rule of the grid, tried on these machines."""
    found = []
    for rule in GRID:
        lives = timing(probabilities, remaining, rule).remaining
        ordered = np.sort(lives[np.isfinite(lives)])
        kept = ordered if len(ordered) <= QUANTILES else np.quantile(ordered, (np.arange(QUANTILES) + 0.5) / QUANTILES)
        found.append(Trial(rule, len(lives), len(ordered), tuple(kept.tolist())))
    return found


def expected(trial: Trial, costs: Costs) -> Expected:
    """What the rule of `trial` is expected to cost at `costs`.

    That none of eighty orders came too late does not mean that none will, and a choice by what was seen alone would raise the latest
    order that happened to be in time for each of them. So each life stands for lives about it: a logistic density with the standard
    deviation of Silverman's rule (Density Estimation for Statistics and Data Analysis, 1986, 3.31).
    """
    if not trial.ordered:
        return Expected(costs.failure, 1.0)
    lives = np.array(trial.at_order)
    scale = max(_bandwidth(lives, trial.ordered) * np.sqrt(3) / np.pi, 1e-6)
    beyond = (lives - costs.lead) / scale
    in_time = float(np.exp(-np.logaddexp(0.0, -beyond)).mean())
    lost = float(scale * np.logaddexp(0.0, beyond).mean())
    share = trial.ordered / trial.machines
    missed = 1 - share * in_time
    return Expected(missed * costs.failure + share * (costs.visit + costs.lost_life * lost), missed)


def _bandwidth(lives: NDArray[np.float64], machines: int) -> float:
    low, high = np.quantile(lives, (0.25, 0.75))
    spreads = [spread for spread in (float(lives.std()), float(high - low) / 1.34) if spread > 0]
    return 0.9 * min(spreads, default=0.0) * float(machines**-0.2)


def cheapest(tried: Iterable[Trial], costs: Costs) -> Trial:
    """The trial of the rule that is expected to cost least; of equals the first."""
    return min(tried, key=lambda trial: expected(trial, costs).cost)
