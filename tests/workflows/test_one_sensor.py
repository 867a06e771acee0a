"""A sensor that strays raises an alarm of its own until it is watched together with its machine's others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from vigia.analytics.baselines import learned
from vigia.store import baselines, findings
from vigia.store.baselines import NewBaseline
from vigia.workflows import acknowledge_alarm
from vigia.workflows.finding_to_alarm import handle_finding, handle_over

if TYPE_CHECKING:
    from tests.workflows.conftest import Plant

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def body() -> bytes:
    """Of a baseline of two channels."""
    rows = np.random.default_rng(1).normal(size=(600, 2))
    return learned(np.arange(600) * 1_000_000, rows, np.zeros((600, 0))).to_bytes()


async def learn(plant: Plant, since: int, until: int, name: str = "T50", kept: bytes | None = None) -> None:
    """Keep a baseline of the first machine's sensor of that name."""
    point_id = await plant.value("select point_id from point where asset_id = 1 and name = %(name)s", name=name)
    async with plant.service.transaction() as tx:
        await baselines.keep(
            tx, NewBaseline(1, T0 + timedelta(hours=since), T0 + timedelta(hours=until), [point_id], body() if kept is None else kept)
        )


async def alarm_of(plant: Plant, hour: int, detector: str = "drift") -> int | None:
    finding_id = await plant.find(1, hour, detector=detector)
    async with plant.service.transaction() as tx:
        return await handle_finding(tx, finding_id)


@pytest.mark.parametrize(("detector", "raises"), [("drift", False), ("rate", False), ("sensor", True), ("together", True)])
async def test_once_it_is_watched_together_its_own_findings_raise_none(plant: Plant, detector: str, raises: bool) -> None:  # noqa: FBT001
    await learn(plant, 0, 30)
    assert (await alarm_of(plant, 40, detector) is not None) == raises
    assert await plant.value("select why from finding") == ({} if raises else {"watched": "together"})


@pytest.mark.parametrize(("since", "until", "name"), [(0, 30, "Ps30"), (0, 50, "T50"), (-10, 30, "T50")])
async def test_another_sensors_a_later_or_an_earlier_lifes_baseline_counts_for_nothing(
    plant: Plant, since: int, until: int, name: str
) -> None:
    await learn(plant, since, until, name)
    assert await alarm_of(plant, 40) is not None


async def test_a_baseline_that_nobody_can_read_counts_for_nothing(plant: Plant) -> None:
    await learn(plant, 0, 30, kept=b"of another program")
    assert await alarm_of(plant, 40) is not None


async def test_after_a_closed_case_it_counts_no_longer(plant: Plant) -> None:
    await learn(plant, 0, 30)
    async with plant.service.transaction() as tx:
        await tx.execute(
            """insert into failure_case (customer_id, role_id, asset_id, failure_mode, opened_at, closed_at)
               values (1, 1, 1, 'hpc_degradation', %s, %s)""",
            (T0 + timedelta(hours=31), T0 + timedelta(hours=35)),
        )
    assert await alarm_of(plant, 40) is not None


@pytest.mark.parametrize(("detector", "then"), [("drift", [1]), ("rate", [1]), ("sensor", [])])
async def test_what_somebody_acknowledged_of_one_sensor_no_longer_keeps_its_machine_from_being_learned(
    plant: Plant, detector: str, then: list[int]
) -> None:
    async def wanted() -> list[int]:
        async with plant.service.transaction() as tx:
            return [one.asset_id for one in await baselines.wanted(tx, timedelta(days=1))]

    await plant.say("T50", range(1, 50), [1_400.0] * 49)
    assert await wanted() == [1]
    alarm_id = await alarm_of(plant, 40, detector)
    assert alarm_id is not None
    assert await wanted() == []
    async with plant.service.transaction() as tx:
        await acknowledge_alarm.handle(tx, alarm_id, T0 + timedelta(hours=41), 1)
    assert await wanted() == then


async def raised(plant: Plant, hour: int, point: str, why: dict[str, float | str] | None = None, detector: str = "drift") -> int | None:
    finding_id = await plant.find(1, hour, point, detector)
    if why is not None:
        async with plant.service.transaction() as tx:
            await findings.explain(tx, finding_id, why)
    async with plant.service.transaction() as tx:
        return await handle_finding(tx, finding_id)


async def over(plant: Plant, hour: int, point: str, detector: str = "drift") -> None:
    point_id = await plant.value("select point_id from point where asset_id = 1 and name = %(name)s", name=point)
    async with plant.service.transaction() as tx:
        await handle_over(tx, 1, point_id, detector, T0 + timedelta(hours=hour))


