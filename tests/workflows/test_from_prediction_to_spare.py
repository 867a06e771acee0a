"""The whole way: a prediction raises alarm, case and order; a visit is planned; the work ends with a spare in the role."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from vigia.domain.errors import InvalidValueError, NotFoundError, SpareUnavailableError, TransitionRefusedError
from vigia.domain.risk import Rule
from vigia.domain.work_orders import Autonomy
from vigia.store import causes
from vigia.workflows import approve_work_order, case_to_work_order, complete_step, dispatch_day, finish_work_order, start_work_order
from vigia.workflows.finding_to_alarm import handle_prediction
from vigia.workflows.finish_work_order import WorkReport

if TYPE_CHECKING:
    from tests.workflows.conftest import Plant
    from vigia.store.database import Transaction

CONFIRMED = WorkReport("confirmed", "wear", "Blades worn.")


def at(hour: float) -> datetime:
    """Fleet time: hours since the first installation."""
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hour)


async def raised(plant: Plant, asset_id: int = 1, hour: int = 100, life: float = 25) -> int:
    """The order that two alarming predictions raise, with its visit."""
    await plant.fly(asset_id, 1, hour)
    await plant.predict(asset_id, hour - 1, 0.8, life)
    prediction_id = await plant.predict(asset_id, hour, 0.8, life)
    async with plant.service.transaction() as tx:
        case_id = await handle_prediction(tx, prediction_id)
        assert case_id is not None
        order_id = await case_to_work_order.handle(tx, case_id, Autonomy.AUTO, at(hour))
        assert order_id is not None
        await dispatch_day.handle(tx, at(hour))
    return order_id


async def started(plant: Plant, asset_id: int = 1, hour: int = 100) -> int:
    order_id = await raised(plant, asset_id, hour)
    await plant.fly(asset_id, hour + 1, hour + 8)
    async with plant.service.transaction() as tx:
        await start_work_order.handle(tx, order_id, at(hour + 8), 1)
    return order_id


async def finish(plant: Plant, order_id: int, hour: float, report: WorkReport = CONFIRMED) -> finish_work_order.FinishedWork:
    async with plant.service.transaction() as tx:
        return await finish_work_order.handle(tx, order_id, report, at(hour), 1)


async def test_a_prediction_becomes_one_alarm_one_case_and_one_order_with_its_visit(plant: Plant) -> None:
    order_id = await raised(plant)
    assert await plant.rows("select condition, state, priority from alarm") == [
        ("failure_predicted:hpc_degradation", "unacknowledged", "high")
    ]
    assert await plant.rows("select failure_mode, opened_at from failure_case") == [("hpc_degradation", at(100))]
    assert await plant.rows("select kind, state, priority, created_at, due_at, reason->'probability' from work_order") == [
        ("predictive", "dispatched", "high", at(100), at(112), 0.8)
    ]
    assert await plant.rows("select technician_id, planned_from, planned_until from visit") == [(1, at(108), at(112))]
    assert [row[0] for row in await plant.rows("select state from work_order_event order by 1")] == ["approved", "dispatched", "scheduled"]
    assert await plant.value("select count(*) from work_order_step where work_order_id = %(id)s", id=order_id) == 8


async def test_the_order_keeps_the_probability_within_each_horizon(plant: Plant) -> None:
    prediction = await plant.predict(1, 10, 0.6)
    async with plant.service.transaction() as tx:
        cause = await causes.prediction(tx, prediction)
    assert cause is not None
    assert cause.reason(Rule())["probabilities"] == [{"horizon": 10, "probability": 0.1}, {"horizon": 30, "probability": 0.6}]


async def test_the_rule_that_the_prediction_names_decides_and_is_told(plant: Plant) -> None:
    rule_id = await plant.value(
        "insert into model_rule (model_version_id, probability, consecutive, clear_probability, machines, ordered, at_order) "
        "values (1, 0.9, 3, 0.36, 1, 1, '{20}') returning model_rule_id"
    )
    by = {}
    for hour in range(1, 5):
        prediction = await plant.predict(1, hour, 0.7 if hour == 1 else 0.95)
        async with plant.service.transaction() as tx:
            by[hour] = await handle_prediction(tx, prediction, rule_id)
    assert [hour for hour, case in by.items() if case is not None] == [4]
    async with plant.service.transaction() as tx:
        await case_to_work_order.handle(tx, by[4] or 0, Autonomy.AUTO, at(4))
    told = {"probability": 0.9, "consecutive": 3, "by_cost": True}
    assert await plant.rows("select a.reason -> 'rule', w.reason -> 'rule' from alarm a join work_order w using (failure_case_id)") == [
        (told, told)
    ]
    assert await plant.value("select model_rule_id from failure_case") == rule_id


async def test_the_same_prediction_again_changes_nothing(plant: Plant) -> None:
    await raised(plant)
    counts = """select (select count(*) from alarm), (select count(*) from alarm_event), (select count(*) from failure_case),
                       (select count(*) from work_order), (select count(*) from visit)"""
    before = await plant.rows(counts)
    async with plant.service.transaction() as tx:
        assert await handle_prediction(tx, 2) is None
        assert await case_to_work_order.handle(tx, 1, Autonomy.AUTO, at(100)) is None
        assert await dispatch_day.handle(tx, at(100)) == []
    assert await plant.rows(counts) == before


async def test_two_workers_that_raise_the_same_order_at_once_raise_one(plant: Plant) -> None:
    await plant.predict(1, 99, 0.8)
    prediction_id = await plant.predict(1, 100, 0.8)

    async def both() -> None:
        async with plant.service.transaction() as tx:
            await handle_prediction(tx, prediction_id)
            case_id = (await (await tx.execute("select failure_case_id from failure_case")).fetchall())[0][0]
            await case_to_work_order.handle(tx, case_id, Autonomy.AUTO, at(100))

    await asyncio.gather(*(both() for _ in range(4)))
    assert await plant.rows(
        "select (select count(*) from alarm), (select count(*) from failure_case), (select count(*) from work_order)"
    ) == [(1, 1, 1)]


async def test_the_constraints_alone_absorb_a_race(plant: Plant) -> None:
    """Without the role's lock: whoever forgets it still cannot raise two."""
    await plant.rows(
        "insert into failure_case (customer_id, role_id, asset_id, failure_mode, opened_at) values (1, 1, 1, 'm', now()) returning 1"
    )
    insert = """insert into work_order (customer_id, role_id, asset_id, failure_case_id, failure_mode, kind, state, priority, reason,
                                        created_at, due_at)
                values (1, 1, 1, 1, 'm', 'predictive', 'approved', 'high', '{}', now(), now())
                on conflict (asset_id, failure_mode) where finished_at is null do nothing returning work_order_id"""
    first, second = await asyncio.gather(plant.rows(insert), plant.rows(insert))
    assert len(first) + len(second) == 1


