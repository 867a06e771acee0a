"""Which commands are allowed, and whether one keeps to its rule. Pure; times in milliseconds since 1970 UTC.

Nothing is allowed that no rule names. A command acts once: its id is never taken again, and it does not outlive its expiry.
"""

import json
import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vigia.edge import EdgeError
from vigia.edge.samples import Point, Value
from vigia.sparkplug import PayloadError
from vigia.sparkplug.datatypes import DataType, Scalar, write_value
from vigia.sparkplug.names import COMMAND

MOST_SKEW_MS = 60_000
APPROVERS_OF_CRITICAL = 2
LONGEST_ID = 128
_LATEST_MS = 1 << 53


@dataclass(frozen=True, slots=True)
class Rule:
    """One allowed command: writing the metric `name` of `device` acts on the source's point or method `acts_on`.

    `low` and `high`, both included, are in that point's unit; `allowed`, unless it is empty, lists the only values taken. `critical`
    needs two approvers; `plain` takes it from hosts that say nothing but the value.
    """

    device: str
    name: str
    acts_on: str
    datatype: DataType
    low: float | None = None
    high: float | None = None
    allowed: tuple[Value, ...] = ()
    critical: bool = False
    plain: bool = False
    max_age_ms: int = 60_000
    unit: str = "1"


Rules = Mapping[tuple[str, str], Rule]
"""By device and name."""


@dataclass(frozen=True, slots=True)
class Announced:
    """An allowed command as a DBIRTH tells it: the metric to write, and within which bounds."""

    point: Point
    rule: Rule


@dataclass(frozen=True, slots=True)
class Command:
    """What a DCMD asks for. `expires_at` None, and nobody requested it: it came without the words of a Vigía host."""

    id: str
    device: str
    name: str
    value: Scalar | None
    issued_at: int
    expires_at: int | None = None
    requested_by: str = ""
    approved_by: tuple[str, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether it came as any Sparkplug host sends it."""
        return self.expires_at is None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The command may act, now: `value` is what to write."""

    rule: Rule
    value: Value


@dataclass(frozen=True, slots=True)
class Refused:
    """The command must not act."""

    reason: str


class MalformedCommandError(EdgeError):
    """A DCMD that cannot be understood; `id` is its id if that could be read, else ""."""

    def __init__(self, reason: str, id: str = "") -> None:  # noqa: A002 - as on the wire
        super().__init__(reason)
        self.id = id


def read(device: str, metrics: Sequence[tuple[str | None, Scalar | None]], sent: int | None) -> Command:
    """The command in the named metrics of a DCMD that was sent at `sent`. Raises MalformedCommandError."""
    said = [value for name, value in metrics if name == COMMAND]
    ordered = [(name, value) for name, value in metrics if name != COMMAND]
    words = _words(said[0]) if said else {}
    id_ = _id(words) if said else ""
    if len(said) > 1 or len(ordered) != 1:
        raise MalformedCommandError(f"write one metric in a command, not {len(ordered)}", id_)
    name, value = ordered[0]
    if name is None:
        raise MalformedCommandError("unknown: no metric of the device has this alias", id_)
    if said:
        return _with_words(device, name, value, id_, words)
    if sent is None:
        raise MalformedCommandError("the message does not tell when it was sent")
    # The moment it was sent is all that tells one such command from the next.
    return Command(f"{device}/{name}@{sent}", device, name, value, sent)


def decide(command: Command, rules: Rules, seen: Container[str], now: int, since: int = 0) -> Accepted | Refused:
    """Whether `command` may act now. `seen` are the ids that acted before; of commands issued before `since` that is not known."""
    if not rules:
        return Refused("not allowed: the gateway's configuration allows no command to this device")
    rule = rules.get((command.device, command.name))
    if rule is None:
        return Refused(f"not allowed: the gateway's configuration has no command {command.name!r} of this device")
    reason = _ill_timed(command, rule, seen, now, since) or _unapproved(command, rule) or _unfit(command, rule)
    if reason:
        return Refused(reason)
    value = command.value
    assert value is not None  # noqa: S101 - such one is unfit
    assert not isinstance(value, bytes)  # noqa: S101
    return Accepted(rule, float(value) if rule.datatype in (DataType.FLOAT, DataType.DOUBLE) else value)


def _ill_timed(command: Command, rule: Rule, seen: Container[str], now: int, since: int) -> str:
    if command.id in seen:
        return "used before: a command of this id has acted; issue another one"
    if command.issued_at > now + MOST_SKEW_MS:
        return f"clock skew: issued {(command.issued_at - now) / 1000:.0f} s ahead of the gateway's clock; set the clocks right"
    if command.expires_at is not None and command.expires_at <= now:
        return f"expired {(now - command.expires_at) / 1000:.1f} s ago"
    if now - command.issued_at > rule.max_age_ms:
        return f"expired: issued {(now - command.issued_at) / 1000:.1f} s ago, taken up to {rule.max_age_ms / 1000:g} s"
    if command.issued_at < since:
        return "issued before the gateway began to remember which commands have acted; issue another one"
    return ""


def _unapproved(command: Command, rule: Rule) -> str:
    if command.plain and not rule.plain:
        return f"not allowed: it came without {COMMAND}, which tells who requested it and until when it counts"
    approvers = {name.strip().casefold() for name in command.approved_by} - {""}
    if rule.critical and len(approvers) < APPROVERS_OF_CRITICAL:
        return f"too few approvers: a critical command needs {APPROVERS_OF_CRITICAL} different ones, this has {len(approvers)}"
    return ""


def _unfit(command: Command, rule: Rule) -> str:
    value = command.value
    if value is None or isinstance(value, bytes):
        return f"wrong type: it has no value that is a {rule.datatype.name}"
    try:
        write_value(rule.datatype, value)
    except PayloadError as error:
        return f"wrong type: {error}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"out of range: {value}"
    if rule.allowed and not any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in rule.allowed):
        return f"out of range: {value!r:.40} is none of the values allowed: {', '.join(map(str, rule.allowed))}"
    return _out_of_range(value, rule)


