"""The customer's first page: is my fleet all right, what was promised, what comes next."""

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
from vigia.store.sessions import Session
from vigia.workflows import close_period


@dataclass(frozen=True)
class OverviewPage:
    """The customer's fleet.

    contract : outcome of the month so far under the contract; None without one
    next_visit : the engine that is visited next, None when no visit is planned
    complete : share of the edge's batches that arrived (0 to 1); None before the first
    """

    headline: str
    customer: str
    sites: tuple[SiteView, ...]
    fleet: EngineList
    contract: ContractView | None
    month_start: datetime
    next_visit: EngineView | None
    complete: float | None
    missing: int


async def show(request: Request, caller: Session, tx: Transaction) -> Response:
    """Answer with the overview."""
    ui = await fleet_ui(request, caller, tx)
    now = now_of(ui)
    rows = await pages.engines(tx)
    fleet = engine_list(ui.language, rows, now)
    site_rows = await pages.sites(tx)
    period = month_of(now)
    outcome = await close_period.handle(tx, period.start, period.until)
    contracts = contract_views(outcome)
    expected = sum(row.committed + row.dropped + row.missing for row in site_rows)
    planned = [engine for engine in fleet.engines if engine.planned_from is not None and not engine.started]
    page = OverviewPage(
        headline=headline(ui.language, fleet.engines),
        customer=rows[0].customer if rows else "",
        sites=tuple(site_view(ui.language, row, fleet.engines, now) for row in site_rows),
        fleet=fleet,
        contract=contracts[0] if contracts else None,
        month_start=period.start,
        next_visit=min(planned, key=lambda engine: (engine.planned_from or now, engine.role), default=None),
        complete=sum(row.committed for row in site_rows) / expected if expected else None,
        missing=sum(row.missing for row in site_rows),
    )
    return answer("customer/overview.html", page, ui)
