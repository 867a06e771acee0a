"""What was promised and what was delivered: hours, availability with its categories, fee and credits, by contract, site and role."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from vigia.api.session import Caller, Transaction
from vigia.portal.context import fleet_ui, now_of
from vigia.portal.downloads import csv_response
from vigia.portal.language import Language
from vigia.portal.outcomes import SHOWN, ContractView, Period, TimeUse, chosen, contract_views, periods, time_use
from vigia.portal.rendering import answer
from vigia.store import contracts, fleet, pages
from vigia.store.database import Transaction as StoreTransaction
from vigia.store.pages import AvoidedRow, EngineRow
from vigia.workflows import close_period

router = APIRouter()


@dataclass(frozen=True)
class PeriodChoice:
    """A period on offer."""

    code: str
    label: str
    chosen: bool


@dataclass(frozen=True)
class RoleTime:
    """One role's time use."""

    role_id: int
    role: str
    site: str
    serial_number: str
    time: TimeUse


@dataclass(frozen=True)
class ContractOutcomePage:
    """A contract with its roles."""

    contract: ContractView
    customer: str
    roles: tuple[RoleTime, ...]


@dataclass(frozen=True)
class OutcomePage:
    """The outcome of a period. `categories` are those that occur, in the order of the bars."""

    period: Period
    choices: tuple[PeriodChoice, ...]
    contracts: tuple[ContractOutcomePage, ...]
    total: TimeUse
    hours: float
    avoided: AvoidedRow
    categories: tuple[str, ...]
    staff: bool
    times_orders: bool
    """may see when orders are raised, and why then"""


@router.get("/outcome")
async def show(request: Request, caller: Caller, tx: Transaction, period: str | None = None) -> Response:
    """The outcome of the month so far, or of the period asked for."""
    ui = await fleet_ui(request, caller, tx)
    offered = await _periods(tx)
    asked = chosen(offered, period)
    outcome = await close_period.handle(tx, asked.start, asked.until)
    rows = {row.role_id: row for row in await pages.engines(tx)}
    names = {row.customer_id: row.customer for row in rows.values()}
    total = time_use(outcome.elements)
    page = OutcomePage(
        period=asked,
        choices=tuple(PeriodChoice(one.code, _label(ui.language, one), one.code == asked.code) for one in offered),
        contracts=tuple(ContractOutcomePage(view, names.get(view.customer_id, ""), _roles(view, rows)) for view in contract_views(outcome)),
        total=total,
        hours=float(outcome.hours_delivered),
        avoided=await pages.avoided(tx, asked.start, asked.until),
        categories=tuple(category.value for category in SHOWN if total.hours[category.value] > 0),
        staff=caller.customer_id is None,
        times_orders=caller.kind == "service_manager",
    )
    _ = now_of(ui)
    return answer("customer/outcome.html", page, ui)


@router.get("/outcome.csv")
async def as_csv(_caller: Caller, tx: Transaction, period: str | None = None) -> Response:
    """Hours of each role by category, as a file."""
    asked = chosen(await _periods(tx), period)
    outcome = await close_period.handle(tx, asked.start, asked.until)
    rows = {row.role_id: row for row in await pages.engines(tx)}
    codes = [category.value for category in SHOWN]
    lines = [
        (
            role.role,
            role.site,
            view.name,
            asked.start.isoformat(),
            asked.until.isoformat(),
            *(role.time.hours[code] for code in codes),
            role.time.operating,
            role.time.failures,
        )
        for view in contract_views(outcome)
        for role in _roles(view, rows)
    ]
    header = ("role", "site", "contract", "from", "until", *(f"{code}_h" for code in codes), "operating_h", "failures")
    return csv_response(f"outcome-{asked.code}", header, lines)


async def _periods(tx: StoreTransaction) -> Sequence[Period]:
    now = await fleet.now(tx)
    found = await contracts.within(tx, now.replace(year=now.year - 20), now)
    return periods(min((contract.starts_at for contract in found), default=now), now)


def _label(language: Language, period: Period) -> str:
    if period.code == "all":
        return language.text("Since the start")
    return language.month(period.start)


def _roles(view: ContractView, rows: dict[int, EngineRow]) -> tuple[RoleTime, ...]:
    known = [(rows[role_id], time) for role_id, time in view.roles.items() if role_id in rows]
    known.sort(key=lambda pair: (pair[0].site, pair[0].role))
    return tuple(RoleTime(row.role_id, row.role, row.site, row.serial_number or "", time) for row, time in known)
