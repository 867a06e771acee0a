"""The registry of failure models: which versions exist, what they achieved, which one is in charge and which one predicts in its shadow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.types.json import Jsonb

from vigia.store import queries
from vigia.store.database import StoreError, Transaction


class UnknownAssetModelError(StoreError):
    """The database knows no such asset model; seed it first with `vigia db seed`."""


@dataclass(frozen=True)
class ModelVersion:
    """One row of `model_version`. The file is `<home>/models/<failure_mode>-<version>.joblib` and has that sha256."""

    model_version_id: int
    asset_model_id: int
    failure_mode: str
    version: str
    sha256: str
    metrics: dict[str, Any]
    inputs: dict[str, Any] | None
    """how its inputs were spread where it learned (`analytics.prognosis.reference`)"""
    champion: bool
    shadow: bool
    data_sha256: str | None
    code_version: str | None
    approved_by: int | None
    """the account that put it in charge; None: nobody in person"""
    approved_at: datetime | None
    replaced_id: int | None
    """the version in charge before it"""
    withdrawn_at: datetime | None
    """when it was rolled back"""
    created_at: datetime
    asset_model: str
    """code of the asset model"""

    @property
    def state(self) -> Literal["champion", "shadow", "withdrawn", "registered"]:
        """In one word."""
        if self.champion:
            return "champion"
        if self.shadow:
            return "shadow"
        return "registered" if self.withdrawn_at is None else "withdrawn"

    @property
    def file_name(self) -> str:
        """The name of the model's file."""
        return file_name(self.failure_mode, self.version)


@dataclass(frozen=True)
class NewModelVersion:
    """A version to be registered."""

    asset_model: str
    """code of the asset model"""
    failure_mode: str
    version: str
    sha256: str
    metrics: Mapping[str, Any]
    data_sha256: str | None = None
    code_version: str | None = None
    inputs: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class ShadowPrediction:
    """What a model in the shadow said; lives in the asset model's life unit."""

    customer_id: int
    asset_id: int
    model_version_id: int
    at: datetime
    probability: float
    life_p10: float
    life_p50: float
    life_p90: float


@dataclass(frozen=True)
class Compared:
    """What a model said in the shadow beside what was said in charge, at the same moments; lives in the asset model's life unit."""

    predictions: int
    machines: int
    probability_apart: float
    """mean absolute difference"""
    life_longer: float
    """mean of its median life less that in charge"""
    life_apart: float
    """mean absolute difference of the median lives"""
    life_unit: str | None


@dataclass(frozen=True)
class ClosedOrder:
    """The last order that was finished in one stay of a machine in a role."""

    work_order_id: int
    customer_id: int
    asset_id: int
    installed_at: datetime
    finished_at: datetime
    failed_at: datetime | None
    verdict: str


@dataclass(frozen=True)
class _Person:
    account_id: int
    name: str


@dataclass(frozen=True)
class _Counted:
    code: str
    life_unit: str


def file_name(failure_mode: str, version: str) -> str:
    """The name of a model's file."""
    return f"{failure_mode}-{version}.joblib"


async def asset_model_id(tx: Transaction, asset_model: str) -> int:
    """The id of the asset model of that code. Raises UnknownAssetModelError."""
    found: int | None = await queries.value(tx, "model_asset_model_id", asset_model=asset_model)
    if found is None:
        raise UnknownAssetModelError(f"The database knows no asset model {asset_model!r}; seed it first with `vigia db seed`.")
    return found


async def champion(tx: Transaction, asset_model: str, failure_mode: str) -> ModelVersion | None:
    """The version in charge for the asset model of that code and the failure mode, or None."""
    return await queries.first(tx, "model_champion", ModelVersion, asset_model=asset_model, failure_mode=failure_mode)


async def shadow(tx: Transaction, asset_model: str, failure_mode: str) -> ModelVersion | None:
    """The version that predicts beside the one in charge, or None."""
    return await queries.first(tx, "model_shadow", ModelVersion, asset_model=asset_model, failure_mode=failure_mode)


async def by_version(tx: Transaction, asset_model: str, failure_mode: str, version: str) -> ModelVersion | None:
    """That version, or None."""
    return await queries.first(tx, "model_by_version", ModelVersion, asset_model=asset_model, failure_mode=failure_mode, version=version)


