"""A technician ticks a step of the job here."""

from datetime import datetime

from vigia.domain.errors import NotFoundError, TransitionRefusedError
from vigia.domain.work_orders import State
from vigia.store import audit, work_orders
from vigia.store.audit import Action
from vigia.store.changes import announce
from vigia.store.database import Transaction
from vigia.store.work_orders import WorkOrderStep
from vigia.workflows.start_work_order import locked


async def handle(tx: Transaction, work_order_id: int, position: int, now: datetime, account_id: int | None) -> WorkOrderStep:
    """The step, done. Ticking it again keeps the first time.

    Raises NotFoundError for an unknown order or step, TransitionRefusedError unless the order is in progress.
    """
    order = await locked(tx, work_order_id)
    if position not in {step.position for step in await work_orders.steps(tx, work_order_id)}:
        raise NotFoundError
    if order.state != State.IN_PROGRESS and order.finished_at is None:
        raise TransitionRefusedError("The work order is not in progress; start it first.")
    if order.finished_at is None and await work_orders.complete_step(tx, work_order_id, position, now):
        detail = {"at": now.isoformat(), "position": position}
        await audit.record(tx, Action(account_id, order.customer_id, "complete_step", f"work_order:{work_order_id}", detail))
        await announce(tx, "work_order", order.customer_id, order.role_id)
    return next(step for step in await work_orders.steps(tx, work_order_id) if step.position == position)
