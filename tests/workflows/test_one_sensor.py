"""A sensor that strays raises an alarm of its own until it is watched together with its machine's others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from vigia.analytics.baselines import learned
from vigia.store import baselines
from vigia.store.baselines import NewBaseline
from vigia.workflows import acknowledge_alarm
from vigia.workflows.finding_to_alarm import handle_finding

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
