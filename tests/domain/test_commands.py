"""What can be sent to a machine, and who has to stand behind it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from vigia.domain import commands
from vigia.domain.commands import Value, Writable, fitting
from vigia.domain.errors import InvalidValueError, TransitionRefusedError

SETPOINT = Writable("setpoint", 10, "number", "bar", 2.0, 8.0, (), critical=False)
RESTART = Writable("Device Control/Restart", 11, "boolean", "1", None, None, (True,), critical=True)
T0 = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("metric", "value", "sent"),
    [
        (SETPOINT, 4, 4.0),
        (SETPOINT, 8.0, 8.0),
        (RESTART, True, True),
        (replace(SETPOINT, kind="integer"), 4, 4),
        (replace(SETPOINT, kind="text", low=None, high=None), "eco", "eco"),
        (replace(SETPOINT, low=None, high=None), 1e9, 1e9),
    ],
)
def test_what_fits_is_sent_as_the_metric_wants_it(metric: Writable, value: Value, sent: Value) -> None:
    found = fitting(metric, value)
    assert (found, type(found)) == (sent, type(sent))


@pytest.mark.parametrize(
    ("metric", "value", "why"),
    [
        (SETPOINT, 1.9, "2 bar or more"),
        (SETPOINT, 9, "8 bar or less"),
        (SETPOINT, True, "kind number"),
        (SETPOINT, "4", "kind number"),
        (SETPOINT, float("nan"), "kind number"),
        (SETPOINT, float("inf"), "kind number"),
        (replace(SETPOINT, kind="integer"), 4.0, "kind integer"),
        (replace(SETPOINT, kind="text"), "x" * 2001, "kind text"),
        (RESTART, False, "one of true"),
        (RESTART, 1, "kind boolean"),
        (replace(SETPOINT, kind="integer", allowed=(3, 5)), 4, "one of 3, 5"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(metric: Writable, value: Any, why: str) -> None:  # noqa: ANN401
    with pytest.raises(InvalidValueError, match=why):
        fitting(metric, value)


def test_two_people_stand_behind_a_critical_command_and_none_of_them_requested_it() -> None:
    assert not commands.approved(1, [2])
    assert not commands.approved(1, [2, 2])
    assert not commands.approved(1, [1, 2])
    assert commands.approved(1, [2, 3])
    commands.check_approver(1, 2, critical=True)
    for requester, critical in ((2, True), (1, False)):
        with pytest.raises(TransitionRefusedError):
            commands.check_approver(requester, 2, critical=critical)


def test_a_gateway_acts_soon_after_the_sending_and_never_past_the_expiry() -> None:
    assert commands.acts_until(T0, T0 + timedelta(hours=1)) == T0 + commands.ACTS_WITHIN
    assert commands.acts_until(T0, T0 + timedelta(seconds=5)) == T0 + timedelta(seconds=5)
    assert commands.answers_until(T0, T0 + timedelta(hours=1)) > T0 + commands.ACTS_WITHIN


def test_the_refusal_of_a_repetition_is_no_result() -> None:
    assert commands.repeats("refused", "used before: a command of this id has acted")
    assert not commands.repeats("refused", "out of range: 9 is above 8 bar")
    assert not commands.repeats("done", "")
