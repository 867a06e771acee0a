"""Training happens in a process of its own, leaves a registered file, and ends at once when it is told to."""

import asyncio
import gzip
import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from vigia.analytics import training
from vigia.analytics.evaluate import turbofan
from vigia.analytics.evaluate.cmapss import CmapssError
from vigia.analytics.prognosis import model as model_file
from vigia.analytics.prognosis.errors import PrognosisError
from vigia.analytics.training import TrainingPlan
from vigia.store import fleet, models
from vigia.store.database import Database

MODEL, MODE = "cmapss-fd001", "hpc_degradation"


@pytest.fixture
def small_file(training_file: Path, tmp_path: Path) -> Path:
    """Six engines of which only every tenth cycle is kept: quick to learn, of no other use."""
    path = tmp_path / "train_small.txt"
    with gzip.open(training_file, "rt") as whole:
        path.write_text("".join(line for line in whole if int(line.split()[0]) <= 6 and int(line.split()[1]) % 10 == 0))
    return path


async def test_a_trained_model_is_registered_and_in_charge(service: Database, small_file: Path, tmp_path: Path) -> None:
    async with service.transaction() as tx:
        await fleet.add_asset_model(tx, MODEL, "Turbofan", "{cycle}")
    plan = TrainingPlan(small_file, range(1, 7), tmp_path / "models")
    made = await training.train_and_register(service, MODEL, plan)
    async with service.transaction() as tx:
        assert await models.champion(tx, MODEL, MODE) == made
    assert made.metrics["machines"] == 6
    assert {"probability", "consecutive", "clear_probability"} == set(made.metrics["decision"])
    assert [path.name for path in plan.folder.iterdir()] == [made.file_name]
    assert model_file.load(plan.folder / made.file_name, made.sha256).failure_mode == MODE


async def test_what_is_wrong_with_the_data_is_told(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.txt"
    wrong.write_text("1 2 3\n")
    with pytest.raises(PrognosisError, match=r"wrong\.txt has 3 columns; a C-MAPSS file has 26"):
        await training.train_apart(TrainingPlan(wrong, None, tmp_path))


async def test_a_horizon_beyond_every_life_is_told(small_file: Path, tmp_path: Path) -> None:
    with pytest.raises(PrognosisError, match=r"No machine lived longer than the horizon of 1000; give a shorter --horizon\."):
        await training.train_apart(TrainingPlan(small_file, None, tmp_path, horizon=1000.0))


async def test_cancelled_training_ends_its_process(training_file: Path, tmp_path: Path) -> None:
    task = asyncio.create_task(training.train_apart(TrainingPlan(training_file, range(1, 81), tmp_path)))
    while not (started := [child for child in multiprocessing.active_children() if child.name == "training"]):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    assert not started[0].is_alive()


def test_the_benchmark_reports_every_figure(small_file: Path, tmp_path: Path) -> None:
    lines = [line.split() for line in small_file.read_text().splitlines()]
    (tmp_path / "train_FD009.txt").write_text(small_file.read_text())
    with gzip.open(tmp_path / "test_FD009.txt.gz", "wt") as test:
        test.writelines(" ".join(line) + "\n" for line in lines if int(line[0]) <= 3 and int(line[1]) <= 100)
    (tmp_path / "RUL_FD009.txt").write_text("91\n180\n78\n")
    found, predicted = turbofan.evaluate(tmp_path, "FD009")
    chosen = {"with_age": found.with_age, "without_age": found.without_age}[found.chosen]
    assert found.rmse_capped == chosen.rmse_capped
    assert chosen.out_of_fold_rmse == min(found.with_age.out_of_fold_rmse, found.without_age.out_of_fold_rmse)
    assert predicted.true.tolist() == [91, 125, 78]
    assert (predicted.low <= predicted.high).all()
    assert (found.train_units, found.test_units) == (6, 3)
    assert 0 < found.rmse_capped < found.rmse_raw
    assert 0 <= found.coverage90 <= 1


def test_a_missing_benchmark_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CmapssError, match=r"neither train_FD003\.txt nor train_FD003\.txt\.gz"):
        turbofan.evaluate(tmp_path, "FD003")


def test_the_score_punishes_late_predictions_more_than_early_ones() -> None:
    true = np.array([50.0])
    assert turbofan.phm08_score(true, true) == 0
    assert turbofan.phm08_score(true + 10, true) == pytest.approx(np.e - 1)
    assert turbofan.phm08_score(true - 13, true) == pytest.approx(np.e - 1)
