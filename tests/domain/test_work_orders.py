"""Which order a case calls for, and the states an order may go through."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia.domain.contracts import Contract
from vigia.domain.errors import TransitionRefusedError
from vigia.domain.failure_cases import FailureCase
from vigia.domain.risk import Priority
from vigia.domain.work_orders import FINAL, NEXT, STEPS, Autonomy, Kind, State, advance, work_order_for

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
CASE = FailureCase(
    failure_case_id=1,
    customer_id=1,
    role_id=1,
    asset_id=1,
    failure_mode="hpc_degradation",
    opened_at=NOW,
    closed_at=None,
    failed_at=None,
    prediction_id=1,
)


@pytest.fixture
def contract() -> Contract:
    money = Decimal("0.1")
    return Contract(1, 1, "c", "gold", NOW, None, "EUR", money, money, money, money, 8 * HOUR, 48 * HOUR, 4 * HOUR)


def test_a_prediction_gets_an_approved_order_on_the_contracts_terms(contract: Contract) -> None:
    order = work_order_for(CASE, contract, Autonomy.AUTO, Priority.HIGH, NOW)
    assert order is not None
    assert (order.kind, order.state, order.priority, order.due_at) == (Kind.PREDICTIVE, State.APPROVED, Priority.HIGH, NOW + 12 * HOUR)
    assert order.steps == STEPS[Kind.PREDICTIVE]


def test_autonomy_gates_what_a_prediction_may_cause(contract: Contract) -> None:
    drafted = work_order_for(CASE, contract, Autonomy.DRAFT, Priority.HIGH, NOW)
    assert drafted is not None
    assert drafted.state is State.DRAFT
    assert work_order_for(CASE, contract, Autonomy.NOTIFY, Priority.HIGH, NOW) is None


@pytest.mark.parametrize("autonomy", Autonomy)
def test_a_failed_machine_always_gets_its_order(contract: Contract, autonomy: Autonomy) -> None:
    order = work_order_for(replace(CASE, failed_at=NOW), contract, autonomy, Priority.LOW, NOW + HOUR)
    assert order is not None
    assert (order.kind, order.state, order.priority) == (Kind.CORRECTIVE, State.APPROVED, Priority.CRITICAL)
    assert order.due_at == NOW + 52 * HOUR


def test_a_closed_case_gets_none(contract: Contract) -> None:
    assert work_order_for(replace(CASE, closed_at=NOW), contract, Autonomy.AUTO, Priority.HIGH, NOW) is None


def test_every_state_can_reach_an_end() -> None:
    ends = set(FINAL)
    while True:
        reaching = {state for state in State if NEXT[state] & ends} | ends
        if reaching == ends:
            break
        ends = reaching
    assert ends == set(State)


@given(st.sampled_from(State), st.sampled_from(State))
def test_only_listed_steps_are_allowed(state: State, to: State) -> None:
    if to in NEXT[state]:
        assert advance(state, to) is to
    else:
        with pytest.raises(TransitionRefusedError, match=r"cannot become .*\.$"):
            advance(state, to)


@given(st.lists(st.sampled_from(State), max_size=20))
def test_nothing_follows_the_end(walk: list[State]) -> None:
    state = State.DRAFT
    for to in walk:
        if to in NEXT[state]:
            assert state not in FINAL
            state = advance(state, to)
