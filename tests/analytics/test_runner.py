"""Every cycle of every installed machine gets one prediction, whatever was interrupted."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psycopg
import pytest

from vigia.analytics import training
from vigia.analytics.config import RunnerConfig
from vigia.analytics.evaluate import cmapss
from vigia.analytics.prognosis import model as model_file
from vigia.analytics.prognosis.errors import ModelFileError
from vigia.analytics.prognosis.follow import Cycle, Follower
from vigia.analytics.prognosis.model import Prognosis
from vigia.analytics.prognosis.similar import Case, Known
from vigia.analytics.runner import NoModelError, open_runner, run
from vigia.domain import risk
from vigia.store import fleet, installations, models, points, predictions, telemetry
from vigia.store.changes import announce, listen
from vigia.store.database import Database, DatabaseUnavailableError
from vigia.store.fleet import NewRole
from vigia.store.models import ModelVersion, NewModelVersion, UnknownAssetModelError
from vigia.store.points import NewPoint
from vigia.store.predictions import Prediction
from vigia.store.telemetry import Readings, Writer
from vigia.workflows import promote_model

pytestmark = pytest.mark.xdist_group("prognosis")  # one process trains the model for both modules

START = datetime(2026, 1, 1, tzinfo=UTC)
MODEL, MODE = "cmapss-fd001", "hpc_degradation"
POINTS = [
    NewPoint("state", "state"),
    NewPoint("cycle", "counter", "{cycle}"),
    *(NewPoint(name, "setting") for name in cmapss.SETTINGS),
    *(NewPoint(name, "measurement", unit) for name, unit in zip(cmapss.SENSORS, cmapss.UNITS, strict=True)),
]


def hour(n: int) -> datetime:
    return START + timedelta(hours=n)


@dataclass
class Engine:
    """A real engine's run, flown in a role from hour 0 on; `send` commits some of its hours as ingest does."""

    database: Database
    run: cmapss.Run
    customer_id: int
    role_id: int
    asset_id: int
    point_ids: dict[str, int]
    gaps: set[int] = field(default_factory=set)

    async def send(self, first: int, last: int, *, state: float = 1.0, only_state: bool = False) -> None:
        """Hours `first` to `last`, both included, in one transaction."""
        writer = Writer()
        async with self.database.transaction() as tx:
            for n in range(first, last + 1):
                values = {"state": state}
                if not only_state:
                    values |= {"cycle": float(n)}
                    values |= dict(zip(cmapss.SETTINGS, self.run.settings[n - 1], strict=True))
                    values |= dict(zip(cmapss.SENSORS, self.run.sensors[n - 1], strict=True))
                ids = np.array([self.point_ids[name] for name in values], dtype=np.int32)
                at = np.full(len(ids), telemetry.to_us(hour(n)), dtype=np.int64)
                quality = np.where(np.isin(ids, list(self.gaps)), telemetry.BAD, telemetry.GOOD).astype(np.int16)
                await writer.add(tx, Readings(ids, at, np.array(list(values.values())), quality))
            await announce(tx, "telemetry", self.customer_id)

    async def predictions(self) -> list[Prediction]:
        async with self.database.transaction() as tx:
            return await predictions.history(tx, self.asset_id, MODE)


@pytest.fixture
async def engines(service: Database, dsn: str, runs: list[cmapss.Run]) -> list[Engine]:
    """Engines 11-13 of the file in three roles of two customers, installed at hour 0, nothing read yet."""
    del dsn
    made = []
    async with service.transaction() as tx:
        model_id = await fleet.add_asset_model(tx, MODEL, "Turbofan", "{cycle}")
        for index, flown in enumerate(runs[10:13]):
            customer_id = await fleet.add_customer(tx, f"airline-{index % 2}", "Airline")
            site_id = await fleet.add_site(tx, customer_id, f"site-{index}", "Site", "UTC")
            area_id = await fleet.add_area(tx, customer_id, site_id, "Ramp")
            line_id = await fleet.add_line(tx, customer_id, area_id, "Aircraft")
            role_id = await fleet.add_role(tx, NewRole(customer_id, line_id, model_id, f"Engine {index}"))
            asset_id = await fleet.add_asset(tx, model_id, f"ESN-{flown.unit:04}")
            await installations.install(tx, customer_id, role_id, asset_id, hour(0))
            ids = await points.ensure_points(tx, asset_id, POINTS)
            made.append(Engine(service, flown, customer_id, role_id, asset_id, ids))
    return made


