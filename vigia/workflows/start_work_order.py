"""A technician begins an order here: the visit runs, and a machine taken out of use for planned work stops counting as up."""

from datetime import datetime

from vigia.domain.availability import Category
from vigia.domain.errors import InvalidValueError, NotFoundError, TransitionRefusedError
from vigia.domain.work_orders import State, advance
from vigia.store import audit, states, visits, work_orders
from vigia.store.audit import Action
from vigia.store.changes import announce
from vigia.store.database import Transaction
from vigia.store.locks import lock_role
from vigia.store.states import NewInterval
from vigia.store.work_orders import WorkOrder


async def handle(tx: Transaction, work_order_id: int, now: datetime, account_id: int | None) -> WorkOrder:
    """The order, in progress since `now`. Starting it again changes nothing.

    Raises NotFoundError, TransitionRefusedError when its state or a missing visit forbids it, InvalidValueError for a time
    before the order was raised.
    """
    order = await locked(tx, work_order_id)
    if order.state == State.IN_PROGRESS:
        return order
    visit = await visits.open_of_order(tx, work_order_id)
    state = advance(State(order.state), State.IN_PROGRESS)
    if visit is None:
        raise TransitionRefusedError("The work order has no visit planned; plan one before starting it.")
    if now < order.created_at:
        raise InvalidValueError("The work cannot have started before its order was raised; check the device's clock.")
    await visits.start(tx, visit.visit_id, now)
    await work_orders.set_state(tx, order, state, now, account_id)
    await _count_time(tx, order, now)
    await audit.record(
        tx, Action(account_id, order.customer_id, "start_work_order", f"work_order:{work_order_id}", {"at": now.isoformat()})
    )
    await announce(tx, "work_order", order.customer_id, order.role_id)
    return await work_orders.get(tx, work_order_id) or order


async def locked(tx: Transaction, work_order_id: int) -> WorkOrder:
    """The order, with its role locked. Raises NotFoundError."""
    seen = await work_orders.get(tx, work_order_id)
    if seen is None:
        raise NotFoundError
    await lock_role(tx, seen.role_id)
    order = await work_orders.get(tx, work_order_id)
    assert order is not None  # noqa: S101 - orders are never deleted
    return order


async def _count_time(tx: Transaction, order: WorkOrder, now: datetime) -> None:
    """Planned work from `now` on, unless the machine is down by the supplier's fault already: then it stays that."""
    current = await states.current(tx, order.role_id)
    if current is not None and current.category == Category.SUPPLIER_DOWN:
        await states.name_evidence(tx, current, order.work_order_id)
        return
    begin = now
    if current is not None:
        begin = max(now, current.started_at)
        await states.end(tx, current, begin)
    else:
        last = await states.newest(tx, order.role_id)
        begin = now if last is None or last.ended_at is None else max(now, last.ended_at)
    category = Category.PLANNED_AGREED if order.failed_at is None else Category.SUPPLIER_DOWN
    await states.begin(
        tx, NewInterval(order.customer_id, order.role_id, order.asset_id, category, begin, work_order_id=order.work_order_id)
    )
    await announce(tx, "state", order.customer_id, order.role_id)
