"""Closed orders teach: the readings of the machine, how its record ended by the technician's verdict, and nothing that nobody knows."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from vigia.analytics import closed_orders, training
from vigia.analytics.evaluate import cmapss, turbofan
from vigia.analytics.prognosis import train
from vigia.analytics.prognosis.train import Ended, History
from vigia.analytics.training import TrainingPlan
from vigia.store.database import Database

MODEL = "cmapss-fd001"


async def test_a_closed_order_is_the_machines_record_and_its_verdict(service: Database, flown: list[cmapss.Run]) -> None:
    found = await closed_orders.histories(service, MODEL, turbofan.options(30.0))
    assert [history.ended for history in found] == [Ended.CONFIRMED, Ended.FAILED, Ended.SOUND, Ended.OPEN]
    assert all(history.known.work_order_id and history.known.customer_id and history.known.asset_id for history in found)
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