@pytest.fixture
async def version(service: Database, engines: list[Engine], model: Prognosis, tmp_path: Path) -> ModelVersion:
    """The small model, in charge."""
    assert engines
    return await put_in_charge(service, model, tmp_path, "1")


async def put_in_charge(database: Database, model: Prognosis, home: Path, name: str) -> ModelVersion:
    sha256 = model_file.save(model, training.models_folder(home) / models.file_name(MODE, name))
    async with database.transaction() as tx:
        made = await models.register(tx, NewModelVersion(MODEL, MODE, name, sha256, model.metrics))
        await promote_model.handle(tx, made.model_version_id, START, None)
        found = await models.champion(tx, MODEL, MODE)
    assert found is not None
    return found


@pytest.fixture
def config(dsn: str, tmp_path: Path) -> RunnerConfig:
    return RunnerConfig(dsn, tmp_path, poll_s=0.05, champion_check_s=0.0)


def rows(found: Sequence[Prediction]) -> list[tuple[object, ...]]:
    """What a prediction says, without the number it got."""
    return [
        (
            p.asset_id,
            p.at,
            p.probability,
            p.life_p10,
            p.life_p50,
            p.life_p90,
            p.health,
            tuple(tuple(sorted(c.items())) for c in p.contributions),
        )
        for p in found
    ]


async def drain(runner: object) -> None:
    while await runner.tick():  # type: ignore[attr-defined]
        pass


def jobs(dsn: str) -> list[int]:
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "select (args ->> 'prediction_id')::int from jobs.procrastinate_jobs where task_name = 'prediction_to_alarm' order by id"
        )
        return [row[0] for row in found]


@pytest.mark.usefixtures("version")
async def test_every_cycle_gets_one_prediction_equal_to_the_models_own(
    service: Database, engines: list[Engine], config: RunnerConfig, model: Prognosis
) -> None:
    runner = await open_runner(service, config)
    engine = engines[0]
    await engine.send(1, 40)
    await drain(runner)
    await engine.send(41, 60)
    await drain(runner)
    found = await engine.predictions()
    assert [p.at for p in found] == [hour(n) for n in range(1, 61)]
    follower = Follower(model)
    row = follower.begin()
    inputs = np.hstack((engine.run.settings, engine.run.sensors))
    expected = follower.advance([[Cycle(row, values, np.nan, wanted=True)] for values in inputs[:60]])
    assert [p.probability for p in found] == [outcome.probability for outcome in expected if outcome]
    assert [p.life_p50 for p in found] == [outcome.life_p50 for outcome in expected if outcome]
    assert [p.health for p in found] == np.minimum.accumulate([outcome.health for outcome in expected if outcome]).tolist()
    assert {(p.customer_id, p.role_id, p.horizon) for p in found} == {(engine.customer_id, engine.role_id, 30.0)}


