"""Each model in charge is looked at once a day of the fleet's time: how its inputs moved, and what became of its predictions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest
from psycopg.types.json import Jsonb

from vigia.analytics.prognosis.reference import spread
from vigia.domain.drift import PSI_LIMIT, Resolved, moved, psi, warnings
from vigia.store import audit, model_drift, telemetry
from vigia.workflows import watch_models

T0 = datetime(2026, 1, 1, tzinfo=UTC)

if TYPE_CHECKING:
    from tests.workflows.conftest import Plant

CYCLES, MACHINES = 60, 12

FLEET = """
insert into role (customer_id, line_id, asset_model_id, name) select 1, 1, 1, 'R' || n from generate_series(3, {machines}) n;
insert into asset (asset_model_id, serial_number) select 1, 'ESN-F' || n from generate_series(5, {machines} + 2) n;
insert into installation (customer_id, role_id, asset_id, installed_at)
select 1, n, n + 2, '2026-01-01Z' from generate_series(3, {machines}) n;
insert into point (asset_id, name, kind) select asset_id, 'T50', 'measurement' from asset where asset_id > 4;
insert into prediction (customer_id, role_id, asset_id, failure_mode, at, horizon, probability, life_p10, life_p50, life_p90, health,
                        contributions, model_version_id)
select 1, i.role_id, i.asset_id, 'hpc_degradation', '2026-01-01Z'::timestamptz + n * interval '1 hour', 30,
       case when n > 30 then 0.9 else 0.1 end, {cycles} - n - 5, {cycles} - n, {cycles} - n + 5, 80, '[]', 1
from installation i, generate_series(1, {cycles}) n;
"""
FAILURES = """
insert into failure_case (customer_id, role_id, asset_id, failure_mode, opened_at, closed_at, failed_at)
select 1, role_id, asset_id, 'hpc_degradation', '2026-01-03Z', '2026-01-04Z', '2026-01-03T12:00Z' from installation
where role_id <= {ended};
insert into work_order (customer_id, role_id, asset_id, failure_case_id, failure_mode, kind, state, priority, due_at, reason, created_at,
                        finished_at, verdict)
select 1, role_id, asset_id, failure_case_id, failure_mode, 'corrective', 'closed', 'high', '2026-01-04Z', '{{}}', '2026-01-03Z',
       '2026-01-04Z', 'confirmed' from failure_case;
"""


async def fleet(plant: Plant, shift: float) -> None:
    """Machines that wear from 60 cycles to the end; T50 rises with wear, and is `shift` too high."""
    rng = np.random.default_rng(1)
    life = np.tile(np.arange(CYCLES, 0, -1.0), 40)
    learned = spread(("T50",), (100.0 - life + rng.normal(0, 2, len(life)))[:, None], life, 60.0)
    metrics = {"life_cap": 60.0, "out_of_fold": {"brier": 0.02}}
    async with plant.service.transaction() as tx:
        for statement in FLEET.format(machines=MACHINES, cycles=CYCLES).split(";\n")[:-1]:
            await tx.execute(statement.encode())
        await tx.execute("update model_version set inputs = %s, metrics = %s", (Jsonb(learned), Jsonb(metrics)))
        points = await (
            await tx.execute("select point_id, at, life_p50 from point join prediction using (asset_id) where name = 'T50'")
        ).fetchall()
        value = np.array([100.0 - life + shift for _, _, life in points]) + rng.normal(0, 2, len(points))
        ids, ts = np.array([one[0] for one in points], np.int32), np.array([telemetry.to_us(one[1]) for one in points], np.int64)
        order = np.lexsort((ts, ids))
        good = np.full(len(ids), telemetry.GOOD, np.int16)
        await telemetry.Writer().add(tx, telemetry.Readings(ids[order], ts[order], value[order], good))


async def close_orders(plant: Plant, ended: int) -> None:
    """The first machines failed at their 60th cycle, as foretold."""
    async with plant.service.transaction() as tx:
        for statement in FAILURES.format(ended=ended).split(";\n")[:-1]:
            await tx.execute(statement.encode())


@pytest.mark.parametrize(("shift", "expected"), [(0.0, []), (15.0, ["inputs"])])
async def test_an_input_that_moved_beside_machines_as_worn_warns(plant: Plant, shift: float, expected: list[str]) -> None:
    await fleet(plant, shift)
    now = T0 + timedelta(hours=CYCLES)
    async with plant.service.transaction() as tx:
        found = await watch_models.handle(tx, now)
        assert await watch_models.handle(tx, now) == []
        told = await audit.of_subject(tx, "model_version:1")
        assert await model_drift.warned(tx) == len(expected)
    assert [one.warnings for one in found] == [expected]
    assert found[0].inputs["T50"]["readings"] == CYCLES * MACHINES
    assert [one.detail["warnings"] for one in told] == ([expected] if expected else [])


async def test_what_became_of_predictions_is_held_against_what_was_promised(plant: Plant) -> None:
    await fleet(plant, 0.0)
    await close_orders(plant, 6)
    async with plant.service.transaction() as tx:
        (found,) = await watch_models.handle(tx, T0 + timedelta(hours=CYCLES))
    assert (found.resolved["machines"], found.resolved["lives"], found.resolved["held"]) == (6, 6 * CYCLES, 1.0)
    assert found.resolved["brier"] == pytest.approx((59 * 0.01 + 0.81) / 60)
    assert found.warnings == []


def test_a_fleet_that_ages_together_does_not_drift_at_like_wear() -> None:
    learned = [[0, 0, 100], [0, 100, 0], [100, 0, 0]]
    aged = moved(learned, [[0, 0, 900], [0, 100, 0], [0, 0, 0]])
    assert aged.psi > PSI_LIMIT
    assert aged.psi_at_like_wear == pytest.approx(0.0, abs=1e-9)


def test_the_index_is_that_of_the_textbook() -> None:
    assert psi([50, 50], [50, 50]) == 0.0
    assert psi([50, 50], [80, 20]) == pytest.approx(0.3 * np.log(0.8 / 0.5) - 0.3 * np.log(0.2 / 0.5))


def test_a_model_that_does_worse_than_promised_warns_when_enough_machines_ended() -> None:
    metrics = {"out_of_fold": {"brier": 0.02}}
    assert warnings({}, 12, Resolved(5, 100, 0.031, 50, 0.6), metrics) == ["brier", "interval"]
    assert warnings({}, 12, Resolved(4, 100, 0.031, 50, 0.6), metrics) == []
    assert warnings({}, 12, Resolved(5, 100, 0.029, 50, 0.7), metrics) == []
