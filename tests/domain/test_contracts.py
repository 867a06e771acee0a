"""What a period earns under power by the hour."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia.domain.contracts import Contract, ContractCosts, earnings, life_within
from vigia.domain.errors import InvalidValueError

CONTRACT = Contract(
    contract_id=1,
    customer_id=1,
    name="Power by the hour",
    tier="gold",
    starts_at=datetime(2026, 1, 1, tzinfo=UTC),
    ends_at=None,
    currency="EUR",
    rate_per_hour=Decimal("812.50"),
    guaranteed_availability=Decimal("0.9850"),
    credit_per_point=Decimal("0.0200"),
    credit_cap=Decimal("0.1500"),
    predictive_lead=timedelta(hours=8),
    corrective_lead=timedelta(hours=48),
    visit_duration=timedelta(hours=4),
)


def test_a_kept_guarantee_earns_hours_times_rate() -> None:
    earned = earnings(CONTRACT, Decimal(1000), Decimal("0.985"))
    assert (earned.fee, earned.credit, earned.net) == (Decimal("812500.00"), Decimal("0.00"), Decimal("812500.00"))


def test_each_point_below_is_credited_and_part_of_a_point_in_part() -> None:
    earned = earnings(CONTRACT, Decimal(1000), Decimal("0.96"))
    assert earned.points_below == Decimal("2.5")
    assert earned.credit_share == Decimal("0.05")
    assert earned.credit == Decimal("40625.00")
    assert earned.net == Decimal("771875.00")


def test_credit_stops_at_the_cap() -> None:
    assert earnings(CONTRACT, Decimal(100), Decimal("0.5")).credit == Decimal("12187.50")


def test_without_counted_time_nothing_is_credited() -> None:
    earned = earnings(CONTRACT, Decimal(0), None)
    assert (earned.fee, earned.credit) == (Decimal("0.00"), Decimal("0.00"))


@given(st.decimals(0, 10000, places=3), st.decimals(0, 1, places=8))
def test_credit_never_exceeds_the_cap_and_net_and_credit_make_the_fee(hours: Decimal, availability: Decimal) -> None:
    earned = earnings(CONTRACT, hours, availability)
    assert earned.net + earned.credit == earned.fee
    assert 0 <= earned.credit <= (hours * CONTRACT.rate_per_hour * CONTRACT.credit_cap) + Decimal("0.01")


@given(st.decimals(0, 1, places=6), st.decimals(0, 1, places=6))
def test_more_availability_never_costs_more(first: Decimal, second: Decimal) -> None:
    worse, better = sorted((first, second))
    assert earnings(CONTRACT, Decimal(500), better).credit <= earnings(CONTRACT, Decimal(500), worse).credit


@pytest.mark.parametrize("amounts", [(-1, 1, 1), ("NaN", 1, 1), (1, "Infinity", 1), (1, 1, 10**12)])
def test_costs_are_amounts_of_money(amounts: tuple[int | str, ...]) -> None:
    with pytest.raises(InvalidValueError, match="each 0 or more"):
        ContractCosts(*map(Decimal, amounts))


def test_a_lead_is_told_in_life_by_the_clock_or_by_the_use() -> None:
    lead = timedelta(hours=12)
    assert life_within(lead, "h", units=0, span=timedelta(0)) == 12
    assert life_within(lead, "d", units=99, span=timedelta(hours=1)) == 0.5
    assert life_within(lead, "{cycle}", units=28, span=timedelta(days=7)) == 2
    assert life_within(lead, "{cycle}", units=4, span=timedelta(days=1)) is None
    assert life_within(lead, "{cycle}", units=9, span=timedelta(0)) is None
