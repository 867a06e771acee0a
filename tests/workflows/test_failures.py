"""A machine that fails: with and without a prediction, before and after its visit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from vigia.domain.work_orders import Autonomy
from vigia.workflows import case_to_work_order, dispatch_day, finish_work_order, record_state, start_work_order
from vigia.workflows.finding_to_alarm import handle_prediction
from vigia.workflows.finish_work_order import WorkReport

if TYPE_CHECKING:
    from tests.workflows.conftest import Plant


def at(hour: float) -> datetime:
    """Fleet time: hours since the first installation."""
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hour)


async def order(plant: Plant, hour: int, autonomy: Autonomy = Autonomy.AUTO) -> None:
    """What the deferred jobs do after a case was opened."""
    async with plant.service.transaction() as tx:
        await case_to_work_order.handle(tx, 1, autonomy, at(hour))
        await dispatch_day.handle(tx, at(hour))


async def predicted(plant: Plant, hour: int, autonomy: Autonomy = Autonomy.AUTO) -> None:
    await plant.predict(1, hour - 1, 0.8)
    prediction_id = await plant.predict(1, hour, 0.8)
    async with plant.service.transaction() as tx:
        await handle_prediction(tx, prediction_id)
    await order(plant, hour, autonomy)


async def test_a_failure_nobody_predicted_gets_a_corrective_order_and_a_critical_alarm(plant: Plant) -> None:
    await plant.fly(1, 1, 50)
    await plant.fail(1, 51)
    assert await plant.rows("select args->>'failure_case_id' from jobs.procrastinate_jobs where task_name = 'case_to_work_order'") == [
        ("1",)
    ]
    await order(plant, 51)
    assert await plant.rows("select condition, state, priority, failure_case_id from alarm") == [
        ("failed", "unacknowledged", "critical", 1)
    ]
    assert await plant.rows("select failure_mode, opened_at, failed_at from failure_case") == [("unspecified", at(51), at(51))]
    assert await plant.rows("select kind, priority, state, due_at from work_order") == [("corrective", "critical", "dispatched", at(103))]
    assert await plant.rows("select planned_from, planned_until from visit") == [(at(99), at(103))]
    assert await plant.rows("select category, started_at, ended_at from state_interval order by started_at") == [
        ("up", at(0), at(51)),
        ("supplier_down", at(51), None),
    ]


async def test_a_late_failure_takes_nothing_back_where_readings_are_no_longer_kept(plant: Plant) -> None:
    await plant.fly(1, 1, 50)
    await plant.fail(1, 51)
    everything = "select category, started_at, ended_at from state_interval order by started_at"
    before = await plant.rows(everything)
    assert before
    async with plant.service.transaction() as tx:
        await tx.execute("delete from telemetry")
        await record_state.handle(tx, 1, 0, at(40))
    assert await plant.rows(everything) == before


async def test_the_same_failure_reading_twice_is_one_failure(plant: Plant) -> None:
    await plant.fly(1, 1, 50)
    await plant.fail(1, 51)
    await order(plant, 51)
    everything = """select (select count(*) from alarm_event), (select count(*) from failure_case), (select count(*) from work_order),
                           (select count(*) from state_interval), (select max(planned_from) from visit)"""
    before = await plant.rows(everything)
    async with plant.service.transaction() as tx:
        await record_state.handle(tx, 1, 0, at(51))
    await order(plant, 51)
    assert await plant.rows(everything) == before


async def test_a_failure_shortly_before_its_visit_hurries_the_order_and_keeps_the_visit(plant: Plant) -> None:
    await plant.fly(1, 1, 100)
    await predicted(plant, 100)
    await plant.fail(1, 105)
    assert await plant.rows("select kind, priority, due_at from work_order") == [("predictive", "critical", at(157))]
    assert await plant.rows("select planned_from from visit") == [(at(108),)]
    assert await plant.value("select failed_at from failure_case") == at(105)


async def test_a_failure_after_a_visit_that_did_not_take_place_plans_it_anew(plant: Plant) -> None:
    await plant.fly(1, 1, 120)
    await predicted(plant, 100)
    await plant.fail(1, 121)
    assert await plant.rows("select planned_from, planned_until from visit") == [(at(169), at(173))]
    async with plant.service.transaction() as tx:
        await start_work_order.handle(tx, 1, at(169), 1)
        await finish_work_order.handle(tx, 1, WorkReport("confirmed"), at(173), 1)
    await plant.fly(3, 174, 180)
    assert await plant.rows("select category, started_at, ended_at from state_interval order by started_at") == [
        ("up", at(0), at(121)),
        ("supplier_down", at(121), at(173)),
        ("up", at(173), None),
    ]
    assert await plant.value("select count(*) from alarm where state <> 'normal'") == 0


async def test_a_drafted_order_of_a_failed_machine_needs_no_approval_any_more(plant: Plant) -> None:
    await plant.fly(1, 1, 100)
    await predicted(plant, 100, Autonomy.DRAFT)
    await plant.fail(1, 105)
    async with plant.service.transaction() as tx:
        await dispatch_day.handle(tx, at(105))
    assert await plant.rows("select kind, state, priority from work_order") == [("predictive", "dispatched", "critical")]
    assert await plant.rows("select planned_from from visit") == [(at(108),)]


async def test_a_prediction_that_comes_after_the_failure_raises_no_second_case(plant: Plant) -> None:
    await plant.fly(1, 1, 50)
    await plant.predict(1, 49, 0.9)
    late = await plant.predict(1, 50, 0.9)
    await plant.fail(1, 51)
    async with plant.service.transaction() as tx:
        assert await handle_prediction(tx, late) is None
    assert await plant.value("select count(*) from failure_case") == 1


async def test_a_machine_that_runs_again_by_itself_is_up_again(plant: Plant) -> None:
    await plant.fly(1, 1, 50)
    await plant.fail(1, 51)
    async with plant.service.transaction() as tx:
        await record_state.handle(tx, 1, 1, at(55))
    assert await plant.rows("select category, started_at, ended_at from state_interval order by started_at") == [
        ("up", at(0), at(51)),
        ("supplier_down", at(51), at(54)),
        ("up", at(54), None),
    ]
    assert await plant.value("select state from alarm where condition = 'failed'") == "returned_unacknowledged"


async def test_readings_during_the_work_and_after_the_removal_change_nothing(plant: Plant) -> None:
    await plant.fly(1, 1, 100)
    await predicted(plant, 100)
    async with plant.service.transaction() as tx:
        await start_work_order.handle(tx, 1, at(108), 1)
        await record_state.handle(tx, 1, 0, at(109))
        await record_state.handle(tx, 1, 1, at(110))
        await finish_work_order.handle(tx, 1, WorkReport("confirmed"), at(112), 1)
        await record_state.handle(tx, 1, 0, at(111))
        await record_state.handle(tx, 1, 0, at(113))
    assert await plant.rows("select category, started_at, ended_at from state_interval order by started_at") == [
        ("up", at(0), at(108)),
        ("planned_agreed", at(108), at(112)),
    ]
    assert await plant.value("select failed_at from failure_case") is None


async def test_planned_work_beyond_the_agreed_time_is_the_suppliers(plant: Plant) -> None:
    await plant.fly(1, 1, 100)
    await predicted(plant, 100)
    async with plant.service.transaction() as tx:
        await start_work_order.handle(tx, 1, at(108), 1)
        await finish_work_order.handle(tx, 1, WorkReport("confirmed"), at(114), 1)
    await plant.fly(3, 115, 116)
    assert await plant.rows("select category, started_at, ended_at, work_order_id from state_interval order by started_at") == [
        ("up", at(0), at(108), None),
        ("planned_agreed", at(108), at(112), 1),
        ("supplier_planned_excess", at(112), at(114), 1),
        ("up", at(114), None, None),
    ]