async def test_until_a_usual_day_is_known_a_week_has_one_alarm_of_single_sensors(plant: Plant) -> None:
    """Whichever sensor it is of, and whether it is over; the open one is told what is new, and a sensor at fault is another matter."""
    early: dict[str, float | str] = {"learned_over_h": 2.5}
    first = await raised(plant, 3, "T50", early)
    assert first is not None
    assert await raised(plant, 4, "Ps30", early) is None
    assert await plant.value("select why from finding where finding_id = 2") == {"learned_over_h": 2.5, "budget": "spent"}
    assert await raised(plant, 5, "T50", early, "rate") is None
    assert await raised(plant, 5, "T50", early) == first
    assert await raised(plant, 6, "Ps30", early, "sensor") is not None
    await over(plant, 7, "T50")
    assert await raised(plant, 8, "T50", early) is None
    assert await raised(plant, 9, "Ps30", {"learned_over_h": 50.0}) is not None
    assert await raised(plant, 3 + 9 * 24, "T50", early) is not None


@pytest.mark.parametrize("detector", ["drift", "rate", "sensor", "together"])
async def test_what_is_over_returns_to_normal(plant: Plant, detector: str) -> None:
    alarm_id = await raised(plant, 40, "T50", detector=detector)
    other = await raised(plant, 40, "Ps30", detector="rate" if detector == "drift" else "drift")
    await raised(plant, 41, "T50", detector=detector)  # told again, as after a lost snapshot
    await over(plant, 39, "T50", detector)  # what was over before it began
    assert await plant.value("select cleared_at from alarm where alarm_id = %(it)s", it=alarm_id) is None
    await over(plant, 45, "T50", detector)
    state = "select cleared_at from alarm where alarm_id = %(it)s"
    assert await plant.value(state, it=alarm_id) == T0 + timedelta(hours=45)
    assert await plant.value(state, it=other) is None
    assert await plant.rows("select distinct over_at from finding where detector = %(it)s", it=detector) == [(T0 + timedelta(hours=45),)]
    await over(plant, 46, "T50", detector)
    assert await plant.value(state, it=alarm_id) == T0 + timedelta(hours=45)


async def test_channels_that_parted_are_together_again_whichever_channel_tells_it(plant: Plant) -> None:
    alarm_id = await raised(plant, 40, "T50", detector="together")
    await over(plant, 45, "Ps30", "together")
    assert await plant.value("select cleared_at from alarm where alarm_id = %(it)s", it=alarm_id) == T0 + timedelta(hours=45)


async def test_an_alarm_that_is_over_and_acknowledged_is_normal_and_one_nobody_saw_waits_for_it(plant: Plant) -> None:
    seen, unseen = await raised(plant, 40, "T50", detector="sensor"), await raised(plant, 40, "T50")
    assert seen is not None
    async with plant.service.transaction() as tx:
        await acknowledge_alarm.handle(tx, seen, T0 + timedelta(hours=41), 1)
    await over(plant, 45, "T50", "sensor")
    await over(plant, 45, "T50")
    assert await plant.rows("select alarm_id, state from alarm order by 1") == [(seen, "normal"), (unseen, "returned_unacknowledged")]


async def test_of_a_machine_that_has_left_its_role_nothing_is_done(plant: Plant) -> None:
    await raised(plant, 40, "T50")
    await plant.rows("update installation set removed_at = '2026-01-03Z' where asset_id = 1 returning 1")
    await over(plant, 60, "T50")
    assert await plant.value("select over_at from finding") == T0 + timedelta(hours=60)


async def test_what_went_wrong_in_the_first_day_and_is_over_is_not_learned_from(plant: Plant) -> None:
    async def since() -> list[float]:
        async with plant.service.transaction() as tx:
            return [(one.since - T0) / timedelta(hours=1) for one in await baselines.wanted(tx, timedelta(days=1)) if one.asset_id == 1]

    await plant.say("T50", range(1, 50), [1_400.0] * 49)
    assert await since() == [0]
    await raised(plant, 10, "T50")
    assert await since() == []
    await over(plant, 20, "T50")
    assert await since() == [20]
    await plant.rows("update alarm set acknowledged_at = '2026-01-02Z', acknowledged_by = 1 returning 1")
    assert await since() == [0]
    await raised(plant, 30, "T50", detector="sensor")
    assert await since() == []
    await over(plant, 31, "T50", "sensor")
    assert await since() == [0]
    await raised(plant, 32, "T50", detector="together")
    await over(plant, 33, "T50", "together")
    assert await since() == []
    await plant.say("T50", range(50, 60), [1_400.0] * 10)
    assert await since() == [33]
    await learn(plant, 33, 58)
    await raised(plant, 59, "T50", detector="together")
    await over(plant, 60, "T50", "together")
    await plant.say("T50", range(60, 90), [1_400.0] * 30)
    assert await since() == []


async def test_which_machines_have_not_come_back_is_known_after_a_start(plant: Plant) -> None:
    async def alarmed() -> set[int]:
        async with plant.service.transaction() as tx:
            return await baselines.alarmed(tx, [1, 2])

    await learn(plant, 0, 30)
    assert await alarmed() == set()
    await raised(plant, 40, "T50", detector="together")
    assert await alarmed() == {1}
    await over(plant, 45, "T50", "together")
    assert await alarmed() == set()
    await raised(plant, 50, "T50", detector="together")
    await learn(plant, 60, 90)
    assert await alarmed() == set()
