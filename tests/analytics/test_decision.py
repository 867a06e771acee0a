"""When an order is raised: chosen by what it costs, and the same rule as the one that raises alarms."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vigia.analytics.prognosis.decision import LEAST_PROBABILITY, Decision, choose, should_raise, timing
from vigia.domain import risk

RULE = Decision(0.5, 3, 0.2)


def test_an_order_needs_as_many_predictions_in_a_row_as_the_rule_says() -> None:
    probability = np.array([0.1, 0.6, 0.6, 0.1, 0.6, 0.7, 0.9, 0.9])
    assert timing([probability], [np.arange(8.0)[::-1]], RULE).remaining.tolist() == [1.0]


def test_no_order_is_a_miss() -> None:
    when = timing([np.full(50, 0.1)], [np.arange(50.0)[::-1]], RULE)
    assert (when.caught, when.early, when.missed) == (0, 0, 1)
    assert when.summary()["lead_median"] is None


def test_orders_are_counted_by_the_life_left() -> None:
    lives = [np.arange(100.0)[::-1]] * 5
    at = [9, 10, 60, 61]
    probabilities = [np.where(life <= left + 2, 1.0, 0.0) for life, left in zip(lives, at, strict=False)]
    when = timing([*probabilities, np.zeros(100)], lives, RULE)
    assert when.remaining[:4].tolist() == at
    assert (when.caught, when.early, when.missed) == (2, 1, 2)


@given(st.lists(st.floats(0, 1), max_size=8), st.floats(0.05, 0.95), st.integers(1, 5))
def test_the_rule_tried_in_training_is_the_rule_that_raises_alarms(recent: list[float], probability: float, consecutive: int) -> None:
    decision = Decision(probability, consecutive, probability / 2)
    action = risk.decide(recent, risk.Rule.of_model({"decision": decision.as_dict()}), active=False)
    assert should_raise(recent, decision) == (action is risk.Action.RAISE)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.05, 0.95), st.integers(1, 5))
def test_replaying_the_rule_cycle_by_cycle_gives_the_same_order(told: list[float], probability: float, consecutive: int) -> None:
    decision = Decision(probability, consecutive, 0.0)
    left = np.arange(float(len(told)))[::-1]
    first = next((left[cycle] for cycle in range(len(told)) if should_raise(told[: cycle + 1], decision)), np.nan)
    np.testing.assert_equal(timing([np.array(told)], [left], decision).remaining[0], first)


def test_the_choice_misses_nothing_that_can_be_caught_and_waits_for_the_wanted_lead() -> None:
    lives = [np.arange(200.0)[::-1]] * 10
    probabilities = [np.clip(1 - life / (80 + 2 * index), 0, 1) for index, life in enumerate(lives)]
    chosen = choose(probabilities, lives)
    when = timing(probabilities, lives, chosen)
    assert when.caught == 10
    assert abs(float(np.median(when.remaining)) - 32) < 4
    assert chosen.probability >= LEAST_PROBABILITY
    assert chosen.clear_probability < chosen.probability
