"""A person lets a drafted order go to dispatch, or calls an order off."""

from datetime import datetime

from vigia.domain.work_orders import State, advance
from vigia.store import audit, visits, work_orders
from vigia.store.audit import Action
from vigia.store.changes import announce
from vigia.store.database import Transaction
from vigia.store.work_orders import WorkOrder
from vigia.workflows.jobs import defer
from vigia.workflows.start_work_order import locked


async def handle(tx: Transaction, work_order_id: int, now: datetime, account_id: int | None) -> WorkOrder:
    """The order, approved and on its way to dispatch. Raises NotFoundError, TransitionRefusedError unless it waits for approval."""
    order = await locked(tx, work_order_id)
    await work_orders.set_state(tx, order, advance(State(order.state), State.APPROVED), now, account_id)
    await defer(tx, "dispatch_day", at=now)
    return await _done(tx, order, "approve_work_order", now, account_id)


async def cancel(tx: Transaction, work_order_id: int, now: datetime, account_id: int | None) -> WorkOrder:
    """The order, called off before work began; its case stays open. Raises NotFoundError, TransitionRefusedError."""
    order = await locked(tx, work_order_id)
    await work_orders.set_state(tx, order, advance(State(order.state), State.CANCELLED), now, account_id)
    await work_orders.end_without_work(tx, work_order_id, now)
    visit = await visits.open_of_order(tx, work_order_id)
    if visit is not None:
        await visits.finish(tx, visit.visit_id, now)
    return await _done(tx, order, "cancel_work_order", now, account_id)


async def _done(tx: Transaction, order: WorkOrder, action: str, now: datetime, account_id: int | None) -> WorkOrder:
    await audit.record(tx, Action(account_id, order.customer_id, action, f"work_order:{order.work_order_id}", {"at": now.isoformat()}))
    await announce(tx, "work_order", order.customer_id, order.role_id)
    return await work_orders.get(tx, order.work_order_id) or order
