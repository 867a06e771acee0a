"""The benchmark's score, by hand."""

import math

import numpy as np
import pytest

from vigia.analytics.evaluate.nab_scoring import PROFILES, Profile, Scored, at_threshold, evaluate

STANDARD = PROFILES["standard"]
ROWS, FIRST, LAST = 100, 50, 59  # the first 15 rows do not count


def scored(*alarms: tuple[int, float]) -> Scored:
    scores = np.zeros(ROWS)
    for row, score in alarms:
        scores[row] = score
    return Scored(scores, [(FIRST, LAST)])


def sigmoid(x: float) -> float:
    return 2 / (1 + math.exp(5 * x)) - 1


def test_a_window_found_at_its_first_row_and_nothing_else_is_100() -> None:
    assert evaluate([scored((FIRST, 1.0))], STANDARD).score == pytest.approx(100.0)


def test_no_alarm_is_0_and_the_threshold_never_reached() -> None:
    found = evaluate([scored()], Profile(1.0, 100.0, 1.0))
    assert found.score == 0.0
    assert found.threshold == math.inf


def test_a_window_found_later_is_worth_less() -> None:
    worth = sigmoid(-(LAST - 55 + 1) / 10) / sigmoid(-1.0)
    assert at_threshold([scored((55, 1.0))], STANDARD, 0.5) == pytest.approx(100 * (worth + 1) / 2)


def test_only_the_best_alarm_of_a_window_counts() -> None:
    assert at_threshold([scored((52, 1.0), (55, 1.0), (58, 1.0))], STANDARD, 0.5) == at_threshold([scored((52, 1.0))], STANDARD, 0.5)


@pytest.mark.parametrize(("row", "cost"), [(30, 1.0), (LAST + 9, -sigmoid(1.0)), (LAST + 3, -sigmoid(3 / 9)), (LAST + 30, 1.0)])
def test_a_false_alarm_costs_by_how_far_behind_a_window_it_is(row: int, cost: float) -> None:
    found = at_threshold([scored((FIRST, 1.0), (row, 1.0))], STANDARD, 0.5)
    assert found == pytest.approx(100 * (2 - 0.11 * cost) / 2)


def test_alarms_in_probation_count_for_nothing() -> None:
    assert at_threshold([scored((3, 1.0), (FIRST, 1.0))], STANDARD, 0.5) == pytest.approx(100.0)


def test_the_threshold_is_one_for_all_files_and_the_best() -> None:
    quiet, loud = scored((FIRST, 2.0), (30, 1.0)), scored((FIRST, 5.0), (31, 1.0), (32, 1.0))
    found = evaluate([quiet, loud], STANDARD)
    assert found.threshold == 2.0
    assert found.score == pytest.approx(100.0)
    assert at_threshold([quiet, loud], STANDARD, 1.0) == pytest.approx(100 * (4 - 3 * 0.11) / 4)


def test_files_without_anomaly_only_cost() -> None:
    found = at_threshold([scored((FIRST, 1.0)), Scored(np.where(np.arange(ROWS) == 40, 1.0, 0.0), [])], STANDARD, 0.5)
    assert found == pytest.approx(100 * (2 - 0.11) / 2)