async def versions(tx: Transaction, asset_model: str | None = None, failure_mode: str | None = None) -> list[ModelVersion]:
    """All versions, newest first; of one asset model and failure mode, or of all."""
    return await queries.rows(tx, "model_versions", ModelVersion, asset_model=asset_model, failure_mode=failure_mode)


async def compared(tx: Transaction, model_version_id: int) -> Compared:
    """How far what the model said in the shadow is from what was said in charge."""
    found = await queries.first(tx, "model_compared", Compared, model_version_id=model_version_id)
    assert found is not None  # noqa: S101 - an aggregate has one row
    return found


async def closed_orders(tx: Transaction, asset_model: str, failure_mode: str) -> list[ClosedOrder]:
    """The last finished order of that failure mode in each stay of a machine of that model. Raises UnknownAssetModelError."""
    of = await asset_model_id(tx, asset_model)
    return await queries.rows(tx, "model_closed_orders", ClosedOrder, asset_model_id=of, failure_mode=failure_mode)


async def siblings(tx: Transaction, model_version_id: int) -> list[ModelVersion]:
    """All versions of its asset model and failure mode, locked until the transaction ends; none if there is no such version."""
    return await queries.rows(tx, "model_lock", ModelVersion, model_version_id=model_version_id)


async def register(tx: Transaction, new: NewModelVersion) -> ModelVersion:
    """Record a new version, not yet in charge. Raises UnknownAssetModelError."""
    made = await queries.first(
        tx,
        "model_register",
        ModelVersion,
        asset_model_id=await asset_model_id(tx, new.asset_model),
        failure_mode=new.failure_mode,
        version=new.version,
        sha256=new.sha256,
        metrics=Jsonb(dict(new.metrics)),
        data_sha256=new.data_sha256,
        code_version=new.code_version,
        inputs=None if new.inputs is None else Jsonb(dict(new.inputs)),
        asset_model=new.asset_model,
    )
    assert made is not None  # noqa: S101 - `insert ... returning` without a conflict clause
    return made


async def promote(tx: Transaction, model: ModelVersion, before: ModelVersion | None, account_id: int | None, now: datetime) -> None:
    """Put `model` in charge; the one before (None: there was none, or it is rolled back) steps down and stays registered."""
    if before is not None:
        await queries.execute(tx, "model_step_down", model_version_id=before.model_version_id)
    replaced_id = None if before is None else before.model_version_id
    await queries.execute(
        tx, "model_promote", model_version_id=model.model_version_id, replaced_id=replaced_id, account_id=account_id, at=now
    )


async def withdraw(tx: Transaction, model: ModelVersion, now: datetime) -> None:
    """Take `model` out of charge and mark it as rolled back."""
    await queries.execute(tx, "model_withdraw", model_version_id=model.model_version_id, at=now)


async def begin_shadow(tx: Transaction, model: ModelVersion) -> None:
    """Let `model`, and none else of its kind, predict beside the one in charge."""
    await queries.execute(tx, "model_begin_shadow", model_version_id=model.model_version_id)


async def end_shadow(tx: Transaction, model: ModelVersion) -> None:
    """Let `model` predict beside the one in charge no longer; what it said is kept."""
    await queries.execute(tx, "model_end_shadow", model_version_id=model.model_version_id)


async def life_units(tx: Transaction) -> dict[str, str]:
    """In what each asset model's life is counted, by its code."""
    return {one.code: one.life_unit for one in await queries.rows(tx, "model_life_units", _Counted)}


async def approvers(tx: Transaction) -> dict[int, str]:
    """Names, by account, of those who put a model in charge."""
    return {one.account_id: one.name for one in await queries.rows(tx, "model_approvers", _Person)}


async def add_shadow_predictions(tx: Transaction, new: Sequence[ShadowPrediction]) -> None:
    """Store what a model in the shadow said; what was said before stays."""
    if not new:
        return
    await queries.execute(
        tx,
        "model_shadow_insert",
        customer_ids=[one.customer_id for one in new],
        asset_ids=[one.asset_id for one in new],
        versions=[one.model_version_id for one in new],
        at=[one.at for one in new],
        probabilities=[one.probability for one in new],
        p10=[one.life_p10 for one in new],
        p50=[one.life_p50 for one in new],
        p90=[one.life_p90 for one in new],
    )
