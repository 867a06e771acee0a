"""What a period came to: the arithmetic of both ways to keep engines flying, to the hour and the cent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from vigia.domain.availability import Category
from vigia.domain.errors import InvalidValueError
from vigia.domain.work_orders import Autonomy
from vigia.store.database import Caller
from vigia.workflows import case_to_work_order, close_period, dispatch_day, finish_work_order, start_work_order
from vigia.workflows.finding_to_alarm import handle_prediction
from vigia.workflows.finish_work_order import WorkReport

if TYPE_CHECKING:
    from tests.workflows.conftest import Plant
    from vigia.store.database import Database

HOUR = timedelta(hours=1)


def at(hour: float) -> datetime:
    """Fleet time: hours since the first installation."""
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hour)


async def fixed_before_failure(plant: Plant) -> None:
    """Engine 1 flies to hour 108, is changed until 112, its spare flies to 200; engine 2 flies throughout."""
    await plant.fly(1, 1, 108)
    await plant.fly(2, 1, 200)
    await plant.predict(1, 99, 0.8)
    prediction_id = await plant.predict(1, 100, 0.8)
    async with plant.service.transaction() as tx:
        await handle_prediction(tx, prediction_id)
        await case_to_work_order.handle(tx, 1, Autonomy.AUTO, at(100))
        await dispatch_day.handle(tx, at(100))
        await start_work_order.handle(tx, 1, at(108), 1)
        await finish_work_order.handle(tx, 1, WorkReport("confirmed"), at(112), 1)
    await plant.fly(3, 113, 200)


async def flown_to_failure(plant: Plant) -> None:
    """Engine 1 flies to hour 120 and fails at 121; the visit comes 48 hours later and takes 4; engine 2 flies throughout."""
    await plant.fly(1, 1, 120)
    await plant.fly(2, 1, 200)
    await plant.fail(1, 121)
    async with plant.service.transaction() as tx:
        await case_to_work_order.handle(tx, 1, Autonomy.AUTO, at(121))
        await dispatch_day.handle(tx, at(121))
        await start_work_order.handle(tx, 1, at(169), 1)
        await finish_work_order.handle(tx, 1, WorkReport("confirmed"), at(173), 1)
    await plant.fly(3, 174, 200)


async def outcome(plant: Plant, start: float, until: float) -> close_period.Outcome:
    async with plant.service.transaction() as tx:
        return await close_period.handle(tx, at(start), at(until))


async def test_a_change_before_the_failure_costs_four_excluded_hours(plant: Plant) -> None:
    await fixed_before_failure(plant)
    found = await outcome(plant, 0, 200)
    time = found.elements
    assert (time.of(Category.UP), time.of(Category.PLANNED_AGREED), time.of(Category.DATA_UNKNOWN)) == (396 * HOUR, 4 * HOUR, 0 * HOUR)
    assert time.contract_availability == time.time_based_availability == 1
    assert (time.failures, time.mtbf) == (0, None)
    assert found.hours_delivered == 396
    assert found.credits == {"EUR": Decimal("0.00")}
    assert found.contracts[0].earnings.net == Decimal("39600.00")


async def test_a_failure_costs_fifty_two_hours_of_the_suppliers_and_credits(plant: Plant) -> None:
    await flown_to_failure(plant)
    found = await outcome(plant, 0, 200)
    time = found.elements
    # Engine 1 was ready for its 121st hour, in which it failed; it delivered 120.
    assert (time.of(Category.UP), time.of(Category.SUPPLIER_DOWN), time.of(Category.DATA_UNKNOWN)) == (348 * HOUR, 52 * HOUR, 0 * HOUR)
    assert time.contract_availability == pytest.approx(348 / 400)
    assert found.hours_delivered == 347
    assert (time.failures, time.mtbf, time.mttr) == (1, 347 * HOUR, 52 * HOUR)
    # 87 % is 11 points below 98 %: 22 % of the fee, capped at 15 %.
    assert found.credits == {"EUR": Decimal("5205.00")}


async def test_parts_of_a_period_make_the_whole(plant: Plant) -> None:
    await flown_to_failure(plant)
    whole, first, second = await outcome(plant, 0, 200), await outcome(plant, 0, 130), await outcome(plant, 130, 200)
    assert first.elements + second.elements == whole.elements
    assert first.hours_delivered + second.hours_delivered == whole.hours_delivered


async def test_an_engine_that_falls_silent_is_unknown_not_up(plant: Plant) -> None:
    await plant.fly(1, 1, 50)
    found = await outcome(plant, 0, 60)
    assert found.contracts[0].roles[0].elements.of(Category.UP) == 50 * HOUR
    assert found.contracts[0].roles[0].elements.of(Category.DATA_UNKNOWN) == 10 * HOUR
    assert found.contracts[0].roles[1].elements.of(Category.DATA_UNKNOWN) == 60 * HOUR


async def test_customer_and_supplier_see_the_same_numbers_and_others_see_nothing(plant: Plant, app_db: Database) -> None:
    await flown_to_failure(plant)
    await plant.rows("insert into customer (code, name) values ('south', 'South Air') returning 1")
    async with app_db.transaction(Caller(account_id=3, customer_id=1)) as tx:
        theirs = await close_period.handle(tx, at(0), at(200))
    async with app_db.transaction(Caller(account_id=1, staff=True)) as tx:
        ours = await close_period.handle(tx, at(0), at(200), customer_id=1)
    async with app_db.transaction(Caller(account_id=4, customer_id=2)) as tx:
        strangers = await close_period.handle(tx, at(0), at(200))
    assert theirs == ours == await outcome(plant, 0, 200)
    assert strangers.contracts == ()


async def test_a_contract_counts_from_its_own_start_to_its_own_end(plant: Plant) -> None:
    await plant.fly(1, 1, 100)
    await plant.rows("update contract set starts_at = %(start)s, ends_at = %(end)s returning 1", start=at(10), end=at(30))
    found = await outcome(plant, 0, 100)
    assert (found.contracts[0].start, found.contracts[0].until) == (at(10), at(30))
    assert found.hours_delivered == 20


async def test_a_period_that_ends_before_it_starts_is_refused(plant: Plant) -> None:
    with pytest.raises(InvalidValueError, match="must end after"):
        await outcome(plant, 10, 10)