@pytest.mark.usefixtures("version")
async def test_restarts_midway_give_the_same_predictions_as_an_uninterrupted_run(
    service: Database, engines: list[Engine], config: RunnerConfig, dsn: str
) -> None:
    for stop in (30, 31, 77, 150, 188):  # a new runner each time, as after kill -9
        runner = await open_runner(service, config)
        for engine in engines:
            last = min(stop, len(engine.run.cycles))
            await engine.send(await newest(engine) + 1, last)
        await drain(runner)
    interrupted = [rows(await engine.predictions()) for engine in engines]
    raised = jobs(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("delete from vigia.prediction")
    await drain(await open_runner(service, config))
    assert [rows(await engine.predictions()) for engine in engines] == interrupted
    assert all(len(found) == min(188, len(engine.run.cycles)) for found, engine in zip(interrupted, engines, strict=True))
    assert raised


async def newest(engine: Engine) -> int:
    async with engine.database.transaction() as tx:
        found = await telemetry.latest(tx, [engine.point_ids["state"]])
    return 0 if not found else int((found[engine.point_ids["state"]].ts - START) / timedelta(hours=1))


@pytest.mark.usefixtures("version")
async def test_two_runners_at_once_store_each_prediction_once(service: Database, engines: list[Engine], config: RunnerConfig) -> None:
    first, second = await open_runner(service, config), await open_runner(service, config)
    for engine in engines:
        await engine.send(1, 25)
    await asyncio.gather(drain(first), drain(second))
    assert [len(await engine.predictions()) for engine in engines] == [25, 25, 25]


@pytest.mark.usefixtures("version")
async def test_an_alarm_is_asked_for_at_the_cycle_the_rule_decides(
    service: Database, engines: list[Engine], config: RunnerConfig, model: Prognosis, dsn: str
) -> None:
    engine = engines[1]
    await engine.send(1, len(engine.run.cycles))
    await drain(await open_runner(service, config))
    found = await engine.predictions()
    rule = risk.Rule.of_model(model.metrics)
    told = [p.probability for p in found]
    first = next(n for n in range(len(told)) if risk.decide(told[: n + 1], rule, active=False) is risk.Action.RAISE)
    assert jobs(dsn)[0] == found[first].prediction_id
    left = len(found) - 1 - first
    assert 10 <= left <= 60
    said = found[first].probabilities
    assert [each["horizon"] for each in said] == [10.0, 30.0, 60.0]
    assert said[0]["probability"] <= said[1]["probability"] == found[first].probability <= said[2]["probability"]
    assert found[first].contributions[0].keys() == {"point", "share", "lost", "value", "healthy", "unit"}
    assert all(one.contributions for one in found)
    unit = cmapss.UNITS[cmapss.SENSORS.index(found[-1].contributions[0]["point"])]
    assert found[-1].contributions[0]["unit"] == unit
    assert [case["ended"] for case in found[first].similar_cases] == ["failed"] * 3
    assert all(case["run"] and case["work_order_id"] is None for case in found[first].similar_cases)


def test_an_order_is_named_to_its_own_customer_only() -> None:
    case = Case(Known(work_order_id=41, customer_id=7, asset_id=12, ended="confirmed"), 20.0, 0.5)
    assert case.told(7) == {"run": None, "work_order_id": 41, "lived_on": 20.0, "ended": "confirmed", "distance": 0.5}
    assert case.told(8) == {"run": None, "work_order_id": None, "lived_on": 20.0, "ended": "confirmed", "distance": 0.5}


@pytest.mark.usefixtures("version")
async def test_a_machine_that_does_not_run_gets_no_prediction(service: Database, engines: list[Engine], config: RunnerConfig) -> None:
    runner = await open_runner(service, config)
    await engines[0].send(1, 10)
    await engines[0].send(11, 11, state=0.0, only_state=True)
    await drain(runner)
    assert len(await engines[0].predictions()) == 10
    assert await runner.tick() == 0


@pytest.mark.usefixtures("version")
async def test_only_readings_within_the_installation_are_predicted(service: Database, engines: list[Engine], config: RunnerConfig) -> None:
    runner = await open_runner(service, config)
    engine = engines[0]
    await engine.send(1, 20)
    async with service.transaction() as tx:
        place = await installations.current(tx, engine.asset_id)
        assert place is not None
        await installations.remove(tx, place, hour(15))
    await drain(runner)
    assert [p.at for p in await engine.predictions()] == [hour(n) for n in range(1, 16)]
    async with service.transaction() as tx:
        await installations.install(tx, engine.customer_id, engine.role_id, engine.asset_id, hour(22))
    await engine.send(21, 30)
    await drain(runner)
    assert [p.at for p in await engine.predictions()][15:] == [hour(n) for n in range(23, 31)]
    assert (await engine.predictions())[15].health > 90  # after the repair it is measured anew


@pytest.mark.usefixtures("version")
async def test_a_bad_or_missing_sensor_is_tolerated(service: Database, engines: list[Engine], config: RunnerConfig) -> None:
    engine = engines[0]
    engine.gaps = {engine.point_ids["T50"]}
    await engine.send(1, 30)
    await drain(await open_runner(service, config))
    assert len(await engine.predictions()) == 30


@pytest.mark.usefixtures("version")
async def test_a_failed_commit_is_made_up_for(
    service: Database, engines: list[Engine], config: RunnerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = await open_runner(service, config)
    await engines[0].send(1, 20)
    await drain(runner)
    before = rows(await engines[0].predictions())
    await engines[0].send(21, 70)  # two commits
    insert, tries = predictions.insert, 0

    async def fails_once(tx, new):  # noqa: ANN001, ANN202
        nonlocal tries
        tries += 1
        if tries == 2:
            raise DatabaseUnavailableError
        return await insert(tx, new)

    monkeypatch.setattr(predictions, "insert", fails_once)
    with pytest.raises(DatabaseUnavailableError):
        await drain(runner)
    await drain(runner)
    found = rows(await engines[0].predictions())
    assert len(found) == 70
    assert found[:20] == before
    await drain(fresh := await open_runner(service, config))
    assert await fresh.tick() == 0


@pytest.mark.usefixtures("version")
async def test_readings_wake_the_process_and_it_announces_its_predictions(engines: list[Engine], config: RunnerConfig, dsn: str) -> None:
    async with listen(dsn) as changes:
        task = asyncio.create_task(run(RunnerConfig(config.dsn, config.home, poll_s=60)))
        try:
            told = aiter(changes)
            for n in (1, 2, 3):
                await engines[0].send(n, n)
                while (await asyncio.wait_for(anext(told), 20)).kind != "prediction":
                    pass
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    assert len(await engines[0].predictions()) == 3


async def test_another_model_put_in_charge_takes_over(  # noqa: PLR0913, PLR0917
    service: Database, engines: list[Engine], version: ModelVersion, config: RunnerConfig, model: Prognosis, tmp_path: Path
) -> None:
    runner = await open_runner(service, config)
    await engines[0].send(1, 5)
    await drain(runner)
    newer = await put_in_charge(service, model, tmp_path, "2")
    await engines[0].send(6, 8)
    await drain(runner)
    used = [p.model_version_id for p in await engines[0].predictions()]
    assert used == [version.model_version_id] * 5 + [newer.model_version_id] * 3
    async with service.transaction() as tx:
        assert [v.champion for v in await models.versions(tx, MODEL, MODE)] == [True, False]
        assert (await models.by_version(tx, MODEL, MODE, "1")) is not None


@pytest.mark.usefixtures("version")
async def test_a_model_in_the_shadow_predicts_beside_and_nothing_follows(  # noqa: PLR0913, PLR0917
    service: Database, engines: list[Engine], config: RunnerConfig, model: Prognosis, tmp_path: Path, dsn: str
) -> None:
    engine, last = engines[1], len(engines[1].run.cycles)
    await engine.send(1, last)
    runner = await open_runner(service, config)
    await drain(runner)
    acted = jobs(dsn)
    sha256 = model_file.save(model, training.models_folder(tmp_path) / models.file_name(MODE, "2"))
    async with service.transaction() as tx:
        beside = await models.register(tx, NewModelVersion(MODEL, MODE, "2", sha256, model.metrics))
        await models.begin_shadow(tx, beside)
    await drain(runner)
    await drain(await open_runner(service, config))
    with psycopg.connect(dsn) as connection:
        said = connection.execute("select at, probability, life_p50 from vigia.shadow_prediction order by at").fetchall()
    assert said == [(p.at, p.probability, p.life_p50) for p in await engine.predictions()]
    assert len(said) == last
    assert jobs(dsn) == acted
    async with service.transaction() as tx:
        assert await models.compared(tx, beside.model_version_id) == models.Compared(last, 1, 0.0, 0.0, 0.0, "{cycle}")


async def test_without_a_model_the_remedy_is_named(service: Database, config: RunnerConfig, engines: list[Engine]) -> None:
    assert engines
    with pytest.raises(NoModelError, match="vigia analytics train"):
        await open_runner(service, config)


async def test_without_the_asset_model_the_remedy_is_named(service: Database, config: RunnerConfig) -> None:
    with pytest.raises(UnknownAssetModelError, match="vigia db seed"):
        await open_runner(service, config)


async def test_an_altered_model_file_stops_the_start(
    service: Database, version: ModelVersion, config: RunnerConfig, tmp_path: Path
) -> None:
    file = training.models_folder(tmp_path) / version.file_name
    file.write_bytes(b"not a model")
    with pytest.raises(ModelFileError, match="not the one that was registered"):
        await open_runner(service, config)


async def test_latest_predictions_are_one_a_machine(
    service: Database, engines: list[Engine], version: ModelVersion, config: RunnerConfig
) -> None:
    assert version.champion
    for engine in engines[:2]:
        await engine.send(1, 3)
    await drain(await open_runner(service, config))
    async with service.transaction() as tx:
        assert [(p.asset_id, p.at) for p in await predictions.latest(tx)] == [(engine.asset_id, hour(3)) for engine in engines[:2]]
        assert [p.asset_id for p in await predictions.latest(tx, [engines[1].asset_id])] == [engines[1].asset_id]
        assert [p.at for p in await predictions.history(tx, engines[0].asset_id, MODE, since=hour(2))] == [hour(2), hour(3)]
        assert [p.at for p in await predictions.history(tx, engines[0].asset_id, MODE, limit=1)] == [hour(3)]