async def test_the_autonomy_stage_decides_what_waits_for_a_person(plant: Plant) -> None:
    await plant.predict(1, 99, 0.8)
    prediction_id = await plant.predict(1, 100, 0.8)
    async with plant.service.transaction() as tx:
        case_id = await handle_prediction(tx, prediction_id)
        assert case_id is not None
        assert await case_to_work_order.handle(tx, case_id, Autonomy.NOTIFY, at(100)) is None
        order_id = await case_to_work_order.handle(tx, case_id, Autonomy.DRAFT, at(100))
        assert order_id is not None
        assert await dispatch_day.handle(tx, at(100)) == []
        assert (await approve_work_order.handle(tx, order_id, at(101), None)).state == "approved"
        assert await dispatch_day.handle(tx, at(101)) == [1]


async def test_a_cancelled_order_frees_the_technician_and_may_be_raised_again(plant: Plant) -> None:
    order_id = await raised(plant)
    async with plant.service.transaction() as tx:
        assert (await approve_work_order.cancel(tx, order_id, at(101), 1)).finished_at == at(101)
        assert await case_to_work_order.handle(tx, 1, Autonomy.AUTO, at(102)) == order_id + 1
    assert await plant.value("select count(*) from visit where finished_at is null") == 0


async def test_finishing_puts_the_first_spare_in_the_role_and_closes_everything(plant: Plant) -> None:
    order_id = await started(plant)
    done = await finish(plant, order_id, 112)
    assert (done.serial_number, done.replaced_by_serial, done.finished_at) == ("ESN-0001", "ESN-S001", at(112))
    assert await plant.rows("select asset_id, installed_at, removed_at from installation where role_id = 1 order by 2") == [
        (1, at(0), at(112)),
        (3, at(112), None),
    ]
    assert await plant.value("select condition from asset where asset_id = 1") == "unserviceable"
    assert await plant.rows("select state, verdict, cause_code, note, finished_at, replaced_by from work_order") == [
        ("closed", "confirmed", "wear", "Blades worn.", at(112), 3)
    ]
    assert await plant.value("select closed_at from failure_case") == at(112)
    assert await plant.rows("select state, acknowledged_by from alarm") == [("normal", 1)]
    assert await plant.value("select finished_at from visit") == at(112)
    assert await plant.value("select count(*) from work_order_step where done_at is null") == 0
    assert [row[0] for row in await plant.rows("select action from audit_event order by audit_event_id")] == [
        "start_work_order",
        "finish_work_order",
    ]


