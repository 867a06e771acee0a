"""A fleet judged anew: as the prognosis process judged it, wherever it is done, and stored nowhere."""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess

import psycopg
import pytest
from dask_cluster import Cluster

from vigia.analytics import compute, scoring, training
from vigia.analytics.compute import Compute, InProcess
from vigia.analytics.config import RunnerConfig
from vigia.analytics.prognosis import model as model_file
from vigia.analytics.prognosis.model import Prognosis
from vigia.analytics.runner import open_runner
from vigia.analytics.scoring import Scored
from vigia.store import models, predictions
from vigia.store.database import Database, DatabaseUnavailableError
from vigia.store.models import ModelVersion, NewModelVersion
from vigia.workflows import promote_model

pytestmark = [pytest.mark.xdist_group("prognosis"), pytest.mark.usefixtures("flown")]

MODEL, MODE = "cmapss-fd001", "hpc_degradation"


@pytest.fixture
async def version(flown: Sequence[object], service: Database, model: Prognosis, tmp_path: Path) -> ModelVersion:
    assert flown
    sha256 = model_file.save(model, training.models_folder(tmp_path) / models.file_name(MODE, "1"))
    async with service.transaction() as tx:
        made = await models.register(tx, NewModelVersion(MODEL, MODE, "1", sha256, model.metrics))
        return await promote_model.handle(tx, made.model_version_id, datetime(2026, 1, 1, tzinfo=UTC), None)


async def scored(service: Database, version: ModelVersion, home: Path, dsn: str, where: Compute) -> list[Scored]:
    places = await scoring.places(service, version.asset_model_id)
    return await asyncio.to_thread(scoring.score, version, home, places, (dsn, "wall"), where)


async def test_it_says_what_the_prognosis_said(service: Database, version: ModelVersion, dsn: str, tmp_path: Path) -> None:
    found = await scored(service, version, tmp_path, dsn, InProcess())
    runner = await open_runner(service, RunnerConfig(dsn, tmp_path))
    while await runner.tick():
        pass
    async with service.transaction() as tx:
        said = await predictions.latest(tx)
    wanted = [(one.at, one.probability, one.life_p10, one.life_p50, one.life_p90, one.health) for one in said]
    assert len(found) == 4
    assert {(one.at, one.probability, one.life_p10, one.life_p50, one.life_p90, one.health) for one in found} == set(wanted)
    assert [one.probability for one in found] == sorted((one.probability for one in found), reverse=True)


def test_the_command_shows_the_likeliest_to_fail_first_and_stores_nothing(
    vigia: Callable[..., CompletedProcess[str]], version: ModelVersion, dsn: str, tmp_path: Path
) -> None:
    options = ("analytics", "score", "--dsn", dsn, "--home", str(tmp_path))
    told = json.loads(vigia(*options, "--json").stdout)
    assert told["version"] == version.version
    assert {one["serial_number"] for one in told["machines"]} == {f"ESN-{unit:04}" for unit in range(11, 15)}
    lines = vigia(*options, "--version", "1").stdout.splitlines()
    assert [line.split()[0] for line in lines[2:]] == [one["serial_number"] for one in told["machines"]]
    assert "no model has a version that begins with '9'" in vigia(*options, "--version", "9").stderr
    with psycopg.connect(dsn) as connection:
        assert connection.execute("select count(*) from vigia.prediction").fetchone() == (0,)


async def test_as_the_fleet_stood_at_a_moment_only_what_was_read_until_then_counts(
    service: Database, version: ModelVersion, dsn: str, tmp_path: Path
) -> None:
    everything = await scored(service, version, tmp_path, dsn, InProcess())
    at = min(one.at for one in everything) - timedelta(hours=5)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "update vigia.installation set installed_at = %s where asset_id = (select min(asset_id) from vigia.asset)", (at,)
        )
    places = await scoring.places(service, version.asset_model_id, at)
    found = await asyncio.to_thread(scoring.score, version, tmp_path, places, (dsn, "wall"), InProcess())
    assert len(found) == len(everything) - 1
    for one in found:
        (now,) = [other for other in everything if other.serial_number == one.serial_number]
        assert one.at <= at < now.at
        assert one.cycles < now.cycles
        assert one.health >= now.health


def test_a_moment_that_is_none_is_refused(vigia: Callable[..., CompletedProcess[str]], dsn: str, tmp_path: Path) -> None:
    refused = vigia("analytics", "score", "--dsn", dsn, "--home", str(tmp_path), "--at", "yesterday")
    assert refused.returncode == 2
    assert "--at yesterday: no time; write it as 2026-01-31T12:00Z" in refused.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("version")
def test_two_workers_say_the_same(
    vigia: Callable[..., CompletedProcess[str]], dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "MACHINES_AT_ONCE", 1)
    options = ("analytics", "score", "--home", str(tmp_path), "--json", "--dsn")
    here = vigia(*options, dsn)
    with Cluster(tmp_path, workers=2) as cluster:
        there = vigia(*options, dsn, "--dask", cluster.address)
    assert (there.returncode, there.stderr) == (0, "")
    assert there.stdout == here.stdout


@pytest.mark.slow
async def test_workers_that_cannot_reach_the_database_say_so(service: Database, version: ModelVersion, tmp_path: Path) -> None:
    nowhere = "postgresql://postgres@127.0.0.1:1/vigia"
    with (
        Cluster(tmp_path, workers=1) as cluster,
        compute.at(cluster.address) as where,
        pytest.raises(DatabaseUnavailableError, match="no database answers"),
    ):
        await scored(service, version, tmp_path, nowhere, where)
