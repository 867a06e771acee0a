"""Alarms after ISA-18.2."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from vigia.api.fields import Id, IdFilter
from vigia.api.paging import Listing, Page, PageAsked, RowModel
from vigia.api.problems import declared
from vigia.api.session import Transaction
from vigia.domain.alarms import State
from vigia.domain.risk import Priority

router = APIRouter(tags=["alarms"])


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
    reason: dict[str, Any] = Field(description="Why it was raised.")


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