async def test_finishing_twice_swaps_once(plant: Plant) -> None:
    order_id = await started(plant)
    first = await finish(plant, order_id, 112)
    again = await finish(plant, order_id, 115, WorkReport("wrong", replaced_by_serial="ESN-S002"))
    assert again == first
    assert await plant.value("select count(*) from installation where role_id = 1") == 2


async def test_finishing_at_once_on_two_devices_swaps_once(plant: Plant) -> None:
    order_id = await started(plant)
    results = await asyncio.gather(*(finish(plant, order_id, 112 + device) for device in range(3)))
    assert len(set(results)) == 1
    assert await plant.value("select count(*) from installation where role_id = 1") == 2


async def test_two_orders_finished_at_once_take_two_spares(plant: Plant) -> None:
    orders = [await started(plant, 1), await started(plant, 2)]
    results = await asyncio.gather(*(finish(plant, order_id, 112) for order_id in orders))
    assert {result.replaced_by_serial for result in results} == {"ESN-S001", "ESN-S002"}


async def test_a_named_spare_is_taken_if_it_can_be(plant: Plant) -> None:
    order_id = await started(plant)
    for serial, sentence in (("ESN-0002", "installed elsewhere"), ("ESN-9999", "no ESN-9999")):
        with pytest.raises(InvalidValueError, match=sentence):
            await finish(plant, order_id, 112, WorkReport("confirmed", replaced_by_serial=serial))
    assert (await finish(plant, order_id, 112, WorkReport("confirmed", replaced_by_serial="ESN-S002"))).replaced_by_serial == "ESN-S002"


async def test_an_empty_pool_refuses_and_leaves_everything_as_it_was(plant: Plant) -> None:
    order_id = await started(plant)
    await plant.rows("update asset set condition = 'unserviceable' where asset_id in (3, 4) returning 1")
    with pytest.raises(SpareUnavailableError, match="No serviceable spare"):
        await finish(plant, order_id, 112)
    assert await plant.value("select state from work_order") == "in_progress"
    assert await plant.value("select count(*) from installation where removed_at is not null") == 0


