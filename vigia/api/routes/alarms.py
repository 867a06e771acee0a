"""Alarms after ISA-18.2."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from vigia.api.fields import Id, IdFilter, Moment
from vigia.api.paging import Listing, Page, PageAsked, RowModel
from vigia.api.problems import declared
from vigia.api.session import ServiceManager, Staff, Transaction
from vigia.domain.alarms import Shelve, State
from vigia.domain.risk import Priority
from vigia.store import fleet
from vigia.workflows import acknowledge_alarm, shelve_alarm

router = APIRouter(prefix="/api/v1", tags=["alarms"])


class AlarmRow(RowModel):
    """One occurrence of a condition on a machine."""

    alarm_id: int = Field(examples=[15])
    customer_id: int = Field(examples=[2])
    role_id: int = Field(examples=[5])
    role: str = Field(examples=["A320-07 left"])
    asset_id: int = Field(examples=[12])
    serial_number: str = Field(examples=["ESN-0081"])
    condition: str = Field(examples=["failure_predicted:hpc_degradation"])
    failure_case_id: int | None = Field(examples=[8])
    state: State
    priority: Priority
    raised_at: datetime
    acknowledged_at: datetime | None = Field(description="Someone has seen it.")
    confirmed_at: datetime | None = Field(description="Someone has acted on it.")
    cleared_at: datetime | None = Field(description="The condition no longer holds.")
    shelved_until: datetime | None
    reason: dict[str, Any] = Field(
        description="Why it was raised; of a predicted failure also `rule`: `probability` at or above which, `consecutive` times in a row, "
        "and `by_cost`, whether it is the one expected to cost least under the contract or the model's own."
    )


class Shelving(BaseModel):
    """How long an alarm is to be out of sight."""

    model_config = ConfigDict(extra="forbid")

    until: Moment = Field(description="At most 24 hours ahead of fleet time.", examples=["2026-01-03T08:00:00Z"])
    one_shot: bool = Field(default=False, description="End the shelving sooner, when the condition clears.")


ALARMS = Listing("alarms", "list_alarms", AlarmRow, lambda row: row.alarm_id)


@router.get("/alarms", operation_id="list_alarms")
async def list_alarms(
    tx: Transaction,
    asked: PageAsked,
    state: Annotated[Literal["open"] | State | None, Query(description="open: every state but normal.")] = None,
    priority: Annotated[Priority | None, Query()] = None,
    asset_id: IdFilter = None,
) -> Page[AlarmRow]:
    """Alarms, newest first."""
    is_open, exact = (True, None) if state == "open" else (None, state)
    return await ALARMS.page(tx, asked, open=is_open, state=exact, priority=priority, asset_id=asset_id)


@router.get("/alarms/{alarm_id}", operation_id="get_alarm", responses=declared(404))
async def get_alarm(alarm_id: Id, tx: Transaction) -> AlarmRow:
    """One alarm."""
    return await ALARMS.one(tx, alarm_id)


@router.post("/alarms/{alarm_id}/acknowledge", operation_id="acknowledge_alarm", responses=declared(403, 404, 409))
async def acknowledge(alarm_id: Id, caller: Staff, tx: Transaction) -> AlarmRow:
    """Say that you have seen it. Twice changes nothing."""
    await acknowledge_alarm.handle(tx, alarm_id, await fleet.now(tx), caller.account_id)
    return await ALARMS.one(tx, alarm_id)


@router.post("/alarms/{alarm_id}/confirm", operation_id="confirm_alarm", responses=declared(403, 404, 409))
async def confirm(alarm_id: Id, caller: Staff, tx: Transaction) -> AlarmRow:
    """Say that you have acted on it; it is acknowledged already."""
    await acknowledge_alarm.confirm(tx, alarm_id, await fleet.now(tx), caller.account_id)
    return await ALARMS.one(tx, alarm_id)


@router.post("/alarms/{alarm_id}/shelve", operation_id="shelve_alarm", responses=declared(403, 404, 409))
async def shelve(alarm_id: Id, shelving: Shelving, caller: ServiceManager, tx: Transaction) -> AlarmRow:
    """Put it out of sight for a limited time; a second time replaces the first."""
    event = Shelve(shelving.until, one_shot=shelving.one_shot)
    await shelve_alarm.handle(tx, alarm_id, event, await fleet.now(tx), caller.account_id)
    return await ALARMS.one(tx, alarm_id)


@router.post("/alarms/{alarm_id}/unshelve", operation_id="unshelve_alarm", responses=declared(403, 404, 409))
async def unshelve(alarm_id: Id, caller: ServiceManager, tx: Transaction) -> AlarmRow:
    """Bring it back into sight."""
    await shelve_alarm.unshelve(tx, alarm_id, await fleet.now(tx), caller.account_id)
    return await ALARMS.one(tx, alarm_id)
