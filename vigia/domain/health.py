"""A machine's health in the five words of NAMUR NE 107, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Health(StrEnum):
    """NE 107 status."""

    NORMAL = "normal"
    MAINTENANCE_REQUIRED = "maintenance_required"
    OFF_SPEC = "off_spec"
    CHECK = "check"
    FAILURE = "failure"


class Why(StrEnum):
    """What the word rests on."""

    NOTHING_UNUSUAL = "nothing_unusual"
    PREDICTED = "predicted"
    DRIFTING = "drifting"
    SENSOR_FAULT = "sensor_fault"
    IN_WORK = "in_work"
    NO_READINGS = "no_readings"
    NO_MACHINE = "no_machine"
    FAILED = "failed"


SILENT_AFTER = timedelta(hours=6)
"""Without a reading for this long nobody can say how the machine is."""

PREDICTED_CONDITION = "failure_predicted:"
DRIFT_CONDITIONS = ("drift:", "rate:", "together:")
SENSOR_CONDITION = "sensor:"
FAILED_CONDITION = "failed"

# By what it costs to look away: most first.
_URGENCY = (Why.FAILED, Why.PREDICTED, Why.NO_READINGS, Why.DRIFTING, Why.SENSOR_FAULT, Why.NO_MACHINE, Why.IN_WORK, Why.NOTHING_UNUSUAL)

_WORDS = {
    Why.NOTHING_UNUSUAL: Health.NORMAL,
    Why.PREDICTED: Health.MAINTENANCE_REQUIRED,
    Why.DRIFTING: Health.OFF_SPEC,
    Why.SENSOR_FAULT: Health.CHECK,
    Why.IN_WORK: Health.CHECK,
    Why.NO_READINGS: Health.CHECK,
    Why.NO_MACHINE: Health.CHECK,
    Why.FAILED: Health.FAILURE,
}


@dataclass(frozen=True)
class Signs:
    """What is known of a role now. `conditions` are those of the machine's open alarms."""

    installed: bool
    failed: bool
    in_work: bool
    reading_at: datetime | None
    conditions: Sequence[str] = ()


@dataclass(frozen=True)
class Assessment:
    """The word, why, and its rank in a list sorted by consequence (0 first)."""

    health: Health
    why: Why

    @property
    def rank(self) -> int:
        """0 is what costs most to overlook."""
        return _URGENCY.index(self.why)


def assess(signs: Signs, now: datetime) -> Assessment:
    """The one word for a role: what forbids a statement comes before what is stated."""
    why = _why(signs, now)
    return Assessment(_WORDS[why], why)


def _why(signs: Signs, now: datetime) -> Why:
    holds = {
        Why.NO_MACHINE: not signs.installed,
        Why.IN_WORK: signs.in_work,
        Why.FAILED: signs.failed or FAILED_CONDITION in signs.conditions,
        Why.PREDICTED: any(condition.startswith(PREDICTED_CONDITION) for condition in signs.conditions),
        Why.NO_READINGS: signs.reading_at is None or now - signs.reading_at > SILENT_AFTER,
        Why.DRIFTING: any(condition.startswith(DRIFT_CONDITIONS) for condition in signs.conditions),
        Why.SENSOR_FAULT: any(condition.startswith(SENSOR_CONDITION) for condition in signs.conditions),
    }
    return next((why for why, true in holds.items() if true), Why.NOTHING_UNUSUAL)
