"""Telemetry: readings of an asset's points at the resolution a chart or program can use."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field

from vigia.api.errors import BadRangeError, TooMuchDataError, UnknownPointError
from vigia.api.fields import From, Id, Name, Until
from vigia.api.problems import declared
from vigia.api.routes.assets import ASSETS
from vigia.api.routes.points import PointRow
from vigia.api.session import Transaction
from vigia.store import fleet, listings, telemetry
from vigia.store.telemetry import Resolution

router = APIRouter(prefix="/api/v1", tags=["telemetry"])

MOST_POINTS = 100
MOST_ROWS = 100_000
DEFAULT_SPAN = timedelta(hours=24)


class Series(BaseModel):
    """One point's readings as columns of equal length. With resolution raw, mean, low, high and last are the reading itself."""

    point_id: int = Field(examples=[101])
    name: str = Field(examples=["T50"])
    unit: str = Field(description="Of mean, low, high and last (UCUM).", examples=["[degR]"])
    ts: list[datetime] = Field(description="Source time; of a rollup the beginning of its minute or hour.")
    mean: list[float | None]
    low: list[float | None]
    high: list[float | None]
    last: list[float | None]
    count: list[int] = Field(description="Good readings; 0 where a reading is there but is not good.")


class Telemetry(BaseModel):
    """Readings from `from` until before `until`."""

    asset_id: int = Field(examples=[12])
    since: datetime = Field(serialization_alias="from")
    until: datetime
    resolution: Resolution = Field(description="raw, or the length of each rollup.")
    series: list[Series]


@dataclass(frozen=True)
class Asked:
    """What part of the telemetry is wanted."""

    points: Annotated[list[Name] | None, Query(max_length=MOST_POINTS, description="Names of points; may be repeated. Default: all.")] = (
        None
    )
    since: From = None
    until: Until = None
    pixels: Annotated[
        int, Query(ge=1, le=20_000, description="Width of the chart: picks the coarsest resolution with a value a pixel.")
    ] = 1000
    resolution: Annotated[Resolution | None, Query(description="Instead of pixels: exactly this resolution.")] = None


CSV: dict[int | str, dict[str, Any]] = {200: {"description": "Readings", "content": {"text/csv": {"schema": {"type": "string"}}}}}


@router.get("/assets/{asset_id}/telemetry", operation_id="get_telemetry", response_model=Telemetry, responses={**declared(404), **CSV})
async def get_telemetry(
    asset_id: Id,
    asked: Annotated[Asked, Depends()],
    tx: Transaction,
    form: Annotated[Literal["json", "csv"], Query(alias="format")] = "json",
) -> Telemetry | Response:
    """Readings of an asset, by default of all its points over the last 24 hours of fleet time."""
    await ASSETS.one(tx, asset_id)
    found = await _read(tx, asset_id, asked)
    if form == "csv":
        return Response(
            _csv(found.series),
            media_type="text/csv; charset=utf-8; header=present",
            headers={"Content-Disposition": f'attachment; filename="asset-{asset_id}-{found.resolution}.csv"'},
        )
    return found


async def _read(tx: Transaction, asset_id: int, asked: Asked) -> Telemetry:
    until = asked.until or (await fleet.now(tx) + timedelta(microseconds=1))
    since = asked.since or until - DEFAULT_SPAN
    if until <= since:
        raise BadRangeError
    points = await _points(tx, asset_id, asked.points)
    resolution = asked.resolution or telemetry.resolution_for(until - since, asked.pixels)
    found = await telemetry.series(tx, [point.point_id for point in points], since, until, resolution, limit=MOST_ROWS + 1)
    if sum(len(series) for series in found) > MOST_ROWS:
        raise TooMuchDataError
    return Telemetry(asset_id=asset_id, since=since, until=until, resolution=resolution, series=_series(points, found))


async def _points(tx: Transaction, asset_id: int, names: list[str] | None) -> list[PointRow]:
    every = await listings.page(tx, "list_points", PointRow, 10_000, None, asset_id=asset_id)
    if names is None:
        return every
    by_name = {point.name: point for point in every}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise UnknownPointError(unknown[0])
    return [by_name[name] for name in dict.fromkeys(names)]


def _series(points: Sequence[PointRow], found: Iterable[telemetry.Series]) -> list[Series]:
    by_point = {series.point_id: series for series in found}
    return [_one(point, by_point.get(point.point_id) or telemetry.Series(point.point_id, [], [], [], [], [], [])) for point in points]


def _one(point: PointRow, found: telemetry.Series) -> Series:
    return Series(
        point_id=point.point_id,
        name=point.name,
        unit=point.unit,
        ts=found.ts,
        mean=found.mean,
        low=found.low,
        high=found.high,
        last=found.last,
        count=found.count,
    )


def _csv(found: Iterable[Series]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("point", "unit", "ts", "mean", "low", "high", "last", "count"))
    for series in found:
        for ts, *values in zip(series.ts, series.mean, series.low, series.high, series.last, series.count, strict=True):
            writer.writerow((series.name, series.unit, ts.isoformat(), *values))
    return text.getvalue()
