"""Work orders, their steps and every state they went through."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from vigia.domain.failure_cases import FailureCase
from vigia.domain.work_orders import NewWorkOrder, State
from vigia.store import queries
from vigia.store.database import Transaction


@dataclass(frozen=True)
class WorkOrder:
    """One row of `work_order`, with the serial numbers, the role's name and the failure of its case."""

    work_order_id: int
    customer_id: int
    role_id: int
    asset_id: int
    failure_case_id: int
    failure_mode: str
    kind: str
    state: str
    priority: str
    reason: dict[str, Any]
    created_at: datetime
    due_at: datetime
    finished_at: datetime | None
    verdict: str | None
    cause_code: str | None
    note: str
    replaced_by: int | None
    serial_number: str
    role_name: str
    replaced_by_serial: str | None
    failed_at: datetime | None


@dataclass(frozen=True)
class WorkOrderStep:
    """One step of the job; `code` is translated by the pages."""

    position: int
    code: str
    done_at: datetime | None


@dataclass(frozen=True)
class WorkOrderEvent:
    """One state an order reached; `account_id` is None when no person brought it there."""

    at: datetime
    state: str
    account_id: int | None


@dataclass(frozen=True)
class Findings:
    """What was found and done. `cause_code` is an ISO 14224 failure mechanism."""

    verdict: str
    cause_code: str | None
    note: str
    replaced_by: int | None


async def get(tx: Transaction, work_order_id: int) -> WorkOrder | None:
    """The order, or None if there is none or the caller may not see it."""
    return await queries.first(tx, "work_order", WorkOrder, work_order_id=work_order_id)


async def open_of_asset(tx: Transaction, asset_id: int) -> list[WorkOrder]:
    """The asset's unfinished orders, oldest first."""
    return await queries.rows(tx, "work_orders_open_of_asset", WorkOrder, asset_id=asset_id)


async def to_plan(tx: Transaction) -> list[WorkOrder]:
    """Approved orders that nobody is booked for, most urgent first."""
    return await queries.rows(tx, "work_orders_to_plan", WorkOrder)


async def exists_for_case(tx: Transaction, failure_case_id: int) -> bool:
    """Whether the case has, or had, an order that was not cancelled."""
    found: bool = await queries.value(tx, "work_order_exists_for_case", failure_case_id=failure_case_id)
    return found


async def proved_wrong(tx: Transaction, asset_id: int, failure_mode: str) -> bool:
    """Whether a technician once found nothing of that failure mode on this machine."""
    found: bool = await queries.value(tx, "work_order_proved_wrong", asset_id=asset_id, failure_mode=failure_mode)
    return found


async def raise_order(tx: Transaction, case: FailureCase, new: NewWorkOrder, reason: Mapping[str, object], at: datetime) -> int | None:
    """Raise the order with its steps; its id, or None if one is open for the asset and failure mode."""
    work_order_id: int | None = await queries.value(
        tx,
        "work_order_raise",
        customer_id=case.customer_id,
        role_id=case.role_id,
        asset_id=case.asset_id,
        failure_case_id=case.failure_case_id,
        failure_mode=case.failure_mode,
        kind=new.kind,
        state=new.state,
        priority=new.priority,
        reason=Jsonb(dict(reason)),
        at=at,
        due_at=new.due_at,
    )
    if work_order_id is None:
        return None
    await queries.execute(tx, "work_order_step_add", customer_id=case.customer_id, work_order_id=work_order_id, codes=list(new.steps))
    await _log(tx, work_order_id, new.state, at, None)
    return work_order_id


async def set_state(tx: Transaction, order: WorkOrder, state: State, at: datetime, account_id: int | None = None) -> None:
    """Bring the order to `state` (allowed by the rules: `domain.work_orders.advance`) and log it."""
    await queries.execute(tx, "work_order_state", work_order_id=order.work_order_id, state=state)
    await _log(tx, order.work_order_id, state, at, account_id)


async def make_urgent(tx: Transaction, work_order_id: int, due_at: datetime) -> None:
    """Critical from now on, and due at `due_at`: the machine has failed."""
    await queries.execute(tx, "work_order_urgent", work_order_id=work_order_id, due_at=due_at)


async def finish(tx: Transaction, work_order_id: int, findings: Findings, at: datetime) -> bool:
    """Write down what was found; False if the order was finished before."""
    return (
        await queries.execute(
            tx,
            "work_order_finish",
            work_order_id=work_order_id,
            at=at,
            verdict=findings.verdict,
            cause_code=findings.cause_code,
            note=findings.note,
            replaced_by=findings.replaced_by,
        )
        == 1
    )


async def end_without_work(tx: Transaction, work_order_id: int, at: datetime) -> None:
    """Take a cancelled order off the open ones."""
    await queries.execute(tx, "work_order_end", work_order_id=work_order_id, at=at)


async def steps(tx: Transaction, work_order_id: int) -> list[WorkOrderStep]:
    """The order's steps in their order."""
    return await queries.rows(tx, "work_order_steps", WorkOrderStep, work_order_id=work_order_id)


async def complete_step(tx: Transaction, work_order_id: int, position: int, at: datetime) -> bool:
    """Mark a step done; False if it was done before or does not exist."""
    return await queries.execute(tx, "work_order_step_done", work_order_id=work_order_id, position=position, at=at) == 1


async def complete_all_steps(tx: Transaction, work_order_id: int, at: datetime) -> None:
    """Mark the steps that are left as done."""
    await queries.execute(tx, "work_order_steps_done", work_order_id=work_order_id, at=at)


async def events(tx: Transaction, work_order_id: int) -> list[WorkOrderEvent]:
    """Every state the order reached, oldest first."""
    return await queries.rows(tx, "work_order_events", WorkOrderEvent, work_order_id=work_order_id)


async def _log(tx: Transaction, work_order_id: int, state: State, at: datetime, account_id: int | None) -> None:
    await queries.execute(tx, "work_order_log", work_order_id=work_order_id, at=at, state=state, account_id=account_id)
