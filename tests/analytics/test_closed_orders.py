"""Closed orders teach: the readings of the machine, how its record ended by the technician's verdict, and nothing that nobody knows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psycopg
import pytest

from vigia.analytics import closed_orders, training
from vigia.analytics.evaluate import cmapss, turbofan
from vigia.analytics.prognosis import train
from vigia.analytics.prognosis.train import Ended, History
from vigia.analytics.training import TrainingPlan
from vigia.store import fleet, installations, points, telemetry
from vigia.store.database import Database
from vigia.store.fleet import NewRole
from vigia.store.points import NewPoint
from vigia.store.telemetry import Readings, Writer

START = datetime(2026, 1, 1, tzinfo=UTC)
MODEL, MODE = "cmapss-fd001", "hpc_degradation"
NAMES = ("cycle", *cmapss.SETTINGS, *cmapss.SENSORS)
KINDS = ("counter", *("setting" for _ in cmapss.SETTINGS), *("measurement" for _ in cmapss.SENSORS))
ORDERS = [(11, "confirmed", False), (12, "confirmed", True), (13, "wrong", False), (14, "inconclusive", False)]


@pytest.fixture
async def flown(service: Database, dsn: str, runs: list[cmapss.Run]) -> list[cmapss.Run]:
    """Engines 11-14 of the file, each with a closed order at its last cycle."""
    async with service.transaction() as tx:
        model_id = await fleet.add_asset_model(tx, MODEL, "Turbofan", "{cycle}")
        customer_id = await fleet.add_customer(tx, "airline", "Airline")
        site_id = await fleet.add_site(tx, customer_id, "site", "Site", "UTC")
        line_id = await fleet.add_line(tx, customer_id, await fleet.add_area(tx, customer_id, site_id, "Ramp"), "Aircraft")
        for unit, verdict, failed in ORDERS:
            run = runs[unit - 1]
            role_id = await fleet.add_role(tx, NewRole(customer_id, line_id, model_id, f"Engine {unit}"))
            asset_id = await fleet.add_asset(tx, model_id, f"ESN-{unit:04}")
            await installations.install(tx, customer_id, role_id, asset_id, START)
            ids = await points.ensure_points(tx, asset_id, [NewPoint(name, kind) for name, kind in zip(NAMES, KINDS, strict=True)])
            values = np.column_stack((run.cycles, run.settings, run.sensors))
            at = telemetry.to_us(START) + run.cycles * 3_600_000_000
            point = np.tile(np.array([ids[name] for name in NAMES], np.int32), len(values))
            quality = np.full(values.size, telemetry.GOOD, np.int16)
            await Writer().add(tx, Readings(point, np.repeat(at, len(NAMES)), values.ravel(), quality))
            ended = START + timedelta(hours=len(run.cycles))
            key = {"customer": customer_id, "role": role_id, "asset": asset_id, "at": ended, "failed": ended if failed else None}
            await tx.execute(
                "insert into failure_case (customer_id, role_id, asset_id, failure_mode, opened_at, closed_at, failed_at) "
                "values (%(customer)s, %(role)s, %(asset)s, 'hpc_degradation', %(at)s, %(at)s, %(failed)s)",
                key,
            )
            await tx.execute(
                "insert into work_order (customer_id, role_id, asset_id, failure_case_id, failure_mode, kind, state, priority, reason, "
                "created_at, due_at, finished_at, verdict) select customer_id, role_id, asset_id, failure_case_id, failure_mode, "
                "'predictive', 'closed', 'high', '{}', opened_at, opened_at, opened_at, %(verdict)s "
                "from failure_case where asset_id = %(asset)s",
                {**key, "verdict": verdict},
            )
    with psycopg.connect(dsn) as connection:
        assert connection.execute("select count(*) from vigia.work_order").fetchone() == (len(ORDERS),)
    return [runs[unit - 1] for unit, *_ in ORDERS]


async def test_a_closed_order_is_the_machines_record_and_its_verdict(service: Database, flown: list[cmapss.Run]) -> None:
    found = await closed_orders.histories(service, MODEL, turbofan.options(30.0))
    assert [history.ended for history in found] == [Ended.CONFIRMED, Ended.FAILED, Ended.SOUND, Ended.OPEN]
    for history, run in zip(found, flown, strict=True):
        np.testing.assert_array_equal(history.sensors, run.sensors)
        np.testing.assert_array_equal(history.settings, run.settings)
        np.testing.assert_array_equal(history.remaining, run.remaining())


async def test_a_model_learns_from_them_too(service: Database, flown: list[cmapss.Run], training_file: Path, tmp_path: Path) -> None:
    plan = TrainingPlan(training_file, range(1, 6), tmp_path / "models")
    whole = await training.with_closed_orders(service, MODEL, plan)
    made = await training.train_and_register(service, MODEL, whole)
    assert (made.metrics["machines"], made.metrics["failures"]) == (5 + len(flown), 6)
    alone = training._data_sha256(plan)
    assert made.data_sha256 not in {None, alone}


def test_nothing_is_learned_that_nobody_knows(runs: list[cmapss.Run]) -> None:
    run = turbofan.histories(runs[:1])[0]
    options = turbofan.options(30.0)

    def rows(ended: Ended) -> train._Rows:
        return train._rows([replace(run, ended=ended)], options)

    left = run.remaining
    assert rows(Ended.FAILED).told.all()
    assert rows(Ended.FAILED).lived.all()
    np.testing.assert_array_equal(rows(Ended.FAILED).fails, left <= 30)
    for ended in (Ended.CONFIRMED, Ended.SOUND, Ended.OPEN):
        np.testing.assert_array_equal(rows(ended).lived, left >= 125)
        assert not rows(ended).fails[left > 30].any()
    np.testing.assert_array_equal(rows(Ended.OPEN).told, left > 30)
    np.testing.assert_array_equal(rows(Ended.CONFIRMED).told, (left > 30) | (left < 5))
    assert rows(Ended.CONFIRMED).fails[left < 5].all()
    assert rows(Ended.SOUND).told.all()
    assert not rows(Ended.SOUND).fails.any()


def test_replaced_machines_do_not_teach_a_shorter_life(runs: list[cmapss.Run]) -> None:
    def replaced(history: History) -> History:
        keep = history.remaining >= 25
        return History(history.settings[keep], history.sensors[keep], history.ages[keep], history.remaining[keep] - 25, Ended.CONFIRMED)

    failed, others = turbofan.histories(runs[:5]), turbofan.histories(runs[5:11])
    model = train.train([*failed, *(replaced(history) for history in others)], turbofan.options(30.0))
    assert (model.metrics["machines"], model.metrics["failures"], model.metrics["method"]) == (11, 5, "wear")
    alone = train.train(failed, turbofan.options(30.0))
    assert model.metrics["out_of_fold"]["orders"]["machines"] == 5
    unseen = turbofan.histories(runs[11:16])
    errors = []
    for one in (alone, model):
        features = train._features(one.spec, unseen)
        life = np.minimum(np.concatenate([history.remaining for history in unseen]), 125)
        errors.append(float(np.mean(one.forecast(features).p50 - life)))
    assert abs(errors[1]) < abs(errors[0]) + 5
