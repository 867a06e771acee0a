"""One model is in charge: a person or its own checks put it there, a roll-back returns to the one before, and all of it is on record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from vigia.domain.errors import NotFoundError, TransitionRefusedError
from vigia.domain.models import failed_checks
from vigia.store import audit, models
from vigia.store.database import Caller, Database, Transaction
from vigia.store.models import ModelVersion, NewModelVersion
from vigia.workflows import promote_model

if TYPE_CHECKING:
    from tests.workflows.conftest import Plant

T0 = datetime(2026, 1, 1, tzinfo=UTC)
STAFF = Caller(staff=True)
MODE = "wear"


def metrics(brier: float = 0.02, coverage: float = 0.8, caught: int = 9) -> dict[str, object]:
    orders = {"machines": 10, "caught": caught, "early": 0, "missed": 10 - caught}
    return {"out_of_fold": {"brier": brier, "brier_of_the_base_rate": 0.12, "coverage80": coverage, "orders": orders}}


@pytest.fixture
async def code(plant: Plant) -> str:
    """An asset model without any failure model of that mode."""
    async with plant.service.transaction() as tx:
        await tx.execute("insert into asset_model (code, name, life_unit) values ('pump', 'Pump', 'h')")
    return "pump"


async def register(plant: Plant, code: str, version: str, **figures: float) -> ModelVersion:
    async with plant.service.transaction() as tx:
        return await models.register(tx, NewModelVersion(code, MODE, version, "00", metrics(**figures), "d1", "1.0"))  # type: ignore[arg-type]


async def in_charge(tx: Transaction, code: str) -> str | None:
    found = await models.champion(tx, code, MODE)
    return None if found is None else found.version


async def test_a_roll_back_returns_to_the_model_before(plant: Plant, app_db: Database, code: str) -> None:
    first, second, third = [await register(plant, code, version) for version in "123"]
    async with app_db.transaction(STAFF) as tx:
        for hour, model in enumerate((first, second, third)):
            await promote_model.handle(tx, model.model_version_id, T0 + timedelta(hours=hour), None)
        assert await in_charge(tx, code) == "3"
        await promote_model.roll_back(tx, third.model_version_id, T0, None)
        assert await in_charge(tx, code) == "2"
        await promote_model.roll_back(tx, second.model_version_id, T0, None)
        assert await in_charge(tx, code) == "1"
        assert [one.state for one in await models.versions(tx, code, MODE)] == ["withdrawn", "withdrawn", "champion"]
        with pytest.raises(TransitionRefusedError, match="No model was in charge before 1"):
            await promote_model.roll_back(tx, first.model_version_id, T0, None)
        with pytest.raises(TransitionRefusedError, match="3 is not in charge"):
            await promote_model.roll_back(tx, third.model_version_id, T0, None)
        told = await audit.of_subject(tx, f"model_version:{third.model_version_id}")
    assert [(one.action, one.detail.get("replaced"), one.detail.get("returned_to")) for one in told] == [
        ("promote_model", "2", None),
        ("roll_back_model", None, "2"),
    ]


async def test_what_is_in_charge_cannot_be_promoted_and_what_is_not_there_not_either(plant: Plant, app_db: Database, code: str) -> None:
    model = await register(plant, code, "1")
    async with app_db.transaction(STAFF) as tx:
        found = await promote_model.handle(tx, model.model_version_id, T0, None)
        assert (found.state, found.approved_at, found.data_sha256, found.code_version) == ("champion", T0, "d1", "1.0")
        with pytest.raises(TransitionRefusedError, match="in charge already"):
            await promote_model.handle(tx, model.model_version_id, T0, None)
        with pytest.raises(NotFoundError):
            await promote_model.handle(tx, 9999, T0, None)


async def test_a_model_that_fails_its_checks_is_never_put_in_charge_by_itself(plant: Plant, code: str) -> None:
    good, useless, worse = (
        await register(plant, code, "1"),
        await register(plant, code, "2", brier=0.2),
        await register(plant, code, "3", brier=0.05),
    )
    async with plant.service.transaction() as tx:
        assert await promote_model.by_itself(tx, useless.model_version_id, T0) != []
        assert await in_charge(tx, code) is None
        assert await promote_model.by_itself(tx, good.model_version_id, T0) == []
        failed = await promote_model.by_itself(tx, worse.model_version_id, T0)
        assert await in_charge(tx, code) == "1"
    assert failed == ["Its Brier score, 0.0500, is worse than that of the model in charge, 0.0200."]


async def test_the_shadow_is_one_and_leaves_it_when_it_is_put_in_charge(plant: Plant, app_db: Database, code: str) -> None:
    first, second, third = [await register(plant, code, version) for version in "123"]
    async with plant.service.transaction() as tx:
        await promote_model.handle(tx, first.model_version_id, T0, None)
        await models.begin_shadow(tx, second)
        await models.begin_shadow(tx, third)
    async with app_db.transaction(STAFF) as tx:
        assert [one.state for one in await models.versions(tx, code, MODE)] == ["shadow", "registered", "champion"]
        await promote_model.handle(tx, third.model_version_id, T0, None)
        assert [one.state for one in await models.versions(tx, code, MODE)] == ["champion", "registered", "registered"]
        assert await models.shadow(tx, code, MODE) is None


@pytest.mark.parametrize(
    ("figures", "complaint"),
    [({"brier": 0.12}, "no better than"), ({"coverage": 0.5}, "holds 50% of the lives"), ({"caught": 4}, "for 4 of 10 machines")],
)
def test_each_check_says_what_is_wrong(figures: dict[str, float], complaint: str) -> None:
    assert failed_checks(metrics()) == []
    failed = failed_checks(metrics(**figures))  # type: ignore[arg-type]
    assert len(failed) == 1
    assert complaint in failed[0]


def test_a_model_without_figures_fails() -> None:
    assert failed_checks({}) == ["It has no figures on machines that it had not seen."]
