"""A sensor that reads otherwise because its machine works otherwise raises no alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vigia.workflows.finding_to_alarm import handle_finding

if TYPE_CHECKING:
    from tests.workflows.conftest import Plant

HOURS = range(1, 101)


async def alarm_of(plant: Plant, hour: int, detector: str = "drift") -> int | None:
    finding_id = await plant.find(1, hour, detector=detector)
    async with plant.service.transaction() as tx:
        return await handle_finding(tx, finding_id)


@pytest.fixture
async def heated(plant: Plant) -> Plant:
    """The first machine runs at 1,000 rpm for 80 hours and at 3,000 from then on; T50 follows."""
    await plant.say("T50", HOURS, [1_400.0 + hour % 3 + (hour > 80) * 50.0 for hour in HOURS])
    return plant


@pytest.mark.parametrize(("detector", "raises"), [("drift", False), ("rate", False), ("sensor", True), ("together", True)])
async def test_at_another_set_point_a_drift_is_none(heated: Plant, detector: str, raises: bool) -> None:  # noqa: FBT001
    await heated.say("speed", HOURS, [3_000.0 if hour > 80 else 1_000.0 for hour in HOURS])
    assert (await alarm_of(heated, 90, detector) is not None) == raises
    why = await heated.value("select why from finding")
    assert why == ({} if raises else {"setting": "speed", "was": 1_000.0, "is": 3_000.0})
    assert await heated.value("select count(*) from alarm") == raises


async def test_a_set_point_that_is_told_only_when_it_changes_counts_until_then(heated: Plant) -> None:
    await heated.say("speed", [0.5, 80.5], [1_000.0, 3_000.0])
    assert await alarm_of(heated, 90) is None


@pytest.mark.parametrize("detector", ["drift", "together"])
async def test_a_machine_that_stands_still_cools_down_without_an_alarm(heated: Plant, detector: str) -> None:
    await heated.say("state", HOURS, [0.0 if hour > 80 else 1.0 for hour in HOURS])
    assert await alarm_of(heated, 90, detector) is None
    assert await heated.value("select why ->> 'setting' from finding") == "state"


async def test_at_the_same_set_point_it_is_one(heated: Plant) -> None:
    await heated.say("speed", HOURS, [1_000.0] * len(HOURS))
    assert await alarm_of(heated, 90) is not None


async def test_settings_that_said_nothing_hide_nothing(heated: Plant) -> None:
    await heated.say("speed", [95.0], [3_000.0])
    assert await alarm_of(heated, 90) is not None
