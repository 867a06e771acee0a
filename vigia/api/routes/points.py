"""Points: what is measured on an asset."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import Field

from vigia.api.fields import Id
from vigia.api.paging import Listing, Page, PageAsked, RowModel
from vigia.api.problems import declared
from vigia.api.routes.assets import ASSETS
from vigia.api.session import Transaction

router = APIRouter(prefix="/api/v1", tags=["equipment"])


class PointRow(RowModel):
    """A measuring point with its latest reading."""

    point_id: int = Field(examples=[101])
    asset_id: int = Field(examples=[12])
    name: str = Field(examples=["T50"])
    kind: str = Field(description="measurement, setting, state or counter.", examples=["measurement"])
    unit: str = Field(description="UCUM.", examples=["[degR]"])
    description: str = Field(examples=["Total temperature at LPT outlet"])
    low: float | None = Field(description="Engineering range, in unit; readings outside are kept.")
    high: float | None
    latest_at: datetime | None = Field(description="Source time.")
    latest: float | None = Field(description="In unit; null when there is no reading or it is not a number.")
    quality: int | None = Field(description="192 good, 64 uncertain, 500 stale (its source is gone), 0 bad.", examples=[192])


POINTS = Listing("points", "list_points", PointRow, lambda row: row.point_id)


@router.get("/assets/{asset_id}/points", operation_id="list_points", responses=declared(404))
async def list_points(asset_id: Id, tx: Transaction, asked: PageAsked) -> Page[PointRow]:
    """What is measured on the asset, with the latest readings."""
    await ASSETS.one(tx, asset_id)
    return await POINTS.page(tx, asked, asset_id=asset_id)
