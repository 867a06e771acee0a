"""Alarms in the database: few in front of people, none forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from vigia.domain.alarms import Shelve
from vigia.domain.errors import NotFoundError, TransitionRefusedError
from vigia.store import alarms
from vigia.store.database import Caller
from vigia.workflows import acknowledge_alarm, shelve_alarm
from vigia.workflows.finding_to_alarm import handle_finding, handle_prediction

if TYPE_CHECKING:
    from tests.workflows.conftest import Plant
    from vigia.store.database import Database

STATES = "select condition, state from alarm order by alarm_id"


def at(hour: float) -> datetime:
    """Fleet time: hours since the first installation."""
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hour)


async def states(plant: Plant) -> list[str]:
    return [row[0] for row in await plant.rows("select state from alarm order by alarm_id")]


async def predict(plant: Plant, *probabilities: float, first: int = 10, life: float = 25) -> None:
    for hour, probability in enumerate(probabilities, start=first):
        prediction_id = await plant.predict(1, hour, probability, life)
        async with plant.service.transaction() as tx:
            await handle_prediction(tx, prediction_id)


async def drift(plant: Plant, hour: int, point: str = "T50", detector: str = "drift") -> None:
    finding_id = await plant.find(1, hour, point, detector)
    async with plant.service.transaction() as tx:
        await handle_finding(tx, finding_id)


async def test_a_predicted_failure_is_raised_acknowledged_and_returns_to_normal(plant: Plant) -> None:
    await predict(plant, 0.8, 0.8)
    async with plant.service.transaction() as tx:
        assert (await acknowledge_alarm.handle(tx, 1, at(12), 3)).state == "acknowledged"
        assert (await acknowledge_alarm.handle(tx, 1, at(13), 1)).acknowledged_by == 3
        assert (await acknowledge_alarm.confirm(tx, 1, at(13), 1)).confirmed_by == 1
    await predict(plant, 0.1, 0.1, first=14)
    assert await plant.rows("select state, cleared_at from alarm") == [("normal", at(15))]
    assert [row[0] for row in await plant.rows("select state from alarm_event order by alarm_event_id")] == [
        "unacknowledged",
        "acknowledged",
        "acknowledged",
        "normal",
    ]
    assert [row[0] for row in await plant.rows("select action from audit_event order by 1")] == ["acknowledge_alarm", "confirm_alarm"]


async def test_one_that_clears_unseen_waits_for_its_acknowledgement(plant: Plant) -> None:
    await predict(plant, 0.8, 0.8, 0.1, 0.1)
    assert await plant.rows(STATES) == [("failure_predicted:hpc_degradation", "returned_unacknowledged")]
    async with plant.service.transaction() as tx:
        assert await alarms.predicted_failures(tx) == set()
    await predict(plant, 0.8, 0.8, first=20)
    assert await plant.rows(STATES) == [("failure_predicted:hpc_degradation", "unacknowledged")]
    async with plant.service.transaction() as tx:
        assert await alarms.predicted_failures(tx) == {(1, "hpc_degradation")}


async def test_an_open_alarm_follows_the_failure_as_it_comes_closer(plant: Plant) -> None:
    await predict(plant, 0.8, 0.8, life=50)
    await predict(plant, 0.9, first=30, life=28)
    await predict(plant, 0.9, first=31, life=40)
    assert await plant.rows("select priority, (reason->>'life_p50')::float from alarm") == [("high", 28)]


async def test_a_drift_tells_people_but_opens_no_case(plant: Plant) -> None:
    await drift(plant, 5)
    await drift(plant, 6)
    assert await plant.rows("select condition, state, priority from alarm") == [("drift:T50", "unacknowledged", "low")]
    assert await plant.value("select count(*) from failure_case") == 0


async def test_one_alarm_of_a_machine_is_in_front_of_people_the_rest_is_suppressed(plant: Plant) -> None:
    await drift(plant, 5)
    await drift(plant, 6, "Ps30")
    assert await plant.rows(STATES) == [("drift:T50", "unacknowledged"), ("drift:Ps30", "suppressed")]
    await predict(plant, 0.8, 0.8)
    assert await states(plant) == ["suppressed", "suppressed", "unacknowledged"]
    await predict(plant, 0.1, 0.1, first=14)
    assert await plant.rows("select state from alarm order by alarm_id") == [
        ("unacknowledged",),
        ("suppressed",),
        ("returned_unacknowledged",),
    ]


async def test_a_sensor_at_fault_is_no_matter_of_the_machine(plant: Plant) -> None:
    """It opens no case, belongs to none, is explained by nothing of the machine, and raises no order."""
    await predict(plant, 0.8, 0.8)
    await drift(plant, 13)
    await drift(plant, 14, "Ps30", detector="sensor")
    await drift(plant, 15, "T50", detector="sensor")
    assert await plant.rows(STATES) == [
        ("failure_predicted:hpc_degradation", "unacknowledged"),
        ("drift:T50", "suppressed"),
        ("sensor:Ps30", "unacknowledged"),
        ("sensor:T50", "suppressed"),
    ]
    assert await plant.rows("select condition from alarm where failure_case_id is null order by 1") == [("sensor:Ps30",), ("sensor:T50",)]
    assert await plant.value("select count(*) from failure_case") == 1


async def test_shelving_hides_an_alarm_for_a_time(plant: Plant) -> None:
    await drift(plant, 5)
    async with plant.service.transaction() as tx:
        assert (await shelve_alarm.handle(tx, 1, Shelve(at(10)), at(6), 1)).shelved_until == at(10)
        with pytest.raises(TransitionRefusedError, match="shelved"):
            await acknowledge_alarm.handle(tx, 1, at(7), 1)
        assert await shelve_alarm.end_expired(tx, at(9)) == 0
        assert await shelve_alarm.end_expired(tx, at(10)) == 1
    assert await plant.rows(STATES) == [("drift:T50", "unacknowledged")]


async def test_unshelving_is_always_possible(plant: Plant) -> None:
    await drift(plant, 5)
    async with plant.service.transaction() as tx:
        await shelve_alarm.handle(tx, 1, Shelve(at(10), one_shot=True), at(6), 1)
        assert (await shelve_alarm.unshelve(tx, 1, at(7), 1)).state == "unacknowledged"


async def test_a_finding_of_a_machine_that_stands_nowhere_raises_nothing(plant: Plant) -> None:
    finding_id = await plant.find(3, 5)
    async with plant.service.transaction() as tx:
        assert await handle_finding(tx, finding_id) is None


async def test_a_customer_acknowledges_its_own_alarms_and_sees_no_others(plant: Plant, app_db: Database) -> None:
    await drift(plant, 5)
    await plant.rows("insert into customer (code, name) values ('south', 'South Air') returning 1")
    async with app_db.transaction(Caller(account_id=3, customer_id=1)) as tx:
        assert (await acknowledge_alarm.handle(tx, 1, at(6), 3)).state == "acknowledged"
    async with app_db.transaction(Caller(account_id=4, customer_id=2)) as tx:
        with pytest.raises(NotFoundError):
            await acknowledge_alarm.handle(tx, 1, at(6), 4)
