"""What the changes of a machine's state make of its role's time."""

from datetime import UTC, datetime, timedelta

from vigia.domain.availability import Category
from vigia.domain.states import CYCLE, Stretch, stretches

START = datetime(2026, 1, 1, tzinfo=UTC)
UP, DOWN = Category.UP, Category.SUPPLIER_DOWN


def hours(n: float) -> datetime:
    return START + timedelta(hours=n)


def test_a_reading_speaks_for_the_hour_before_it() -> None:
    assert stretches([(hours(5), 1)], START) == [Stretch(UP, hours(5) - CYCLE)]
    assert stretches([(hours(0.5), 1)], START) == [Stretch(UP, START)]


def test_a_failure_lasts_until_it_runs_again() -> None:
    found = stretches([(hours(1), 1), (hours(3), 0), (hours(9), 1)], START)
    assert found == [Stretch(UP, START, hours(3)), Stretch(DOWN, hours(3), hours(8)), Stretch(UP, hours(8))]


def test_a_short_failure_ends_when_it_says_so() -> None:
    found = stretches([(hours(1), 1), (hours(3), 0), (hours(3.5), 1)], START)
    assert found == [Stretch(UP, START, hours(3)), Stretch(DOWN, hours(3), hours(3.5)), Stretch(UP, hours(3.5))]


def test_what_it_says_again_changes_nothing() -> None:
    assert stretches([(hours(1), 0), (hours(2), 0)], START) == [Stretch(DOWN, hours(1))]


def test_it_goes_on_from_what_was_before() -> None:
    first = Stretch(UP, hours(2), hours(9))
    assert stretches([(hours(3), 1)], START, first) == [Stretch(UP, hours(2))]
    assert stretches([(hours(4), 0)], START, first) == [Stretch(UP, hours(2), hours(4)), Stretch(DOWN, hours(4))]


def test_a_state_that_nobody_defined_is_passed_over() -> None:
    assert stretches([(hours(1), 1), (hours(2), 7)], START) == [Stretch(UP, START)]
