"""When a visit takes place and who goes."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia.domain.contracts import Contract
from vigia.domain.visits import Technician, Window, plan_visit, promised_start, start_after_failure
from vigia.domain.work_orders import Kind

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
ZERO = Decimal(0)
CONTRACT = Contract(1, 1, "c", "gold", NOW, None, "EUR", ZERO, ZERO, ZERO, ZERO, 8 * HOUR, 48 * HOUR, 4 * HOUR)


def window(start: float, length: float = 4) -> Window:
    return Window(NOW + start * HOUR, NOW + (start + length) * HOUR)


def test_the_contract_says_when() -> None:
    assert promised_start(CONTRACT, Kind.PREDICTIVE, ordered_at=NOW, failed_at=None) == NOW + 8 * HOUR
    assert promised_start(CONTRACT, Kind.CORRECTIVE, ordered_at=NOW + HOUR, failed_at=NOW) == NOW + 48 * HOUR


@pytest.mark.parametrize(("planned", "start"), [(5, 5), (0, 0), (48, 48), (60, 48), (-1, 48)])
def test_a_failure_before_the_visit_moves_it_unless_it_comes_soon_enough(planned: float, start: float) -> None:
    assert start_after_failure(CONTRACT, NOW + planned * HOUR, NOW) == NOW + start * HOUR


def test_nobody_can_be_planned_without_a_technician() -> None:
    assert plan_visit([], "Europe/Madrid", NOW, 4 * HOUR) is None


def test_the_nearest_free_technician_goes() -> None:
    far, near = Technician(1, "America/Sao_Paulo"), Technician(2, "Europe/Lisbon")
    plan = plan_visit([far, near], "Europe/Madrid", NOW, 4 * HOUR)
    assert plan is not None
    assert plan.technician_id == 2


def test_of_two_as_near_the_one_with_fewer_visits_goes() -> None:
    plan = plan_visit([Technician(1, None, (window(50),)), Technician(2, None)], "Europe/Madrid", NOW, 4 * HOUR)
    assert plan is not None
    assert plan.technician_id == 2


def test_a_free_technician_far_away_is_sooner_than_a_busy_one_nearby() -> None:
    plan = plan_visit(
        [Technician(1, "Europe/Madrid", (window(0),)), Technician(2, "America/Sao_Paulo")], "Europe/Madrid", NOW + HOUR, 4 * HOUR
    )
    assert plan is not None
    assert (plan.technician_id, plan.window.start) == (2, NOW + HOUR)


def test_one_technician_is_never_in_two_places() -> None:
    plan = plan_visit([Technician(1, None, (window(4), window(0)))], "Europe/Madrid", NOW + HOUR, 4 * HOUR)
    assert plan is not None
    assert plan.window == window(8)


busy = st.lists(st.builds(window, st.integers(0, 60), st.integers(1, 8)), max_size=6).map(tuple)
crews = st.lists(busy, min_size=1, max_size=4).map(lambda all_busy: [Technician(i, None, taken) for i, taken in enumerate(all_busy)])


@given(crews, st.integers(0, 40))
def test_a_plan_never_overlaps_and_never_comes_before_its_time(crew: list[Technician], start: int) -> None:
    plan = plan_visit(crew, "Europe/Madrid", NOW + start * HOUR, 4 * HOUR)
    assert plan is not None
    assert plan.window.start >= NOW + start * HOUR
    assert not any(plan.window.overlaps(taken) for taken in crew[plan.technician_id].busy)
