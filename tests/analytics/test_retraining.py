"""A model is trained again when it is due and there is something new to learn: into the shadow, and one at a time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vigia.analytics import retraining
from vigia.analytics.retraining import Renewal
from vigia.analytics.training import Trained, TrainingPlan
from vigia.domain.drift import Resolved
from vigia.domain.retraining import Schedule, Since, due, no_worse
from vigia.store import model_training, models
from vigia.store.database import Database
from vigia.store.models import ModelVersion, NewModelVersion

START = datetime(2026, 1, 1, tzinfo=UTC)
MODEL, MODE = "cmapss-fd001", "hpc_degradation"
DAYS = timedelta(days=30)
GOOD = {"brier": 0.5, "brier_of_the_base_rate": 0.6, "coverage80": 0.9, "orders": {"machines": 10, "caught": 10}}


async def champion(service: Database, probability: float = 0.5) -> ModelVersion:
    """A model in charge that has said `probability` for each of 60 cycles of each machine."""
    async with service.transaction() as tx:
        made = await models.register(tx, NewModelVersion(MODEL, MODE, "1", "00", {"life_cap": 125.0, "out_of_fold": GOOD}))
        await models.promote(tx, made, None, None, START)
        await tx.execute(
            "insert into prediction (customer_id, role_id, asset_id, failure_mode, at, horizon, probability, life_p10, life_p50, life_p90, "
            "health, contributions, model_version_id) select customer_id, role_id, asset_id, 'hpc_degradation', "
            "'2026-01-01Z'::timestamptz + n * interval '1 hour', 30, %s, 1, 50, 125, 50, '[]', %s "
            "from installation, generate_series(1, 60) n",
            (probability, made.model_version_id),
        )
    return made


def renewal(training_file: Path, home: Path, schedule: Schedule) -> Renewal:
    return Renewal(MODEL, MODE, schedule, TrainingPlan(training_file, range(1, 6), home / "models"))


async def trainings(service: Database, model: ModelVersion) -> model_training.Training | None:
    async with service.transaction() as tx:
        return await model_training.last(tx, model)


@pytest.mark.slow
@pytest.mark.usefixtures("flown")
@pytest.mark.parametrize("dask", [None, "tcp://127.0.0.1:1"], ids=["here", "with a cluster that is away"])
async def test_what_closed_orders_teach_goes_into_the_shadow_and_only_once(
    dask: str | None, service: Database, training_file: Path, tmp_path: Path
) -> None:
    present = await champion(service)
    wanted = renewal(training_file, tmp_path, Schedule(DAYS, least_orders=4))
    wanted = replace(wanted, plan=replace(wanted.plan, dask=dask))
    made = await retraining.step(service, wanted)
    assert made is not None
    done = await trainings(service, present)
    assert done is not None
    assert (done.reason, done.orders, done.model_version_id) == ("schedule", 4, made.model_version_id)
    async with service.transaction() as tx:
        stood = {one.version: one.state for one in await models.versions(tx)}
    fits = done.said == ""
    assert stood == {"1": "champion", made.version: "shadow" if fits else "registered"}
    assert await retraining.step(service, wanted) is None


@pytest.mark.usefixtures("flown")
async def test_nothing_is_trained_without_new_verdicts_nor_while_another_process_trains(
    service: Database, training_file: Path, tmp_path: Path
) -> None:
    present = await champion(service)
    assert await retraining.step(service, renewal(training_file, tmp_path, Schedule(DAYS, least_orders=5))) is None
    assert await trainings(service, present) is None
    async with service.transaction() as tx:
        await tx.execute(
            "insert into model_training (asset_model_id, failure_mode, began_at, reason, orders) select asset_model_id, failure_mode, "
            "'2026-01-01Z', 'schedule', 0 from model_version"
        )
    wanted = renewal(training_file, tmp_path, Schedule(DAYS, least_orders=4))
    assert await retraining.step(service, wanted) is None
    async with service.transaction() as tx:
        await tx.execute("update model_training set claimed_at = claimed_at - interval '2 hours'")
        await tx.execute("update model_training set began_at = '2025-01-01Z'")
        assert await model_training.begin(tx, present, START, "schedule", 4) is not None
        assert await model_training.begin(tx, present, START, "schedule", 4) is None


@pytest.mark.slow
@pytest.mark.usefixtures("flown")
async def test_training_that_fails_is_on_record_and_predicting_goes_on(service: Database, tmp_path: Path) -> None:
    present = await champion(service)
    assert await retraining.step(service, renewal(tmp_path / "gone.txt", tmp_path, Schedule(DAYS, least_orders=4))) is None
    done = await trainings(service, present)
    assert done is not None
    assert done.ended_at is not None
    assert done.said


@pytest.fixture
def renewals(training_file: Path, tmp_path: Path) -> tuple[Renewal, Renewal]:
    """That never takes charge by itself, and that does."""
    return tuple(renewal(training_file, tmp_path, Schedule(DAYS, 4, take_charge=take)) for take in (False, True))  # type: ignore[return-value]


@pytest.mark.usefixtures("flown")
@pytest.mark.parametrize("case", [(0.1, True, True), (0.9, True, False), (0.1, False, False)])
async def test_the_shadow_takes_charge_only_if_it_was_no_worse_and_passes_its_checks(
    service: Database, renewals: tuple[Renewal, Renewal], monkeypatch: pytest.MonkeyPatch, case: tuple[float, bool, bool]
) -> None:
    said, fit, takes = case
    monkeypatch.setattr("vigia.domain.retraining.LEAST_ENDED", 3)
    await champion(service)
    async with service.transaction() as tx:
        shadow = await models.register(
            tx, NewModelVersion(MODEL, MODE, "2", "00", {"out_of_fold": GOOD if fit else {**GOOD, "brier": 0.9}})
        )
        await models.begin_shadow(tx, shadow)
        await tx.execute(
            "insert into shadow_prediction (customer_id, asset_id, model_version_id, at, probability, life_p10, life_p50, life_p90) "
            "select customer_id, asset_id, %s, at, %s, 1, 50, 125 from prediction where at < '2026-01-02Z'",
            (shadow.model_version_id, said),
        )
        await tx.execute(
            "insert into model_training (asset_model_id, failure_mode, began_at, ended_at, reason, orders, model_version_id) "
            "select asset_model_id, failure_mode, '2026-01-01Z', now(), 'schedule', 4, model_version_id from model_version where shadow"
        )
    manual, by_itself = renewals
    await retraining.step(service, manual)
    async with service.transaction() as tx:
        assert (await models.by_version(tx, MODEL, MODE, "2")).state == "shadow"  # type: ignore[union-attr]
    await retraining.step(service, by_itself)
    async with service.transaction() as tx:
        assert (await models.by_version(tx, MODEL, MODE, "2")).state == ("champion" if takes else "shadow")  # type: ignore[union-attr]


@pytest.mark.usefixtures("flown")
async def test_a_renewed_model_goes_into_the_shadow_unless_it_is_unfit_or_a_person_chose_another(
    service: Database, training_file: Path, tmp_path: Path
) -> None:
    present, wanted = await champion(service), renewal(training_file, tmp_path, Schedule(DAYS, 4))
    states = []
    async with service.transaction() as tx:
        for version, brier in (("2", 0.5), ("3", 0.9), ("4", 0.5)):
            training_id = await model_training.begin(tx, present, START, "schedule", 4)
            assert training_id is not None
            made = Trained(MODE, version, "00", {"out_of_fold": {**GOOD, "brier": brier}}, "d")
            await retraining._register(tx, wanted, retraining._Claim(training_id, "schedule"), made)
            states.append([one.version for one in await models.versions(tx) if one.shadow])
        chosen = await models.register(tx, NewModelVersion(MODEL, MODE, "by hand", "00", {}))
        await models.begin_shadow(tx, chosen)
        training_id = await model_training.begin(tx, present, START, "schedule", 4)
        assert training_id is not None
        made = Trained(MODE, "5", "00", {"out_of_fold": GOOD}, "d")
        await retraining._register(tx, wanted, retraining._Claim(training_id, "schedule"), made)
        states.append([one.version for one in await models.versions(tx) if one.shadow])
    assert states == [["2"], ["2"], ["4"], ["by hand"]]


def test_it_is_due_after_its_time_or_a_drift_and_only_with_something_new_to_learn() -> None:
    schedule, now = Schedule(DAYS, 10), START + DAYS
    assert due(schedule, Since(START, 10, drifted=False), now) == "schedule"
    assert due(schedule, Since(START, 10, drifted=False), now - timedelta(hours=1)) is None
    assert due(schedule, Since(START, 10, drifted=True), now - timedelta(hours=1)) == "drift"
    assert due(schedule, Since(START, 9, drifted=True), now) is None


def test_few_machines_prove_nothing_of_a_shadow() -> None:
    assert no_worse(Resolved(5, 100, 0.02, 0, None, 0.02))
    assert not no_worse(Resolved(5, 100, 0.02, 0, None, 0.021))
    assert not no_worse(Resolved(4, 100, 0.02, 0, None, 0.01))
    assert not no_worse(Resolved(5, 100, 0.02, 0, None, None))
