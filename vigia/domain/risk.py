"""Whether predictions warrant an alarm, and how urgent it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from vigia.domain.errors import InvalidValueError


class Priority(StrEnum):
    """How urgent, ISA-18.2 wording; most urgent first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    @property
    def rank(self) -> int:
        """0 is the most urgent."""
        return list(Priority).index(self)


class Action(StrEnum):
    """What the newest prediction asks of the alarm."""

    RAISE = "raise"
    CLEAR = "clear"
    KEEP = "keep"


@dataclass(frozen=True)
class Rule:
    """A model's decision numbers: its own, chosen when it was trained, or those that cost a contract least (`by_cost`).

    An alarm is raised after `consecutive` predictions in a row with a probability of at least `probability`, and cleared
    after as many below `clear_probability`. The gap between the two keeps it from flapping.
    """

    probability: float = 0.5
    consecutive: int = 3
    clear_probability: float = 0.2
    by_cost: bool = False

    def __post_init__(self) -> None:
        """Raise InvalidValueError for numbers that could flap or never decide."""
        if not 0 <= self.clear_probability <= self.probability <= 1:
            raise InvalidValueError("A decision needs 0 <= clear_probability <= probability <= 1.")
        if self.consecutive < 1:
            raise InvalidValueError("A decision needs at least one prediction: consecutive >= 1.")

    @classmethod
    def of_model(cls, metrics: Mapping[str, object]) -> Self:
        """The rule in a model version's metrics (key "decision"); keys it lacks keep their defaults."""
        numbers = metrics.get("decision")
        if not isinstance(numbers, Mapping):
            return cls()
        return cls(
            probability=float(numbers.get("probability", cls.probability)),
            consecutive=int(numbers.get("consecutive", cls.consecutive)),
            clear_probability=float(numbers.get("clear_probability", cls.clear_probability)),
        )

    @property
    def told(self) -> dict[str, object]:
        """As a part of an alarm's or order's reason."""
        return {"probability": self.probability, "consecutive": self.consecutive, "by_cost": self.by_cost}


def decide(probabilities: Sequence[float], rule: Rule, *, active: bool) -> Action:
    """What to do with the alarm of one asset and failure mode.

    probabilities : the asset's recent failure probabilities, newest last; only the last `rule.consecutive` count
    active : whether the alarm's condition holds already
    """
    recent = probabilities[-rule.consecutive :]
    if len(recent) < rule.consecutive:
        return Action.KEEP
    if not active and min(recent) >= rule.probability:
        return Action.RAISE
    if active and max(recent) < rule.clear_probability:
        return Action.CLEAR
    return Action.KEEP


# Remaining life, in the asset model's life unit, up to which a predicted failure has this priority.
_PRIORITY_UP_TO = ((10.0, Priority.CRITICAL), (30.0, Priority.HIGH), (60.0, Priority.MEDIUM))


def priority_of(remaining_life: float) -> Priority:
    """The priority of a failure predicted `remaining_life` (median, in the model's life unit) ahead."""
    for limit, priority in _PRIORITY_UP_TO:
        if remaining_life <= limit:
            return priority
    return Priority.LOW