async def test_an_order_that_proved_wrong_leaves_the_machine_where_it_is(plant: Plant) -> None:
    order_id = await started(plant)
    done = await finish(plant, order_id, 110, WorkReport("wrong"))
    assert done.replaced_by_serial is None
    assert await plant.value("select asset_id from installation where role_id = 1 and removed_at is null") == 1
    assert await plant.value("select closed_at from failure_case") == at(110)
    assert await plant.rows("select category, ended_at from state_interval where role_id = 1 order by started_at") == [
        ("up", at(108)),
        ("planned_agreed", at(110)),
        ("up", None),
    ]


async def test_after_a_prediction_that_proved_wrong_a_person_looks_before_the_next_visit(plant: Plant) -> None:
    await finish(plant, await started(plant), 110, WorkReport("wrong"))
    await plant.predict(1, 111, 0.8)
    again = await plant.predict(1, 112, 0.8)
    async with plant.service.transaction() as tx:
        case_id = await handle_prediction(tx, again)
        assert case_id is not None
        await case_to_work_order.handle(tx, case_id, Autonomy.AUTO, at(112))
    assert await plant.rows("select state from work_order order by work_order_id") == [("closed",), ("draft",)]


async def test_a_prediction_made_before_the_swap_but_handled_after_it_raises_nothing(plant: Plant) -> None:
    order_id = await started(plant)
    late = await plant.predict(1, 108, 0.9)
    await finish(plant, order_id, 112)
    async with plant.service.transaction() as tx:
        assert await handle_prediction(tx, late) is None
    assert await plant.value("select count(*) from failure_case where closed_at is null") == 0


async def test_steps_are_ticked_once_and_only_during_the_work(plant: Plant) -> None:
    order_id = await raised(plant)

    async def tick(tx: Transaction, position: int, hour: float) -> object:
        return (await complete_step.handle(tx, order_id, position, at(hour), 1)).done_at

    async with plant.service.transaction() as tx:
        with pytest.raises(TransitionRefusedError, match="start it first"):
            await tick(tx, 1, 108)
        await start_work_order.handle(tx, order_id, at(108), 1)
        assert await tick(tx, 1, 109) == at(109)
        assert await tick(tx, 1, 110) == at(109)
        with pytest.raises(NotFoundError):
            await tick(tx, 99, 110)


@pytest.mark.parametrize(
    ("hour", "report", "sentence"),
    [(112, WorkReport("perhaps"), "A verdict is one of"), (108, CONFIRMED, "check the device's clock")],
)
async def test_a_report_that_cannot_be_is_refused(plant: Plant, hour: float, report: WorkReport, sentence: str) -> None:
    order_id = await started(plant)
    with pytest.raises(InvalidValueError, match=sentence):
        await finish(plant, order_id, hour, report)


async def test_work_is_started_before_it_is_finished_and_only_once(plant: Plant) -> None:
    order_id = await raised(plant)
    with pytest.raises(TransitionRefusedError, match="dispatched cannot become work done"):
        await finish(plant, order_id, 112)
    async with plant.service.transaction() as tx:
        first = await start_work_order.handle(tx, order_id, at(108), 1)
        assert await start_work_order.handle(tx, order_id, at(109), 2) == first
        with pytest.raises(NotFoundError):
            await start_work_order.handle(tx, 999, at(109), 2)
    assert await plant.value("select started_at from visit") == at(108)


async def test_an_order_waits_while_there_is_no_technician(plant: Plant) -> None:
    await plant.rows("update account set disabled_at = now() where kind = 'technician' returning 1")
    order_id = await raised(plant)
    assert await plant.value("select state from work_order") == "approved"
    async with plant.service.transaction() as tx:
        with pytest.raises(TransitionRefusedError):
            await start_work_order.handle(tx, order_id, at(108), 1)
    await plant.rows("update account set disabled_at = null returning 1")
    async with plant.service.transaction() as tx:
        assert len(await dispatch_day.handle(tx, at(120))) == 1
    assert await plant.value("select planned_from from visit") == at(120)
