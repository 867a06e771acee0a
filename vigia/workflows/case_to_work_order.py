"""A failure case becomes a work order here, and nowhere else."""

from datetime import datetime

from vigia.domain import work_orders as rules
from vigia.domain.failure_cases import FailureCase
from vigia.domain.risk import Priority, priority_of
from vigia.domain.work_orders import Autonomy, State
from vigia.store import causes, contracts, failure_cases, work_orders
from vigia.store.changes import announce
from vigia.store.database import Transaction
from vigia.store.locks import lock_role
from vigia.workflows.jobs import defer


async def handle(tx: Transaction, failure_case_id: int, autonomy: Autonomy, now: datetime) -> int | None:
    """The work order's id, or None if none is due or the case has one already."""
    seen = await failure_cases.get(tx, failure_case_id)
    if seen is None:
        return None
    await lock_role(tx, seen.role_id)
    case = await failure_cases.get(tx, failure_case_id)
    contract = await contracts.in_force(tx, seen.customer_id, now)
    if case is None or contract is None or await work_orders.exists_for_case(tx, failure_case_id):
        return None
    priority, reason = await _reason(tx, case)
    stage = rules.autonomy_after(autonomy, proved_wrong=await work_orders.proved_wrong(tx, case.asset_id, case.failure_mode))
    new = rules.work_order_for(case, contract, stage, priority, now)
    work_order_id = None if new is None else await work_orders.raise_order(tx, case, new, reason, now)
    if new is None or work_order_id is None:
        return None
    if new.state is State.APPROVED:
        await defer(tx, "dispatch_day", at=now)
    await announce(tx, "work_order", case.customer_id, case.role_id)
    return work_order_id


async def _reason(tx: Transaction, case: FailureCase) -> tuple[Priority, dict[str, object]]:
    """How urgent the prediction was and what it said; a failure adds its time."""
    cause = None if case.prediction_id is None else await causes.prediction(tx, case.prediction_id)
    priority, reason = Priority.MEDIUM, dict[str, object]()
    if cause is not None:
        priority, reason = priority_of(cause.life_p50), cause.reason(await causes.rule(tx, cause, case.model_rule_id))
    if case.failed_at is not None:
        reason = {**reason, "failed_at": case.failed_at.isoformat()}
    return priority, reason
