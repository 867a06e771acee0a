"""Up time, down time and unknown time, and the figures made of them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia.domain.availability import (
    COUNTED_DOWN,
    COUNTED_UP,
    EXCLUDED,
    NOTHING,
    PRIORITY,
    Category,
    Elements,
    Evidence,
    Interval,
    elements,
    merged,
)

T0 = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(hour: float) -> datetime:
    return T0 + hour * HOUR


def interval(category: Category, start: float, end: float | None = None) -> Interval:
    return Interval(category, at(start), None if end is None else at(end))


def proof(start: float, end: float) -> Evidence:
    return Evidence(at(start), at(end))


def hours(found: Elements) -> dict[str, float]:
    return {category.value: time / HOUR for category, time in found.time.items() if time}


def test_a_planned_swap_of_four_hours_is_excluded_time() -> None:
    found = elements(
        T0,
        at(100),
        [interval(Category.UP, 0, 60), interval(Category.PLANNED_AGREED, 60, 64), interval(Category.UP, 64)],
        [proof(0, 60), proof(64, 100)],
    )
    assert hours(found) == {"up": 96, "planned_agreed": 4}
    assert found.contract_availability == 1
    assert found.time_based_availability == 1


def test_a_failure_with_48_hours_of_waiting_and_4_of_work_is_the_suppliers() -> None:
    found = elements(
        T0,
        at(100),
        [interval(Category.UP, 0, 40), interval(Category.SUPPLIER_DOWN, 40, 92), interval(Category.UP, 92)],
        [proof(0, 40), proof(92, 100)],
    ) + Elements({}, operating=47 * HOUR, failures=1)
    assert hours(found) == {"up": 48, "supplier_down": 52}
    assert found.contract_availability == pytest.approx(0.48)
    assert found.mttr == 52 * HOUR
    assert found.mtbf == 47 * HOUR
    assert found.restoration_based_availability == pytest.approx(47 / 99)


def test_up_time_without_a_reading_is_unknown() -> None:
    found = elements(T0, at(10), [interval(Category.UP, 0)], [proof(0, 3), proof(5, 8)])
    assert hours(found) == {"up": 6, "data_unknown": 4}


def test_down_time_needs_no_reading() -> None:
    assert hours(elements(T0, at(10), [interval(Category.SUPPLIER_DOWN, 0)], [])) == {"supplier_down": 10}


def test_time_without_an_interval_is_unknown() -> None:
    assert hours(elements(T0, at(10), [], [proof(0, 10)])) == {"data_unknown": 10}


def test_of_two_claims_the_first_in_the_list_of_priorities_wins() -> None:
    found = elements(
        T0,
        at(10),
        [interval(Category.SUPPLIER_DOWN, 0, 10), interval(Category.FORCE_MAJEURE, 2, 5), interval(Category.PLANNED_AGREED, 4, 7)],
        [],
    )
    assert hours(found) == {"supplier_down": 5, "force_majeure": 3, "planned_agreed": 2}


def test_externally_disabled_time_counts_as_up_in_m10_but_not_in_the_contract() -> None:
    found = Elements({Category.UP: 80 * HOUR, Category.EXTERNAL_UTILITY: 10 * HOUR, Category.SUPPLIER_DOWN: 10 * HOUR})
    assert found.time_based_availability == pytest.approx(0.9)
    assert found.contract_availability == pytest.approx(80 / 90)


def test_figures_are_made_of_sums_not_of_averages() -> None:
    good = Elements({Category.UP: 900 * HOUR})
    bad = Elements({Category.UP: 50 * HOUR, Category.SUPPLIER_DOWN: 50 * HOUR})
    assert (good + bad).contract_availability == pytest.approx(0.95)


def test_no_failure_is_a_bound_not_a_number() -> None:
    found = Elements({}, operating=300 * HOUR)
    assert found.mtbf is None
    assert found.mttr is None
    bound = found.mtbf_lower_bound()
    assert bound is not None
    assert bound / HOUR == pytest.approx(100.1, abs=0.1)
    assert Elements({}, operating=300 * HOUR, failures=1).mtbf_lower_bound() is None


def test_no_time_gives_no_figure() -> None:
    assert NOTHING.contract_availability is None
    assert NOTHING.time_based_availability is None
    assert NOTHING.restoration_based_availability is None
    assert NOTHING.mtbf_lower_bound() is None


def test_every_category_is_up_down_or_excluded_and_has_a_priority() -> None:
    assert set(Category) == COUNTED_UP | COUNTED_DOWN | EXCLUDED == set(PRIORITY)


minutes = st.integers(-100, 1100)
claims = st.lists(
    st.builds(
        lambda category, start, length: Interval(
            category, T0 + timedelta(minutes=start), None if length is None else T0 + timedelta(minutes=start + length)
        ),
        st.sampled_from([category for category in Category if category is not Category.DATA_UNKNOWN]),
        minutes,
        st.one_of(st.none(), st.integers(0, 300)),
    ),
    max_size=8,
)
proofs = st.lists(
    st.builds(
        lambda start, length: Evidence(T0 + timedelta(minutes=start), T0 + timedelta(minutes=start + length)), minutes, st.integers(0, 200)
    ),
    max_size=8,
)


@given(claims, proofs, st.integers(1, 1000))
def test_categories_share_the_period_exactly(intervals: list[Interval], evidence: list[Evidence], length: int) -> None:
    assert elements(T0, T0 + timedelta(minutes=length), intervals, evidence).total == timedelta(minutes=length)


@given(claims, proofs, st.integers(1, 999))
def test_two_halves_make_the_whole(intervals: list[Interval], evidence: list[Evidence], cut: int) -> None:
    middle, end = T0 + timedelta(minutes=cut), T0 + timedelta(minutes=1000)
    whole = elements(T0, end, intervals, evidence)
    assert elements(T0, middle, intervals, evidence) + elements(middle, end, intervals, evidence) == whole


@given(claims, proofs)
def test_up_time_never_exceeds_what_is_proven(intervals: list[Interval], evidence: list[Evidence]) -> None:
    end = T0 + timedelta(minutes=1000)
    proven = sum((min(p.end, end) - max(p.start, T0) for p in merged(evidence) if p.end > T0 and p.start < end), timedelta())
    assert elements(T0, end, intervals, evidence).counted_up <= proven
