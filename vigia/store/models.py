"""The registry of failure models: which versions exist, what they achieved, which one is in charge."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from vigia.store import queries
from vigia.store.database import StoreError, Transaction


class UnknownAssetModelError(StoreError):
    """The database knows no such asset model; seed it first with `vigia db seed`."""


class UnknownModelVersionError(StoreError):
    """No model of that version is registered; `vigia analytics train` makes one."""


@dataclass(frozen=True)
class ModelVersion:
    """One row of `model_version`. The file is `<home>/models/<failure_mode>-<version>.joblib` and has that sha256."""

    model_version_id: int
    asset_model_id: int
    failure_mode: str
    version: str
    sha256: str
    metrics: dict[str, Any]
    champion: bool
    created_at: datetime

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


async def by_version(tx: Transaction, asset_model: str, failure_mode: str, version: str) -> ModelVersion | None:
    """That version, or None."""
    return await queries.first(tx, "model_by_version", ModelVersion, asset_model=asset_model, failure_mode=failure_mode, version=version)


async def versions(tx: Transaction, asset_model: str, failure_mode: str) -> list[ModelVersion]:
    """All versions, newest first."""
    return await queries.rows(tx, "model_versions", ModelVersion, asset_model=asset_model, failure_mode=failure_mode)


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
    )
    assert made is not None  # noqa: S101 - `insert ... returning` without a conflict clause
    return made


async def promote(tx: Transaction, asset_model: str, failure_mode: str, version: str) -> None:
    """Put that version in charge; the one before steps down and stays registered. Raises UnknownModelVersionError."""
    key = {"asset_model": asset_model, "failure_mode": failure_mode}
    await queries.execute(tx, "model_step_down", **key)
    if not await queries.execute(tx, "model_promote", version=version, **key):
        raise UnknownModelVersionError(f"No model {failure_mode}-{version} is registered for {asset_model!r}.")
