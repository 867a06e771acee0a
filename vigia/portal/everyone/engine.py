"""One engine: how it is and why, how long it will last, what its sensors say, what happened to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import APIRouter, Request, Response

from vigia.analytics.prognosis.explain import LEAST_HEALTH, LEAST_PROBABILITY
from vigia.api.errors import NotFoundError
from vigia.api.session import Caller, Transaction
from vigia.portal import words
from vigia.portal.charts import BandChart, BandPoint, Frame, LineChart, band_chart, line_chart, thinned
from vigia.portal.context import fleet_ui, now_of
from vigia.portal.downloads import csv_response
from vigia.portal.engines import EngineView, engine_list
from vigia.portal.horizons import Chance, chances
from vigia.portal.language import Language, language_of
from vigia.portal.look import look_of
from vigia.portal.readings import Multiple, Sensor, Share, finding, little, multiples, sensors, shares
from vigia.portal.rendering import answer
from vigia.portal.similar import SimilarCase, similar_cases
from vigia.portal.timeline import Happened, happened
from vigia.store import pages
from vigia.store.pages import EngineRow, InstallationRow, LifeRow, OrderRow

router = APIRouter()

_TABLE_ROWS = 48


@dataclass(frozen=True)
class EnginePage:
    """An engine in its role.

    basis : how the newest prediction was made, empty when as usual
    shares : what the newest prediction rests on, empty before the first; finding : that in a sentence
    folded : the shares are small, and told in life lost instead
    similar : what became of machines that were alike
    chances : of a failure within each horizon, shortest first
    life, chance : charts over the time since installation; None before the second prediction
    ends : when the engine is expected to fail (earliest, likely, latest); None without a prediction
    recent : newest predictions, for the table
    """

    engine: EngineView
    model: str
    life_unit: str
    installed_at: datetime | None
    predicted_at: datetime | None
    model_version: str
    mode: str
    basis: str
    shares: tuple[Share, ...]
    finding: str
    folded: bool
    similar: tuple[SimilarCase, ...]
    chances: tuple[Chance, ...]
    life: BandChart | None
    chance: LineChart | None
    ends: tuple[datetime, datetime, datetime] | None
    recent: tuple[LifeRow, ...]
    multiples: tuple[Multiple, ...]
    sensors: tuple[Sensor, ...]
    order: OrderRow | None
    timeline: tuple[Happened, ...]
    installations: tuple[InstallationRow, ...]
    orders: tuple[OrderRow, ...]


@router.get("/engines/{role_id}")
async def show(request: Request, role_id: int, caller: Caller, tx: Transaction) -> Response:
    """The engine that stands in the role."""
    ui = await fleet_ui(request, caller, tx)
    return answer("everyone/engine.html", await _page(tx, role_id, ui.language, now_of(ui)), ui)


@router.get("/engines/{role_id}/sensors.json")
async def sensor_series(request: Request, role_id: int, caller: Caller, tx: Transaction) -> dict[str, object]:
    """The sensors' hourly means on one time axis (seconds since 1970), for the interactive chart."""
    language = language_of(look_of(request, caller).language)
    found = await _sensors(tx, await _row(tx, role_id), language)
    at = sorted({moment for sensor in found for moment in sensor.at})
    return {
        "at": [moment.timestamp() for moment in at],
        "sensors": [
            {
                "name": sensor.name,
                "title": f"{sensor.name}: {sensor.title}",
                "unit": sensor.unit,
                "healthy": sensor.healthy,
                "values": [dict(zip(sensor.at, sensor.values, strict=True)).get(moment) for moment in at]
                if len(sensor.at) != len(at)
                else sensor.values,
            }
            for sensor in found
        ],
    }


@router.get("/engines/{role_id}/sensors.csv")
async def sensor_csv(request: Request, role_id: int, caller: Caller, tx: Transaction) -> Response:
    """The same as a file: one row a moment and sensor."""
    language = language_of(look_of(request, caller).language)
    row = await _row(tx, role_id)
    rows = [
        (moment.isoformat(), row.role, row.serial_number, sensor.name, value, sensor.unit)
        for sensor in await _sensors(tx, row, language)
        for moment, value in zip(sensor.at, sensor.values, strict=True)
    ]
    return csv_response(f"{row.role}-sensors", ("time", "role", "serial_number", "sensor", "hourly_mean", "unit"), rows)


