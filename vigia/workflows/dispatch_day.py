"""Approved orders get their visit here: when the contract promises it, by a technician who is free and near."""

from datetime import datetime

from vigia.domain import visits as rules
from vigia.domain.contracts import Contract
from vigia.domain.work_orders import Kind, State, advance
from vigia.store import contracts, visits, work_orders
from vigia.store.changes import announce
from vigia.store.database import Transaction
from vigia.store.locks import lock_dispatch
from vigia.store.visits import Visit
from vigia.store.work_orders import WorkOrder


async def handle(tx: Transaction, now: datetime) -> list[int]:
    """Book a visit for every approved order that has none; the visits' ids.

    An order waits for the next dispatch while there is no technician at all, or its customer has no contract in force.
    """
    await lock_dispatch(tx)
    booked = [await _book(tx, order, now) for order in await work_orders.to_plan(tx)]
    return [visit_id for visit_id in booked if visit_id is not None]


async def after_failure(tx: Transaction, order: WorkOrder, contract: Contract, failed_at: datetime) -> None:
    """Move the visit of an order whose machine has failed first, unless it comes soon enough. The role is locked."""
    await lock_dispatch(tx)
    visit = await visits.open_of_order(tx, order.work_order_id)
    if visit is None or visit.started_at is not None:
        return
    start = rules.start_after_failure(contract, visit.planned_from, failed_at)
    if start != visit.planned_from:
        await _move(tx, order, visit, contract, start)


async def _book(tx: Transaction, order: WorkOrder, now: datetime) -> int | None:
    contract = await contracts.in_force(tx, order.customer_id, now)
    if contract is None:
        return None
    start = rules.promised_start(contract, Kind(order.kind), ordered_at=order.created_at, failed_at=order.failed_at)
    if order.failed_at is not None:
        start = rules.start_after_failure(contract, start, order.failed_at)
    technicians = await visits.technicians(tx)
    plan = rules.plan_visit(technicians, await visits.site_time_zone(tx, order.role_id), max(start, now), contract.visit_duration)
    visit_id = None if plan is None else await visits.book(tx, order.customer_id, order.work_order_id, plan)
    if visit_id is None:
        return None
    state = State(order.state)
    for following in (State.SCHEDULED, State.DISPATCHED):
        state = advance(state, following)
        await work_orders.set_state(tx, order, state, now)
    await announce(tx, "work_order", order.customer_id, order.role_id)
    return visit_id


async def _move(tx: Transaction, order: WorkOrder, visit: Visit, contract: Contract, start: datetime) -> None:
    technicians = await visits.technicians(tx, except_visit_id=visit.visit_id)
    plan = rules.plan_visit(technicians, await visits.site_time_zone(tx, order.role_id), start, contract.visit_duration)
    if plan is not None:
        await visits.move(tx, visit.visit_id, plan)
        await announce(tx, "work_order", order.customer_id, order.role_id)
