"""The service manager's first page: what to do first, over all customers."""

from dataclasses import dataclass
from datetime import datetime

from fastapi import Request, Response

from vigia.portal.context import fleet_ui, now_of
from vigia.portal.engines import EngineList, EngineView, engine_list
from vigia.portal.outcomes import ContractView, contract_views, month_of
from vigia.portal.rendering import answer
from vigia.portal.sentences import SiteView, headline, site_view
from vigia.store import pages
from vigia.store.database import Transaction
from vigia.store.pages import AlarmCounts, OrderCounts, OrderRow
from vigia.store.sessions import Session
from vigia.workflows import close_period

_VISITS_SHOWN = 6


@dataclass(frozen=True)
class ContractRow:
    """A contract with its customer's name and what could save it: the engine of that customer that is visited next."""

    contract: ContractView
    customer: str
    saved_by: EngineView | None


@dataclass(frozen=True)
class WorklistPage:
    """What needs someone.

    urgent : engines that are not as expected, by consequence; calm : how many are
    visits : the next open orders; silent : sites from which no readings arrive
    """

    headline: str
    urgent: EngineList
    calm: int
    total: int
    alarms: AlarmCounts
    orders: OrderCounts
    visits: tuple[OrderRow, ...]
    contracts: tuple[ContractRow, ...]
    month_start: datetime
    silent: tuple[SiteView, ...]


async def show(request: Request, caller: Session, tx: Transaction) -> Response:
    """Answer with the worklist."""
    ui = await fleet_ui(request, caller, tx)
    now = now_of(ui)
    rows = await pages.engines(tx)
    fleet = engine_list(ui.language, rows, now)
    urgent = tuple(engine for engine in fleet.engines if engine.health != "normal")
    names = {row.customer_id: row.customer for row in rows}
    period = month_of(now)
    contracts = contract_views(await close_period.handle(tx, period.start, period.until))
    sites = [site_view(ui.language, row, fleet.engines, now) for row in await pages.sites(tx)]
    page = WorklistPage(
        headline=headline(ui.language, fleet.engines),
        urgent=EngineList(urgent, fleet.ticks, fleet.due, fleet.life_unit, fleet.horizon),
        calm=len(fleet.engines) - len(urgent),
        total=len(fleet.engines),
        alarms=await pages.alarm_counts(tx),
        orders=await pages.order_counts(tx),
        visits=tuple(await pages.orders(tx, open_only=True, limit=_VISITS_SHOWN)),
        contracts=tuple(ContractRow(view, names.get(view.customer_id, ""), _saved_by(view, names, urgent)) for view in contracts),
        month_start=period.start,
        silent=tuple(site for site in sites if site.silent and site.reading_at is not None),
    )
    return answer("operations/worklist.html", page, ui)


def _saved_by(view: ContractView, names: dict[int, str], urgent: tuple[EngineView, ...]) -> EngineView | None:
    """The visit that keeps most of the customer's time: the one to its most urgent engine."""
    return next((engine for engine in urgent if engine.customer == names.get(view.customer_id) and engine.planned_from is not None), None)
