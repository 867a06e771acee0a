"""The technician's day: the jobs in the order of their visits."""

from dataclasses import dataclass

from fastapi import Request, Response

from vigia.portal.context import fleet_ui
from vigia.portal.rendering import answer
from vigia.store import pages
from vigia.store.database import Transaction
from vigia.store.pages import OrderRow
from vigia.store.sessions import Session

_RECENT = 5


@dataclass(frozen=True)
class TodayPage:
    """The jobs ahead (the running one first) and the last ones done. `thanks`: how many predictions the person has judged."""

    jobs: tuple[OrderRow, ...]
    done: tuple[OrderRow, ...]
    judged: int


async def show(request: Request, caller: Session, tx: Transaction) -> Response:
    """Answer with the day."""
    ui = await fleet_ui(request, caller, tx)
    mine = await pages.orders(tx, technician_id=caller.account_id)
    ahead = sorted(
        (order for order in mine if order.finished_at is None),
        key=lambda order: (order.started_at is None, order.planned_from or order.due_at),
    )
    done = [order for order in mine if order.finished_at is not None]
    page = TodayPage(tuple(ahead), tuple(done[:_RECENT]), sum(1 for order in done if order.verdict))
    return answer("technician/today.html", page, ui)