def _out_of_range(value: Value, rule: Rule) -> str:
    if isinstance(value, (bool, str)):
        return ""
    unit = "" if rule.unit == "1" else f" {rule.unit}"
    if rule.low is not None and value < rule.low:
        return f"out of range: {value:g} is below {rule.low:g}{unit}"
    if rule.high is not None and value > rule.high:
        return f"out of range: {value:g} is above {rule.high:g}{unit}"
    return ""


def _words(text: Scalar | None) -> dict[str, Any]:
    try:
        words = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        words = None
    if not isinstance(words, dict):
        raise MalformedCommandError(f"{COMMAND} is no JSON object")
    return words


def _id(words: Mapping[str, Any]) -> str:
    found = words.get("id")
    if not isinstance(found, str) or not 0 < len(found) <= LONGEST_ID or not found.isprintable():
        raise MalformedCommandError(f"{COMMAND} has no id, a text of up to {LONGEST_ID} characters")
    return found


def _with_words(device: str, name: str, value: Scalar | None, id_: str, words: Mapping[str, Any]) -> Command:
    issued_at, expires_at = (_time(words, key, id_) for key in ("issued_at", "expires_at"))
    requested_by, approved_by = words.get("requested_by"), words.get("approved_by", [])
    if not isinstance(requested_by, str) or not requested_by.strip():
        raise MalformedCommandError(f"{COMMAND} has no requested_by", id_)
    if not isinstance(approved_by, list) or not all(isinstance(one, str) for one in approved_by):
        raise MalformedCommandError(f"{COMMAND} has an approved_by that is no list of names", id_)
    return Command(id_, device, name, value, issued_at, expires_at, requested_by, tuple(approved_by))


def _time(words: Mapping[str, Any], key: str, id_: str) -> int:
    found = words.get(key)
    if not isinstance(found, int) or isinstance(found, bool) or not 0 < found < _LATEST_MS:
        raise MalformedCommandError(f"{COMMAND} has no {key} in milliseconds since 1970 UTC", id_)
    return found
