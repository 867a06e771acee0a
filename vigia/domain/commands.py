"""What a machine may be told from afar, by whom, and how a command ends.

A gateway decides alone, by its own configuration; what is refused here is refused before anyone waits for it.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from vigia.domain.errors import InvalidValueError, TransitionRefusedError

Value = bool | int | float | str
ValueKind = Literal["boolean", "integer", "number", "text"]
Outcome = Literal["done", "refused", "failed"]

APPROVERS_OF_CRITICAL = 2
SHORTEST, LONGEST = timedelta(seconds=10), timedelta(hours=24)
LONGEST_TEXT = 2000  # characters of a value

# A gateway acts within the first after sending or not at all, carries out for a minute at most, and its answer is a buffered sample.
ACTS_WITHIN = timedelta(seconds=60)
ANSWERS_WITHIN = timedelta(seconds=90)

NOT_SENT = "not sent in time: nothing was done"
NO_ANSWER = "no answer: the machine may have acted or not; look at it before you send another command"


class State(StrEnum):
    """Where a command stands. A critical one is approved before it is sent; another goes from requested to sent."""

    REQUESTED = "requested"
    APPROVED = "approved"
    SENT = "sent"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


WAITING = (State.REQUESTED, State.APPROVED)


@dataclass(frozen=True)
class Writable:
    """A metric that may be written: `low` and `high`, both included, in its `unit` (UCUM); `allowed`, unless empty, the only values.

    `datatype` is Sparkplug's number. A `critical` one needs two approvers.
    """

    name: str
    datatype: int
    kind: ValueKind
    unit: str
    low: float | None
    high: float | None
    allowed: tuple[Value, ...]
    critical: bool


def fitting(metric: Writable, value: Value) -> Value:
    """`value` as it can be sent to `metric`: a whole number for a number too. Raises InvalidValueError, which says what can be sent."""
    if not _is_of(metric.kind, value):
        raise InvalidValueError(f"{metric.name} takes a value of the kind {metric.kind}, not {value!r:.40}.")
    if metric.allowed and not any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in metric.allowed):
        raise InvalidValueError(f"{metric.name} takes one of {', '.join(map(_word, metric.allowed))}, not {_word(value)}.")
    if isinstance(value, str):
        return value
    if not isinstance(value, bool):
        _check_range(metric, value)
    return float(value) if metric.kind == "number" else value


def _is_of(kind: ValueKind, value: Value) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, str):
        return kind == "text" and len(value) <= LONGEST_TEXT
    if isinstance(value, int):
        return kind in ("integer", "number")
    return kind == "number" and math.isfinite(value)


def _check_range(metric: Writable, value: float) -> None:
    unit = "" if metric.unit == "1" else f" {metric.unit}"
    if metric.low is not None and value < metric.low:
        raise InvalidValueError(f"{metric.name} takes {metric.low:g}{unit} or more, not {value:g}{unit}.")
    if metric.high is not None and value > metric.high:
        raise InvalidValueError(f"{metric.name} takes {metric.high:g}{unit} or less, not {value:g}{unit}.")


def _word(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value!s:.40}"


def approved(requested_by: int, approvers: Collection[int]) -> bool:
    """Whether enough people stand behind a critical command: two, neither of them who requested it."""
    return len(set(approvers) - {requested_by}) >= APPROVERS_OF_CRITICAL


def check_approver(requested_by: int, account_id: int, *, critical: bool) -> None:
    """Raises TransitionRefusedError when the approval of `account_id` would not count."""
    if not critical:
        raise TransitionRefusedError("This command needs no approval: it is sent as it is.")
    if account_id == requested_by:
        raise TransitionRefusedError("You requested this command: two other people have to approve it.")


def acts_until(sent_at: datetime, expires_at: datetime) -> datetime:
    """Until when a gateway may act on a command that is sent now."""
    return min(expires_at, sent_at + ACTS_WITHIN)


def answers_until(sent_at: datetime, expires_at: datetime) -> datetime:
    """Until when its answer is waited for."""
    return acts_until(sent_at, expires_at) + ANSWERS_WITHIN


def repeats(outcome: Outcome, reason: str) -> bool:
    """Whether a result speaks of a repetition that was refused: the command itself has a result of its own."""
    return outcome == "refused" and reason.startswith("used before")
