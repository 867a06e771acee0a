"""Assets: the machines, where each stands and stood, and how it is."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from vigia.api.fields import Id, IdFilter, Name
from vigia.api.paging import Listing, Page, PageAsked, RowModel
from vigia.api.problems import declared
from vigia.api.session import Transaction
from vigia.store import commands, listings

router = APIRouter(prefix="/api/v1", tags=["equipment"])


class AssetRow(RowModel):
    """A machine. Its place is null while it is in stock or in the shop, its prediction while nothing is predicted yet."""

    asset_id: int = Field(examples=[12])
    serial_number: str = Field(examples=["ESN-0081"])
    model: str = Field(examples=["cmapss-fd001"])
    model_name: str = Field(examples=["Turbofan"])
    life_unit: str = Field(description="What life and horizon are counted in (UCUM).", examples=["{cycle}"])
    condition: str = Field(examples=["serviceable"])
    customer_id: int | None = Field(examples=[2])
    installed_at: datetime | None
    role_id: int | None = Field(description="The place (functional location) it stands in.", examples=[5])
    role: str | None = Field(examples=["A320-07 left"])
    line: str | None = Field(examples=["A320-07"])
    area: str | None = Field(examples=["Fleet"])
    site_id: int | None = Field(examples=[3])
    site: str | None = Field(examples=["Barcelona"])
    time_zone: str | None = Field(description="Of the site.", examples=["Europe/Madrid"])
    prediction_id: int | None = Field(examples=[9001])
    predicted_at: datetime | None = Field(description="Source time of the newest reading the prediction used.")
    failure_mode: str | None = Field(examples=["hpc_degradation"])
    horizon: float | None = Field(description="In life_unit.", examples=[30])
    probability: float | None = Field(description="Of a failure within the horizon, 0 to 1.", examples=[0.83])
    life_p10: float | None = Field(
        description="Lower end of the interval that holds the remaining life with 80 %, in life_unit.", examples=[14]
    )
    life_p50: float | None = Field(description="Median remaining life, in life_unit.", examples=[22])
    life_p90: float | None = Field(description="Upper end of that interval, in life_unit.", examples=[35])
    health: float | None = Field(description="0 (failed) to 100 (as new).", examples=[41.5])


class InstallationRow(RowModel):
    """A stretch of time in which the machine stood in one place."""

    installation_id: int = Field(examples=[31])
    asset_id: int = Field(examples=[12])
    customer_id: int = Field(examples=[2])
    role_id: int = Field(examples=[5])
    role: str = Field(examples=["A320-07 left"])
    site_id: int = Field(examples=[3])
    site: str = Field(examples=["Barcelona"])
    installed_at: datetime
    removed_at: datetime | None = Field(description="Null: it stands there now.")


class WritableMetric(BaseModel):
    """What a command can write, as the gateway announced it."""

    model_config = ConfigDict(from_attributes=True)

    name: str = Field(examples=["pressure_setpoint"])
    kind: Literal["boolean", "integer", "number", "text"] = Field(examples=["number"])
    unit: str = Field(description="UCUM.", examples=["bar"])
    low: float | None = Field(description="Smallest value taken.", examples=[2.0])
    high: float | None = Field(description="Largest value taken.", examples=[8.0])
    allowed: list[bool | int | float | str] = Field(description="The only values taken; empty: any in the range.", examples=[[]])
    critical: bool = Field(description="Two people who did not request it must approve a command.")


class Commandable(BaseModel):
    """How the machine can be told something from afar."""

    model_config = ConfigDict(from_attributes=True)

    online: bool = Field(description="Its gateway is there and speaks for it: a command that needs no approval is sent within seconds.")
    metrics: list[WritableMetric]


class Asset(AssetRow):
    """A machine with its history."""

    installations: list[InstallationRow] = Field(description="Newest first; only the caller's own places.")
    commandable: Commandable | None = Field(description="What it can be told from afar; null: nothing, where it stands now.")


@dataclass(frozen=True)
class AssetFilter:
    """Which machines."""

    customer_id: IdFilter = None
    site_id: IdFilter = None
    serial_number: Annotated[Name | None, Query(examples=["ESN-0081"])] = None
    installed: Annotated[bool | None, Query(description="true: only those that stand somewhere now.")] = None


ASSETS = Listing("assets", "list_assets", AssetRow, lambda row: row.asset_id)


@router.get("/assets", operation_id="list_assets")
async def list_assets(tx: Transaction, asked: PageAsked, only: Annotated[AssetFilter, Depends()]) -> Page[AssetRow]:
    """Machines, each with its place and its newest prediction."""
    return await ASSETS.page(tx, asked, **vars(only))


@router.get("/assets/{asset_id}", operation_id="get_asset", responses=declared(404))
async def get_asset(asset_id: Id, tx: Transaction) -> Asset:
    """One machine with its place, health, installations and what it can be told."""
    row = await ASSETS.one(tx, asset_id)
    installations = await listings.parts(tx, "list_installations", InstallationRow, asset_id=asset_id)
    to = await commands.commandable(tx, asset_id)
    commandable = Commandable.model_validate(to) if to is not None and to.writable else None
    return Asset(**row.model_dump(), installations=installations, commandable=commandable)
