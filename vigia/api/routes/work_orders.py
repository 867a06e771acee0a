"""Work orders: found, started, done step by step, finished with a verdict."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from vigia.api.fields import Id, IdFilter, Moment, Name, Text
from vigia.api.paging import Listing, Page, PageAsked, RowModel
from vigia.api.problems import declared
from vigia.api.session import Caller, ServiceManager, Technician, Transaction
from vigia.domain.risk import Priority
from vigia.domain.work_orders import Kind, State, Verdict
from vigia.store import fleet, work_orders
from vigia.workflows import approve_work_order, complete_step, finish_work_order, start_work_order
from vigia.workflows.finish_work_order import WorkReport

router = APIRouter(prefix="/api/v1", tags=["work"])


class WorkOrderRow(RowModel):
    """Work to be done on a machine, and its visit."""

    work_order_id: int = Field(examples=[4])
    customer_id: int = Field(examples=[2])
    role_id: int = Field(examples=[5])
    role: str = Field(examples=["A320-07 left"])
    site_id: int = Field(examples=[3])
    site: str = Field(examples=["Barcelona"])
    time_zone: str = Field(description="Of the site.", examples=["Europe/Madrid"])
    asset_id: int = Field(examples=[12])
    serial_number: str = Field(examples=["ESN-0081"])
    failure_case_id: int = Field(examples=[8])
    failure_mode: str = Field(examples=["hpc_degradation"])
    kind: Kind = Field(description="predictive: before the failure; corrective: after it.")
    state: State
    priority: Priority
    reason: dict[str, Any] = Field(description="The prediction as it stood when the order was raised, and the `rule` by which it was.")
    created_at: datetime
    due_at: datetime
    finished_at: datetime | None
    verdict: Verdict | None = Field(description="Was the prediction right?")
    cause_code: str | None = Field(description="ISO 14224 failure mechanism.", examples=["2.4"])
    note: str
    replaced_by_serial: str | None = Field(description="The machine that took the role.", examples=["ESN-S003"])
    visit_id: int | None = Field(examples=[6])
    technician_id: int | None = Field(description="The technician's account.", examples=[9])
    planned_from: datetime | None
    planned_until: datetime | None
    started_at: datetime | None


class Step(BaseModel):
    """One step of the job."""

    model_config = ConfigDict(from_attributes=True)

    position: int = Field(examples=[1])
    code: str = Field(examples=["secure_aircraft"])
    done_at: datetime | None


class OrderEvent(BaseModel):
    """One state the order reached; account_id is null when no person brought it there."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    state: State
    account_id: int | None


class WorkOrder(WorkOrderRow):
    """A work order with its steps and its history."""

    steps: list[Step]
    events: list[OrderEvent] = Field(description="Oldest first.")


class Done(BaseModel):
    """When it was done, by the technician's device."""

    model_config = ConfigDict(extra="forbid")

    at: Moment = Field(examples=["2026-01-02T08:00:00Z"])


class Report(Done):
    """What was found and done."""

    verdict: Verdict = Field(description="Was the prediction right?")
    cause_code: Name | None = Field(default=None, description="ISO 14224 failure mechanism.", examples=["2.4"])
    note: Text = Field(default="", examples=["Rubbing marks on stage 5."])
    replaced_by_serial: Name | None = Field(
        default=None,
        description="The machine that took the role. Null: the first serviceable spare, or with the verdict wrong no change.",
        examples=["ESN-S003"],
    )


class Finished(BaseModel):
    """What came of a finished order."""

    model_config = ConfigDict(from_attributes=True)

    work_order_id: int = Field(examples=[4])
    finished_at: datetime
    verdict: Verdict
    serial_number: str = Field(examples=["ESN-0081"])
    replaced_by_serial: str | None = Field(description="Null: the machine stayed.", examples=["ESN-S003"])


@dataclass(frozen=True)
class WorkOrderFilter:
    """Which orders."""

    state: Annotated[Literal["open", "finished"] | State | None, Query(description="open, finished, or one state.")] = None
    asset_id: IdFilter = None
    mine: Annotated[bool, Query(description="Only those whose visit is the caller's.")] = False


WORK_ORDERS = Listing("work-orders", "list_work_orders", WorkOrderRow, lambda row: row.work_order_id)


@router.get("/work-orders", operation_id="list_work_orders")
async def list_work_orders(
    caller: Caller, tx: Transaction, asked: PageAsked, only: Annotated[WorkOrderFilter, Depends()]
) -> Page[WorkOrderRow]:
    """Work orders, newest first, each with its newest visit."""
    return await WORK_ORDERS.page(
        tx,
        asked,
        open={"open": True, "finished": False}.get(only.state or ""),
        state=only.state if isinstance(only.state, State) else None,
        asset_id=only.asset_id,
        technician_id=caller.account_id if only.mine else None,
    )


@router.get("/work-orders/{work_order_id}", operation_id="get_work_order", responses=declared(404))
async def get_work_order(work_order_id: Id, tx: Transaction) -> WorkOrder:
    """One work order with its steps and history."""
    row = await WORK_ORDERS.one(tx, work_order_id)
    steps = [Step.model_validate(step) for step in await work_orders.steps(tx, work_order_id)]
    events = [OrderEvent.model_validate(event) for event in await work_orders.events(tx, work_order_id)]
    return WorkOrder(**row.model_dump(), steps=steps, events=events)


@router.post("/work-orders/{work_order_id}/approve", operation_id="approve_work_order", responses=declared(403, 404, 409))
async def approve(work_order_id: Id, caller: ServiceManager, tx: Transaction) -> WorkOrder:
    """Let a drafted order go to dispatch."""
    await approve_work_order.handle(tx, work_order_id, await fleet.now(tx), caller.account_id)
    return await get_work_order(work_order_id, tx)


@router.post("/work-orders/{work_order_id}/cancel", operation_id="cancel_work_order", responses=declared(403, 404, 409))
async def cancel(work_order_id: Id, caller: ServiceManager, tx: Transaction) -> WorkOrder:
    """Call the order off before work has begun; its failure case stays open."""
    await approve_work_order.cancel(tx, work_order_id, await fleet.now(tx), caller.account_id)
    return await get_work_order(work_order_id, tx)


@router.post("/work-orders/{work_order_id}/start", operation_id="start_work_order", responses=declared(403, 404, 409))
async def start(work_order_id: Id, done: Done, caller: Technician, tx: Transaction) -> WorkOrder:
    """Begin the work. Starting again changes nothing."""
    await start_work_order.handle(tx, work_order_id, done.at, caller.account_id)
    return await get_work_order(work_order_id, tx)


@router.post(
    "/work-orders/{work_order_id}/steps/{position}/done", operation_id="complete_work_order_step", responses=declared(403, 404, 409)
)
async def step_done(
    work_order_id: Id, position: Annotated[int, Path(ge=1, le=32767)], done: Done, caller: Technician, tx: Transaction
) -> Step:
    """Tick a step. Ticking again keeps the first time."""
    return Step.model_validate(await complete_step.handle(tx, work_order_id, position, done.at, caller.account_id))


@router.post("/work-orders/{work_order_id}/finish", operation_id="finish_work_order", responses=declared(403, 404, 409))
async def finish(work_order_id: Id, report: Report, caller: Technician, tx: Transaction) -> Finished:
    """Finish the work: verdict, cause, and the machine that took the role. Finishing again returns what was written first."""
    work = WorkReport(report.verdict, report.cause_code, report.note, report.replaced_by_serial)
    return Finished.model_validate(await finish_work_order.handle(tx, work_order_id, work, report.at, caller.account_id))
