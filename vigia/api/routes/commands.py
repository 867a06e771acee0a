"""Commands: what a machine is told from afar, who stands behind it, and what became of it."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, status
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt

from vigia.api.fields import MAX_BIGINT, Id, IdFilter, Name, Text
from vigia.api.paging import Listing, Page, PageAsked, RowModel
from vigia.api.problems import declared
from vigia.api.session import ServiceManager, Staff, Transaction
from vigia.domain.commands import LONGEST, SHORTEST, State
from vigia.workflows import approve_command, request_command, withdraw_command
from vigia.workflows.request_command import Wanted

router = APIRouter(prefix="/api/v1", tags=["commands"])

Value = bool | int | float | str
ValueSent = (
    StrictBool | Annotated[StrictInt, Field(ge=-MAX_BIGINT, le=MAX_BIGINT)] | Annotated[StrictFloat, Field(allow_inf_nan=False)] | Text
)


class Approval(BaseModel):
    """A person who stands behind a critical command."""

    account_id: int = Field(examples=[7])
    name: str | None = Field(examples=["Eva"])
    at: datetime


class CommandRow(RowModel):
    """A command from its request to its end."""

    command_id: int = Field(examples=[3])
    customer_id: int = Field(examples=[2])
    role_id: int = Field(examples=[5])
    role: str = Field(examples=["A320-07 left"])
    asset_id: int = Field(examples=[12])
    serial_number: str = Field(examples=["ESN-0081"])
    uid: UUID = Field(description="Its id on the wire.")
    metric: str = Field(examples=["pressure_setpoint"])
    value: Value = Field(examples=[6.5])
    unit: str = Field(description="UCUM.", examples=["bar"])
    critical: bool = Field(description="Two people who did not request it must approve it.")
    reason: str = Field(examples=["pressure drifts"])
    state: State = Field(
        description="requested; approved: enough people stand behind it; sent; done: the machine said that it did; refused: nothing was "
        "done; failed: it may have acted or not; expired: not sent in time; withdrawn."
    )
    requested_at: datetime
    requested_by: int = Field(description="Account.", examples=[9])
    requester: str | None = Field(description="Name.", examples=["Ana"])
    approvals: list[Approval] = Field(description="The first first.")
    expires_at: datetime = Field(description="It is not sent later.")
    sent_at: datetime | None
    answered_at: datetime | None = Field(description="When the gateway ended it, by its clock.")
    ended_at: datetime | None
    detail: str = Field(description="Why it did not end well.", examples=[""])


class CommandWanted(BaseModel):
    """What to write to which metric, and why."""

    model_config = ConfigDict(extra="forbid")

    metric: Name = Field(description="One of the asset's `commandable`.", examples=["pressure_setpoint"])
    value: ValueSent = Field(description="Of the metric's kind, in its unit and range.", examples=[6.5])
    reason: Name = Field(description="For the record.", examples=["pressure drifts"])
    valid_s: int = Field(
        default=600,
        ge=int(SHORTEST.total_seconds()),
        le=int(LONGEST.total_seconds()),
        description="How long it may wait for its approvers and for the gateway; later it is not sent.",
        examples=[600],
    )
    key: UUID | None = Field(
        default=None,
        description="Made by the caller: asked again with the same key, the same command is answered and none is added.",
        examples=["0b1f6a52-8d3e-4c55-9a53-0a2f6c1f7e11"],
    )


COMMANDS = Listing("commands", "list_commands", CommandRow, lambda row: row.command_id)


@router.get("/commands", operation_id="list_commands")
async def list_commands(
    tx: Transaction,
    asked: PageAsked,
    state: Annotated[Literal["open", "ended"] | State | None, Query(description="open, ended, or one state.")] = None,
    asset_id: IdFilter = None,
) -> Page[CommandRow]:
    """Commands, newest first. A customer sees what its machines were told."""
    is_open = {"open": True, "ended": False}.get(state or "")
    return await COMMANDS.page(tx, asked, open=is_open, state=state if isinstance(state, State) else None, asset_id=asset_id)


@router.get("/commands/{command_id}", operation_id="get_command", responses=declared(404))
async def get_command(command_id: Id, tx: Transaction) -> CommandRow:
    """One command."""
    return await COMMANDS.one(tx, command_id)


@router.post(
    "/assets/{asset_id}/commands", status_code=status.HTTP_201_CREATED, operation_id="request_command", responses=declared(403, 404, 409)
)
async def request(asset_id: Id, wanted: CommandWanted, caller: Staff, tx: Transaction) -> CommandRow:
    """Tell the machine what to do. A critical command is sent when two other people have approved it, another within seconds."""
    order = Wanted(wanted.metric, wanted.value, wanted.reason, timedelta(seconds=wanted.valid_s), wanted.key)
    return await COMMANDS.one(tx, await request_command.handle(tx, asset_id, order, datetime.now(UTC), caller.account_id))


@router.post("/commands/{command_id}/approve", operation_id="approve_command", responses=declared(403, 404, 409))
async def approve(command_id: Id, caller: ServiceManager, tx: Transaction) -> CommandRow:
    """Stand behind a critical command that another person requested. Approving again changes nothing."""
    await approve_command.handle(tx, command_id, datetime.now(UTC), caller.account_id)
    return await COMMANDS.one(tx, command_id)


@router.post("/commands/{command_id}/withdraw", operation_id="withdraw_command", responses=declared(403, 404, 409))
async def withdraw(command_id: Id, caller: Staff, tx: Transaction) -> CommandRow:
    """Take a command back that is not sent yet, whoever requested it. Withdrawing again changes nothing."""
    await withdraw_command.handle(tx, command_id, datetime.now(UTC), caller.account_id)
    return await COMMANDS.one(tx, command_id)
