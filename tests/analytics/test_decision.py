"""When an order is raised: chosen by what it costs, and the same rule as the one that raises alarms."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vigia.analytics.prognosis.decision import (
    GRID,
    LEAST_PROBABILITY,
    QUANTILES,
    Costs,
    Decision,
    Trial,
    cheapest,
    choose,
    expected,
    should_raise,
    timing,
    trials,
)
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


def aging(machines: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Probabilities that rise towards the end, each machine's in its own way, and the true lives."""
    random, lives = np.random.default_rng(3), [np.arange(150.0)[::-1] for _ in range(machines)]
    return [np.clip(1 - life / random.normal(70, 12) + random.normal(0, 0.05, 150), 0, 1) for life in lives], lives


money = st.floats(0, 1e6)


@given(money, money, st.floats(0, 1e3), st.floats(0, 60))
def test_no_rule_of_the_grid_costs_less_than_the_one_chosen(failure: float, visit: float, lost_life: float, lead: float) -> None:
    probabilities, lives = aging(12)
    costs = Costs(failure, visit, lost_life, lead)
    chosen = expected(cheapest(trials(probabilities, lives), costs), costs).cost
    spread = np.random.default_rng(0).logistic(size=(400, 1))
    for rule in GRID:
        at_order = timing(probabilities, lives, rule).remaining
        told = np.sort(at_order[np.isfinite(at_order)])
        trial = Trial(rule, 12, len(told), tuple(told.tolist()))
        assert chosen <= expected(trial, costs).cost + 1e-6
        if not len(told):
            continue
        width = 0.9 * min(told.std(), np.subtract(*np.quantile(told, (0.75, 0.25))) / 1.34) * len(told) ** -0.2 * np.sqrt(3) / np.pi
        drawn = costs.of(told + width * spread).mean() * len(told) / 12 + failure * (12 - len(told)) / 12
        assert abs(drawn - expected(trial, costs).cost) <= 0.12 * (failure + visit + 60 * lost_life) + 1e-6


def test_costs_decide_where_none_of_the_machines_was_missed() -> None:
    tried = trials(*aging(80))
    dear, cheap = (cheapest(tried, Costs(failure, 8_000.0, 60.0, 20.0)) for failure in (1e6, 2e4))
    assert np.median(dear.at_order) > np.median(cheap.at_order)
    assert expected(dear, Costs(1e6, 8_000.0, 60.0, 20.0)).missed < expected(cheap, Costs(1e6, 8_000.0, 60.0, 20.0)).missed


def test_of_many_machines_quantiles_are_kept_and_choose_alike() -> None:
    probabilities, lives = aging(500)
    costs = Costs()
    tried = trials(probabilities, lives)
    assert max(len(one.at_order) for one in tried) == QUANTILES
    for one in tried:
        at_order = timing(probabilities, lives, one.rule).remaining
        told = np.sort(at_order[np.isfinite(at_order)])
        whole = expected(Trial(one.rule, 500, len(told), tuple(told.tolist())), costs)
        assert abs(whole.cost - expected(one, costs).cost) < 0.01 * costs.failure


def test_a_rule_that_raised_nothing_costs_the_failures() -> None:
    never = trials([np.zeros(50)] * 3, [np.arange(50.0)[::-1]] * 3)
    assert {(one.machines, one.ordered) for one in never} == {(3, 0)}
    assert expected(never[0], Costs(failure=500.0)).cost == 500.0
    one = trials([np.ones(50)], [np.arange(50.0)[::-1]])[0]
    assert expected(one, Costs(100.0, 10.0, 1.0, 10.0)).cost == 10 + 38
