"""Visits: who is booked for which order, and when it took place."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from vigia.domain.visits import Plan, Technician, Window
from vigia.store import queries
from vigia.store.database import Transaction


@dataclass(frozen=True)
class Visit:
    """One row of `visit`."""

    visit_id: int
    customer_id: int
    work_order_id: int
    technician_id: int
    planned_from: datetime
    planned_until: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True)
class _Booking:
    technician_id: int
    planned_from: datetime
    planned_until: datetime


@dataclass(frozen=True)
class _TechnicianRow:
    account_id: int
    time_zone: str | None


async def open_of_order(tx: Transaction, work_order_id: int) -> Visit | None:
    """The order's visit that is not finished, or None."""
    return await queries.first(tx, "visit_open_of_order", Visit, work_order_id=work_order_id)


async def of_order(tx: Transaction, work_order_id: int) -> list[Visit]:
    """All visits of the order, oldest first."""
    return await queries.rows(tx, "visits_of_order", Visit, work_order_id=work_order_id)


async def technicians(tx: Transaction, except_visit_id: int | None = None) -> list[Technician]:
    """Everyone who can be sent, with the visits they have not finished (but for one that is to be moved)."""
    busy: dict[int, list[Window]] = defaultdict(list)
    for booking in await queries.rows(tx, "visits_unfinished", _Booking, except_visit_id=except_visit_id):
        busy[booking.technician_id].append(Window(booking.planned_from, booking.planned_until))
    return [
        Technician(row.account_id, row.time_zone, tuple(busy[row.account_id]))
        for row in await queries.rows(tx, "technicians", _TechnicianRow)
    ]


async def site_time_zone(tx: Transaction, role_id: int) -> str:
    """The IANA time zone of the site the role stands at."""
    zone: str = await queries.value(tx, "visit_place", role_id=role_id)
    return zone


async def book(tx: Transaction, customer_id: int, work_order_id: int, plan: Plan) -> int | None:
    """Book the visit; its id, or None if one is open for the order."""
    visit_id: int | None = await queries.value(
        tx,
        "visit_plan",
        customer_id=customer_id,
        work_order_id=work_order_id,
        technician_id=plan.technician_id,
        planned_from=plan.window.start,
        planned_until=plan.window.end,
    )
    return visit_id


async def move(tx: Transaction, visit_id: int, plan: Plan) -> None:
    """Book the visit anew, unless it has started."""
    await queries.execute(
        tx,
        "visit_move",
        visit_id=visit_id,
        technician_id=plan.technician_id,
        planned_from=plan.window.start,
        planned_until=plan.window.end,
    )


async def start(tx: Transaction, visit_id: int, at: datetime) -> None:
    """The technician has begun."""
    await queries.execute(tx, "visit_start", visit_id=visit_id, at=at)


async def finish(tx: Transaction, visit_id: int, at: datetime) -> None:
    """The visit is over."""
    await queries.execute(tx, "visit_finish", visit_id=visit_id, at=at)
