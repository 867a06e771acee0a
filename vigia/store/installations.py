"""Which machine stands in which role, and the pool of spares."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from vigia.store import queries
from vigia.store.database import Transaction


@dataclass(frozen=True)
class Installation:
    """One row of `installation`, with the machine's serial number and model."""

    installation_id: int
    customer_id: int
    role_id: int
    asset_id: int
    installed_at: datetime
    removed_at: datetime | None
    serial_number: str
    asset_model_id: int


@dataclass(frozen=True)
class Standing:
    """A machine where it stood."""

    serial_number: str
    site: str
    role: str
    asset_id: int
    installed_at: datetime


@dataclass(frozen=True)
class Spare:
    """A machine that could take a role."""

    asset_id: int
    serial_number: str
    serviceable: bool = True
    installed: bool = False


async def at(tx: Transaction, asset_id: int, reading_at: datetime) -> Installation | None:
    """Where the asset stood when its reading of `reading_at` was taken, or None if it stood nowhere."""
    return await queries.first(tx, "installation_at", Installation, asset_id=asset_id, at=reading_at)


async def standing(tx: Transaction, asset_model_id: int, at: datetime) -> list[Standing]:
    """The machines that stood in a role of that model at `at`, by serial number."""
    return await queries.rows(tx, "installations_standing", Standing, asset_model_id=asset_model_id, at=at)


async def current(tx: Transaction, asset_id: int) -> Installation | None:
    """Where the asset stands, or None."""
    return await queries.first(tx, "installation_current", Installation, asset_id=asset_id)


async def remove(tx: Transaction, installation: Installation, removed_at: datetime) -> None:
    """The machine leaves its role."""
    await queries.execute(tx, "installation_end", installation_id=installation.installation_id, at=removed_at)


async def install(tx: Transaction, customer_id: int, role_id: int, asset_id: int, installed_at: datetime) -> None:
    """The machine takes the role, which must be free."""
    await queries.execute(tx, "installation_begin", customer_id=customer_id, role_id=role_id, asset_id=asset_id, at=installed_at)


async def first_spare(tx: Transaction, asset_model_id: int, free_at: datetime) -> Spare | None:
    """The serviceable spare of that model with the lowest serial number, locked until the transaction ends; None if the pool is empty."""
    return await queries.first(tx, "spare_first", Spare, asset_model_id=asset_model_id, at=free_at)


async def named_spare(tx: Transaction, asset_model_id: int, serial_number: str, free_at: datetime) -> Spare | None:
    """The machine of that model and serial number, locked until the transaction ends; None if there is none."""
    return await queries.first(tx, "spare_named", Spare, asset_model_id=asset_model_id, serial_number=serial_number, at=free_at)


async def set_condition(tx: Transaction, asset_id: int, condition: Literal["serviceable", "unserviceable"]) -> None:
    """Whether the machine may be installed again."""
    await queries.execute(tx, "asset_condition", asset_id=asset_id, condition=condition)


async def known(tx: Transaction, role_id: int, asset_id: int) -> bool:
    """Whether the role ever had a machine, or the machine ever a role."""
    return bool(await queries.value(tx, "installation_known", role_id=role_id, asset_id=asset_id))
