"""The life of an alarm, after ISA-18.2 and, for shelving, OPC UA Part 9.

One `Alarm` is one occurrence: from the first time its condition holds until it is back to normal. A shelved, suppressed or
out-of-service alarm is out of sight but still evaluated: its condition and acknowledgement are kept, and when it comes back
its state is the one they warrant then. Confirming (the corrective action is taken) is separate from acknowledging (it is seen).
Latched states are left out: no condition here needs a reset by hand.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from vigia.domain.errors import InvalidValueError, TransitionRefusedError

MAX_TIME_SHELVED = timedelta(hours=24)


class State(StrEnum):
    """ISA-18.2 alarm states."""

    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned_unacknowledged"
    SHELVED = "shelved"
    SUPPRESSED = "suppressed"
    OUT_OF_SERVICE = "out_of_service"


HIDDEN = frozenset({State.SHELVED, State.SUPPRESSED, State.OUT_OF_SERVICE})
"""States in which an alarm asks nobody for anything."""


class Event(StrEnum):
    """What can happen to an alarm, besides being shelved."""

    RAISE = "raise"
    CLEAR = "clear"
    ACKNOWLEDGE = "acknowledge"
    CONFIRM = "confirm"
    UNSHELVE = "unshelve"
    SUPPRESS = "suppress"
    UNSUPPRESS = "unsuppress"
    REMOVE_FROM_SERVICE = "remove_from_service"
    RETURN_TO_SERVICE = "return_to_service"
    RETIRE = "retire"  # the work is done, or the machine is gone: the occurrence is over, whoever has seen it


@dataclass(frozen=True)
class Shelve:
    """Put out of sight until a time; `one_shot` ends sooner, when the condition clears."""

    until: datetime
    one_shot: bool = False


@dataclass(frozen=True)
class Alarm:
    """Where one occurrence stands. `active`: its condition holds. A new one is `Alarm.raised()`."""

    state: State
    active: bool
    acknowledged: bool
    confirmed: bool = False
    shelved_until: datetime | None = None
    one_shot: bool = False

    @staticmethod
    def raised() -> "Alarm":
        """An alarm whose condition has just begun to hold."""
        return Alarm(State.UNACKNOWLEDGED, active=True, acknowledged=False)

    @property
    def warranted(self) -> State:
        """The state that condition and acknowledgement call for when nothing hides the alarm."""
        if self.active:
            return State.ACKNOWLEDGED if self.acknowledged else State.UNACKNOWLEDGED
        return State.NORMAL if self.acknowledged else State.RETURNED


def after(alarm: Alarm, event: Event | Shelve, now: datetime) -> Alarm:
    """The alarm after `event` at `now`; the same alarm when the event changes nothing.

    A shelving that has run out by `now` ends first. Raises TransitionRefusedError when the alarm's state does not allow the
    event, InvalidValueError for a shelving that ends in the past or later than MAX_TIME_SHELVED from now.
    """
    current = expired(alarm, now)
    if isinstance(event, Shelve):
        return _shelved(current, event, now)
    return _STEPS[event](current)


def expired(alarm: Alarm, now: datetime) -> Alarm:
    """The alarm with its shelving ended if that has run out by `now`."""
    if alarm.state is State.SHELVED and alarm.shelved_until is not None and alarm.shelved_until <= now:
        return _shown(alarm)
    return alarm


def _shown(alarm: Alarm) -> Alarm:
    return replace(alarm, state=alarm.warranted, shelved_until=None, one_shot=False)


def _settled(alarm: Alarm) -> Alarm:
    """In the state it warrants, unless something hides it."""
    return alarm if alarm.state in HIDDEN else replace(alarm, state=alarm.warranted)


def _raise(alarm: Alarm) -> Alarm:
    if alarm.active:
        return alarm
    return _settled(replace(alarm, active=True, acknowledged=False, confirmed=False))


def _clear(alarm: Alarm) -> Alarm:
    if not alarm.active:
        return alarm
    cleared = replace(alarm, active=False)
    if alarm.state is State.SUPPRESSED:
        # Nobody was asked to look at it, so nobody has to acknowledge it.
        return replace(cleared, state=State.NORMAL, acknowledged=True)
    if alarm.state is State.SHELVED and alarm.one_shot:
        return _shown(cleared)
    return _settled(cleared)


def _acknowledge(alarm: Alarm) -> Alarm:
    if alarm.state is State.NORMAL:
        raise TransitionRefusedError("The alarm is back to normal; there is nothing to acknowledge.")
    if alarm.state in HIDDEN:
        message = f"The alarm is {_words(alarm.state)}; bring it back before acknowledging it."
        raise TransitionRefusedError(message)
    return _settled(replace(alarm, acknowledged=True))


def _confirm(alarm: Alarm) -> Alarm:
    if not alarm.acknowledged:
        raise TransitionRefusedError("The alarm is not acknowledged; acknowledge it before confirming what was done.")
    return replace(alarm, confirmed=True)


def _shelved(alarm: Alarm, event: Shelve, now: datetime) -> Alarm:
    if alarm.state is State.NORMAL:
        raise TransitionRefusedError("The alarm is back to normal; there is nothing to shelve.")
    if alarm.state in HIDDEN - {State.SHELVED}:
        message = f"The alarm is {_words(alarm.state)}; it cannot be shelved as well."
        raise TransitionRefusedError(message)
    if not now < event.until <= now + MAX_TIME_SHELVED:
        hours = MAX_TIME_SHELVED // timedelta(hours=1)
        message = f"An alarm is shelved until a time in the future, at most {hours} hours ahead."
        raise InvalidValueError(message)
    return replace(alarm, state=State.SHELVED, shelved_until=event.until, one_shot=event.one_shot)


def _unshelve(alarm: Alarm) -> Alarm:
    if alarm.state is not State.SHELVED:
        raise TransitionRefusedError("The alarm is not shelved.")
    return _shown(alarm)


def _suppress(alarm: Alarm) -> Alarm:
    if alarm.state is State.NORMAL:
        raise TransitionRefusedError("The alarm is back to normal; there is nothing to suppress.")
    if alarm.state is State.OUT_OF_SERVICE:
        raise TransitionRefusedError("The alarm is out of service; return it to service before suppressing it.")
    return replace(alarm, state=State.SUPPRESSED, shelved_until=None, one_shot=False)


def _unsuppress(alarm: Alarm) -> Alarm:
    if alarm.state is not State.SUPPRESSED:
        raise TransitionRefusedError("The alarm is not suppressed.")
    return _shown(alarm)


def _remove_from_service(alarm: Alarm) -> Alarm:
    if alarm.state is State.NORMAL:
        raise TransitionRefusedError("The alarm is back to normal; there is nothing to take out of service.")
    return replace(alarm, state=State.OUT_OF_SERVICE, shelved_until=None, one_shot=False)


def _return_to_service(alarm: Alarm) -> Alarm:
    if alarm.state is not State.OUT_OF_SERVICE:
        raise TransitionRefusedError("The alarm is not out of service.")
    return _shown(alarm)


def _retire(alarm: Alarm) -> Alarm:
    return replace(alarm, state=State.NORMAL, active=False, acknowledged=True, shelved_until=None, one_shot=False)


def _words(state: State) -> str:
    return state.value.replace("_", " ")


_STEPS: Mapping[Event, Callable[[Alarm], Alarm]] = {
    Event.RAISE: _raise,
    Event.CLEAR: _clear,
    Event.ACKNOWLEDGE: _acknowledge,
    Event.CONFIRM: _confirm,
    Event.UNSHELVE: _unshelve,
    Event.SUPPRESS: _suppress,
    Event.UNSUPPRESS: _unsuppress,
    Event.REMOVE_FROM_SERVICE: _remove_from_service,
    Event.RETURN_TO_SERVICE: _return_to_service,
    Event.RETIRE: _retire,
}
