"""All engines as one table, sorted as asked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from vigia.api.session import Caller, Transaction
from vigia.portal.context import fleet_ui, now_of
from vigia.portal.downloads import csv_response
from vigia.portal.engines import EngineList, EngineView, engine_list
from vigia.portal.language import N_, language_of
from vigia.portal.look import look_of
from vigia.portal.rendering import answer
from vigia.portal.words import HEALTH, word
from vigia.store import fleet, pages

router = APIRouter()

_KEYS: Mapping[str, Callable[[EngineView], Any]] = {
    "consequence": lambda engine: (engine.rank, engine.life_p10),
    "engine": lambda engine: engine.role,
    "serial": lambda engine: engine.serial_number,
    "customer": lambda engine: (engine.customer, engine.site, engine.role),
    "life": lambda engine: engine.life_p10,
    "probability": lambda engine: -(engine.probability or 0.0),
}

_COLUMNS = (
    ("consequence", N_("Health")),
    ("engine", N_("Engine")),
    ("serial", N_("Serial number")),
    ("customer", N_("Customer and site")),
    ("life", N_("Remaining life")),
    ("probability", N_("Probability")),
)


@dataclass(frozen=True)
class Column:
    """A column that can be sorted by."""

    code: str
    label: str
    sorted: bool


@dataclass(frozen=True)
class Filter:
    """A health word to filter by, with how many engines have it; code '' is all."""

    code: str
    label: str
    count: int
    chosen: bool


@dataclass(frozen=True)
class FleetTablePage:
    """The table. `sort` and `health` are what the address asks for, if it exists."""

    fleet: EngineList
    columns: tuple[Column, ...]
    filters: tuple[Filter, ...]
    sort: str
    health: str


@router.get("/fleet")
async def show(request: Request, caller: Caller, tx: Transaction, sort: str = "consequence", health: str = "") -> Response:
    """The table, sorted by `sort`, only engines of `health` if that is given."""
    ui = await fleet_ui(request, caller, tx)
    language = ui.language
    everything = engine_list(language, await pages.engines(tx), now_of(ui))
    sort = sort if sort in _KEYS else "consequence"
    health = health if health in HEALTH else ""
    shown = tuple(sorted((engine for engine in everything.engines if health in ("", engine.health)), key=_KEYS[sort]))
    filters = [Filter("", language.text("All"), len(everything.engines), health == "")]
    for code in HEALTH:
        count = sum(1 for engine in everything.engines if engine.health == code)
        if count or code == health:
            filters.append(Filter(code, word(language, HEALTH, code), count, code == health))
    page = FleetTablePage(
        fleet=EngineList(shown, everything.ticks, everything.due, everything.life_unit, everything.horizon),
        columns=tuple(Column(code, language.text(label), code == sort) for code, label in _COLUMNS),
        filters=tuple(filters),
        sort=sort,
        health=health,
    )
    return answer("operations/fleet.html", page, ui)


@router.get("/fleet.csv")
async def as_csv(request: Request, caller: Caller, tx: Transaction) -> Response:
    """The same table as a file."""
    language = language_of(look_of(request, caller).language)
    rows = engine_list(language, await pages.engines(tx), await fleet.now(tx)).engines
    header = ("engine", "serial_number", "customer", "site", "health", "life_p10", "failure_probability", "work_order", "visit")
    return csv_response(
        "fleet",
        header,
        [
            (
                one.role,
                one.serial_number,
                one.customer,
                one.site,
                one.health,
                one.life_p10 if one.bar else None,
                one.probability,
                one.order_id,
                one.planned_from.isoformat() if one.planned_from else None,
            )
            for one in rows
        ],
    )