@router.get("/engines/{role_id}/life.csv")
async def life_csv(role_id: int, _caller: Caller, tx: Transaction) -> Response:
    """Every prediction of the engine since it was installed."""
    row = await _row(tx, role_id)
    found = await pages.life(tx, row.asset_id, role_id) if row.asset_id is not None else []
    return csv_response(
        f"{row.role}-remaining-life",
        ("time", "role", "serial_number", "life_p10", "life_p50", "life_p90", "life_unit", "failure_probability"),
        [
            (life.at.isoformat(), row.role, row.serial_number, life.life_p10, life.life_p50, life.life_p90, row.life_unit, life.probability)
            for life in found
        ],
    )


async def _row(tx: Transaction, role_id: int) -> EngineRow:
    rows = await pages.engines(tx, role_id=role_id)
    if not rows:
        raise NotFoundError
    return rows[0]


async def _sensors(tx: Transaction, row: EngineRow, language: Language) -> tuple[Sensor, ...]:
    if row.asset_id is None or row.installed_at is None:
        return ()
    reason = await pages.reason(tx, row.asset_id, row.role_id)
    known = shares(language, reason.contributions, row.life_unit) if reason else ()
    return sensors(language, await pages.sensors(tx, row.asset_id, row.installed_at), known)


async def _page(tx: Transaction, role_id: int, language: Language, now: datetime) -> EnginePage:
    row = await _row(tx, role_id)
    view = engine_list(language, [row], now).engines[0]
    life: Sequence[LifeRow] = await pages.life(tx, row.asset_id, role_id) if row.asset_id is not None else ()
    reason = await pages.reason(tx, row.asset_id, role_id) if row.asset_id is not None else None
    known = shares(language, reason.contributions, row.life_unit) if reason else ()
    found = await _sensors(tx, row, language)
    orders = await pages.orders(tx, role_id=role_id)
    calm = reason is None or (reason.probability <= LEAST_PROBABILITY and reason.health >= LEAST_HEALTH)
    ends = _ends(life, row.life_unit) if view.bar is not None else None
    return EnginePage(
        engine=view,
        model=row.model,
        life_unit=row.life_unit,
        installed_at=row.installed_at,
        predicted_at=row.predicted_at,
        model_version=reason.model_version if reason else "",
        mode=words.word(language, words.FAILURE_MODES, reason.failure_mode) if reason else "",
        basis=words.word(language, words.METHODS, reason.method) if reason and reason.method in words.METHODS else "",
        shares=known[:6],
        finding=finding(language, known, calm=calm),
        folded=calm or little(known),
        similar=similar_cases(language, reason.similar_cases, row.life_unit) if reason else (),
        chances=chances(language, reason.probabilities, row.life_unit) if reason else (),
        life=band_chart([BandPoint(one.at, one.life_p10, one.life_p50, one.life_p90) for one in life], ends[2] if ends else now, ends),
        chance=line_chart(thinned([one.probability for one in life], 200), frame=Frame(0.0, 1.0, _elapsed(life, ends))),
        ends=ends,
        recent=tuple(reversed(life[-_TABLE_ROWS:])),
        multiples=multiples(found),
        sensors=found,
        order=next((order for order in orders if order.finished_at is None), None),
        timeline=happened(language, await pages.timeline(tx, role_id), row.time_zone),
        installations=tuple(await pages.installations(tx, role_id)),
        orders=tuple(orders),
    )


def _elapsed(life: Sequence[LifeRow], ends: tuple[datetime, datetime, datetime] | None) -> float:
    """The share of the time axis that lies in the past."""
    if len(life) < 2 or ends is None or ends[2] <= life[-1].at:  # noqa: PLR2004 - as for the pace
        return 1.0
    return (life[-1].at - life[0].at) / (ends[2] - life[0].at)


def _ends(life: Sequence[LifeRow], unit: str) -> tuple[datetime, datetime, datetime] | None:
    """When the life left runs out at the pace of use seen so far (one prediction a life unit, or the clock for hours)."""
    if len(life) < 2:  # noqa: PLR2004 - a pace needs two moments
        return None
    last = life[-1]
    pace = timedelta(hours=1) if unit == "h" else (last.at - life[0].at) / (len(life) - 1)
    early, likely, late = (last.at + max(0.0, value) * pace for value in (last.life_p10, last.life_p50, last.life_p90))
    return early, likely, late
