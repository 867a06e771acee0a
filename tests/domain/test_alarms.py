"""The life of an alarm: every state and transition, and what hides an alarm without forgetting it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia.domain.alarms import HIDDEN, MAX_TIME_SHELVED, Alarm, Event, Shelve, State, after
from vigia.domain.errors import DomainError, InvalidValueError, TransitionRefusedError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SHELVE = Shelve(NOW + 8 * HOUR)


def follow(*events: Event | Shelve, now: datetime = NOW) -> Alarm:
    alarm = Alarm.raised()
    for event in events:
        alarm = after(alarm, event, now)
    return alarm


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ((), State.UNACKNOWLEDGED),
        ((Event.ACKNOWLEDGE,), State.ACKNOWLEDGED),
        ((Event.CLEAR,), State.RETURNED),
        ((Event.CLEAR, Event.ACKNOWLEDGE), State.NORMAL),
        ((Event.ACKNOWLEDGE, Event.CLEAR), State.NORMAL),
        ((Event.CLEAR, Event.RAISE), State.UNACKNOWLEDGED),
        ((SHELVE,), State.SHELVED),
        ((SHELVE, Event.CLEAR), State.SHELVED),
        ((SHELVE, Event.CLEAR, Event.UNSHELVE), State.RETURNED),
        ((Event.ACKNOWLEDGE, SHELVE, Event.UNSHELVE), State.ACKNOWLEDGED),
        ((Event.ACKNOWLEDGE, SHELVE, Event.CLEAR, Event.UNSHELVE), State.NORMAL),
        ((Event.SUPPRESS,), State.SUPPRESSED),
        ((Event.SUPPRESS, Event.UNSUPPRESS), State.UNACKNOWLEDGED),
        ((Event.SUPPRESS, Event.CLEAR), State.NORMAL),
        ((SHELVE, Event.SUPPRESS, Event.UNSUPPRESS), State.UNACKNOWLEDGED),
        ((Event.REMOVE_FROM_SERVICE,), State.OUT_OF_SERVICE),
        ((Event.REMOVE_FROM_SERVICE, Event.CLEAR, Event.RETURN_TO_SERVICE), State.RETURNED),
        ((Event.ACKNOWLEDGE, Event.REMOVE_FROM_SERVICE, Event.RETURN_TO_SERVICE), State.ACKNOWLEDGED),
        ((Event.SUPPRESS, Event.RETIRE), State.NORMAL),
        ((Event.RETIRE,), State.NORMAL),
    ],
)
def test_events_lead_to_the_state_the_standard_names(events: tuple[Event | Shelve, ...], state: State) -> None:
    assert follow(*events).state is state


@pytest.mark.parametrize(
    ("events", "refused"),
    [
        ((Event.RETIRE,), Event.ACKNOWLEDGE),
        ((SHELVE,), Event.ACKNOWLEDGE),
        ((Event.SUPPRESS,), Event.ACKNOWLEDGE),
        ((), Event.CONFIRM),
        ((), Event.UNSHELVE),
        ((), Event.UNSUPPRESS),
        ((), Event.RETURN_TO_SERVICE),
        ((Event.REMOVE_FROM_SERVICE,), Event.SUPPRESS),
        ((Event.RETIRE,), Event.SUPPRESS),
        ((Event.RETIRE,), Event.REMOVE_FROM_SERVICE),
        ((Event.RETIRE,), SHELVE),
        ((Event.SUPPRESS,), SHELVE),
    ],
)
def test_what_a_state_does_not_allow_is_refused_with_a_sentence(events: tuple[Event | Shelve, ...], refused: Event | Shelve) -> None:
    with pytest.raises(TransitionRefusedError, match=r"^The alarm .*\.$"):
        after(follow(*events), refused, NOW)


def test_confirming_is_not_acknowledging() -> None:
    seen = follow(Event.ACKNOWLEDGE)
    assert not seen.confirmed
    assert after(seen, Event.CONFIRM, NOW) == replace(seen, confirmed=True)


def test_a_new_occurrence_wants_a_new_acknowledgement() -> None:
    again = follow(Event.ACKNOWLEDGE, Event.CONFIRM, SHELVE, Event.CLEAR, Event.RAISE, Event.UNSHELVE)
    assert (again.state, again.acknowledged, again.confirmed) == (State.UNACKNOWLEDGED, False, False)


@pytest.mark.parametrize("until", [NOW, NOW - HOUR, NOW + MAX_TIME_SHELVED + HOUR])
def test_shelving_has_a_limit(until: datetime) -> None:
    with pytest.raises(InvalidValueError):
        after(Alarm.raised(), Shelve(until), NOW)


def test_shelving_ends_by_itself_at_its_time() -> None:
    shelved = follow(SHELVE)
    assert after(shelved, Event.RAISE, SHELVE.until - HOUR).state is State.SHELVED
    assert after(shelved, Event.RAISE, SHELVE.until).state is State.UNACKNOWLEDGED


def test_one_shot_shelving_ends_with_the_condition() -> None:
    assert follow(Shelve(SHELVE.until, one_shot=True), Event.CLEAR).state is State.RETURNED


steps = st.lists(
    st.tuples(
        st.sampled_from([*Event, SHELVE, Shelve(SHELVE.until, one_shot=True)]),
        st.integers(0, 12),
    ),
    max_size=25,
)


@given(steps)
def test_an_alarm_in_sight_is_always_in_the_state_it_warrants(walk: list[tuple[Event | Shelve, int]]) -> None:
    alarm, now = Alarm.raised(), NOW
    for event, hours in walk:
        now += hours * HOUR
        try:
            alarm = after(alarm, event, now)
        except DomainError:
            continue
        assert alarm.state in HIDDEN or alarm.state is alarm.warranted
        assert (alarm.shelved_until is not None) == (alarm.state is State.SHELVED)
        if alarm.state is State.NORMAL:
            assert not alarm.active


@given(steps)
def test_an_event_twice_is_an_event_once_or_refused(walk: list[tuple[Event | Shelve, int]]) -> None:
    alarm = Alarm.raised()
    for event, _hours in walk:
        try:
            alarm = after(alarm, event, NOW)
            assert after(alarm, event, NOW) == alarm
        except DomainError:
            continue
