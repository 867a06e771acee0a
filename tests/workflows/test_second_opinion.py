"""After a finding's alarm its channel is held against its healthy past, and what that says is kept with the finding."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from vigia.analytics.detectors import likeness
from vigia.store import findings
from vigia.store.changes import Change, listen
from vigia.workflows import second_opinion
from vigia.workflows.finding_to_alarm import handle_finding

T0 = datetime(2026, 1, 1, tzinfo=UTC)
DEFERRED = "select queue_name, args ->> 'finding_id' from jobs.procrastinate_jobs where task_name = 'second_opinion'"

if TYPE_CHECKING:
    from tests.workflows.conftest import Plant


@pytest.mark.parametrize(
    ("detector", "expected"), [(one, [("vigia_later", "1")]) for one in ("drift", "rate", "together")] + [("sensor", [])]
)
async def test_a_finding_with_an_alarm_asks_for_it_unless_the_sensor_is_at_fault(
    plant: Plant, detector: str, expected: list[tuple[str, str]]
) -> None:
    finding_id = await plant.find(1, 40, detector=detector)
    async with plant.service.transaction() as tx:
        assert await handle_finding(tx, finding_id) is not None
    assert await plant.rows(DEFERRED) == expected


async def test_a_finding_without_an_alarm_asks_for_none(plant: Plant) -> None:
    finding_id = await plant.find(3, 40)
    async with plant.service.transaction() as tx:
        assert await handle_finding(tx, finding_id) is None
    assert await plant.rows(DEFERRED) == []


async def test_too_little_past_is_kept_as_the_answer(plant: Plant) -> None:
    await plant.beat(100, 90)
    await second_opinion.handle(plant.service, await plant.find(1, 100))
    assert await plant.value("select second_opinion from finding") == {"method": "matrix_profile", "refused": likeness.PAST_TOO_SHORT}


async def test_the_pages_are_told_of_it(plant: Plant, dsn: str) -> None:
    finding_id = await plant.find(1, 100)
    async with listen(dsn) as changes:
        await second_opinion.handle(plant.service, finding_id)
        assert await anext(changes) == Change("alarm", 1, 1)


async def test_health_begins_when_the_last_failure_case_before_the_finding_ended(plant: Plant) -> None:
    finding_id = await plant.find(1, 690)
    async with plant.service.transaction() as tx:
        before = await findings.channel(tx, finding_id)
        for opened, closed in ((5, 500), (600, 800)):
            await tx.execute(
                """insert into failure_case (customer_id, role_id, asset_id, failure_mode, opened_at, closed_at)
                   values (1, 1, 1, 'hpc_degradation', %s, %s)""",
                (T0 + timedelta(hours=opened), T0 + timedelta(hours=closed)),
            )
        after = await findings.channel(tx, finding_id)
    assert before is not None
    assert after is not None
    assert (before.healthy_from, after.healthy_from) == (T0, T0 + timedelta(hours=500))


async def test_a_machine_that_stood_nowhere_has_none(plant: Plant) -> None:
    assert await second_opinion.handle(plant.service, await plant.find(3, 40)) is None
    assert await second_opinion.handle(plant.service, 99) is None


@pytest.mark.slow
@pytest.mark.parametrize(("odd_from", "rare"), [(670, True), (900, False)])
async def test_a_shape_never_seen_is_told_from_a_familiar_one(plant: Plant, odd_from: int, rare: bool) -> None:  # noqa: FBT001
    await plant.beat(720, odd_from)
    await second_opinion.handle(plant.service, await plant.find(1, 690))
    (kept,) = (await plant.rows("select second_opinion from finding"))[0]
    assert (kept["p_value"] == 1 / (kept["compared"] + 1)) is rare
    assert kept["step_s"] == 3600
    assert datetime.fromisoformat(kept["at"]) <= T0 + timedelta(hours=690 + 12 - 23)
    assert T0 < datetime.fromisoformat(kept["nearest_at"]) < datetime.fromisoformat(kept["past_until"])
