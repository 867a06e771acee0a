"""Alarms are raised and cleared by the model's own numbers, and do not flap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia.domain.errors import InvalidValueError
from vigia.domain.risk import Action, Priority, Rule, decide, priority_of

RULE = Rule(probability=0.5, consecutive=3, clear_probability=0.2)
probabilities = st.lists(st.floats(0, 1), max_size=30)


def test_enough_high_probabilities_in_a_row_raise() -> None:
    assert decide([0.1, 0.6, 0.5, 0.9], RULE, active=False) is Action.RAISE


@pytest.mark.parametrize("recent", [[], [0.9, 0.9], [0.9, 0.49, 0.9]])
def test_too_few_or_interrupted_ones_do_not(recent: list[float]) -> None:
    assert decide(recent, RULE, active=False) is Action.KEEP


def test_enough_low_probabilities_clear() -> None:
    assert decide([0.9, 0.1, 0.1, 0.1], RULE, active=True) is Action.CLEAR


def test_between_the_two_limits_nothing_changes() -> None:
    for active in (True, False):
        assert decide([0.3, 0.3, 0.3], RULE, active=active) is Action.KEEP


@given(probabilities, st.booleans())
def test_an_action_always_changes_the_alarm(recent: list[float], active: bool) -> None:  # noqa: FBT001 - generated
    action = decide(recent, RULE, active=active)
    assert action is not (Action.RAISE if active else Action.CLEAR)


@given(probabilities)
def test_the_same_predictions_never_raise_and_clear(recent: list[float]) -> None:
    assert not (decide(recent, RULE, active=False) is Action.RAISE and decide(recent, RULE, active=True) is Action.CLEAR)


def test_a_rule_comes_from_the_models_metrics() -> None:
    assert Rule.of_model({"decision": {"probability": 0.7, "consecutive": 5, "clear_probability": 0.1}}) == Rule(0.7, 5, 0.1)
    assert Rule.of_model({"rmse": 12}) == Rule()


@pytest.mark.parametrize("numbers", [(0.2, 3, 0.5), (0.5, 0, 0.2), (1.5, 3, 0.2)])
def test_numbers_that_cannot_decide_are_refused(numbers: tuple[float, int, float]) -> None:
    with pytest.raises(InvalidValueError):
        Rule(*numbers)


@given(st.floats(0, 500), st.floats(0, 500))
def test_less_remaining_life_is_never_less_urgent(first: float, second: float) -> None:
    shorter, longer = sorted((first, second))
    assert priority_of(shorter).rank <= priority_of(longer).rank


def test_urgency_follows_remaining_life() -> None:
    assert [priority_of(life) for life in (5, 25, 50, 100)] == list(Priority)
