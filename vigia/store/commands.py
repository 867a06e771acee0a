"""What machines can be told from afar, and the commands they were given."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from psycopg.types.json import Jsonb

from vigia.domain.commands import NO_ANSWER, NOT_SENT, Outcome, State, Value, Writable
from vigia.store import queries
from vigia.store.database import Transaction


@dataclass(frozen=True)
class Commandable:
    """The device through which a machine can be told what its last birth announced. `online`: its gateway and it are there now."""

    edge_node_id: int
    device_id: str
    customer_id: int
    role_id: int
    online: bool
    writable: Sequence[Mapping[str, Any]]

    @property
    def metrics(self) -> list[Writable]:
        """What can be written."""
        return [Writable(**{**one, "allowed": tuple(one["allowed"])}) for one in self.writable]


@dataclass(frozen=True)
class NewCommand:
    """A command to add. `uid` is its id on the wire, `expires_at` when it is no longer sent."""

    asset_id: int
    uid: UUID
    metric: Writable
    value: Value
    reason: str
    requested_by: int
    expires_at: datetime


@dataclass(frozen=True)
class Command:
    """A command as it stands."""

    command_id: int
    customer_id: int
    role_id: int
    asset_id: int
    metric: str
    value: Value
    critical: bool
    state: State
    requested_by: int
    expires_at: datetime


@dataclass(frozen=True)
class Outgoing:
    """A command to send, and to whom; people stand by name and number, which no two share."""

    command_id: int
    customer_id: int
    role_id: int
    uid: UUID
    group_id: str
    node_id: str
    device_id: str
    metric: str
    datatype: int
    value: Value
    expires_at: datetime
    requested_by: str
    approved_by: Sequence[str]


@dataclass(frozen=True)
class Ended:
    """A command that has just ended, and why if not well."""

    command_id: int
    customer_id: int
    role_id: int
    state: State
    detail: str


@dataclass(frozen=True)
class Result:
    """What a gateway says became of the command `uid` to its device; `at` by its clock."""

    edge_node_id: int
    device_id: str
    uid: UUID
    outcome: Outcome
    reason: str
    at: datetime


def as_kept(metrics: Sequence[Writable]) -> Jsonb:
    """What a birth announces, as the birth is kept."""
    return Jsonb([asdict(one) for one in metrics])


async def commandable(tx: Transaction, asset_id: int) -> Commandable | None:
    """How the machine can be told something where it stands now; None when no gateway speaks for it."""
    return await queries.first(tx, "commandable_of_asset", Commandable, asset_id=asset_id)


async def add(tx: Transaction, to: Commandable, new: NewCommand, now: datetime) -> int | None:
    """The new command's id; None if its uid is known, or another command of that metric has not ended."""
    return cast(
        "int | None",
        await queries.value(
            tx,
            "add_command",
            customer_id=to.customer_id,
            role_id=to.role_id,
            asset_id=new.asset_id,
            edge_node_id=to.edge_node_id,
            device_id=to.device_id,
            uid=new.uid,
            metric=new.metric.name,
            datatype=new.metric.datatype,
            unit=new.metric.unit,
            value=Jsonb(new.value),
            critical=new.metric.critical,
            reason=new.reason,
            now=now,
            account_id=new.requested_by,
            expires_at=new.expires_at,
        ),
    )


async def of_uid(tx: Transaction, uid: UUID) -> Command | None:
    """The command of that id on the wire, or None."""
    return await queries.first(tx, "command_of_uid", Command, uid=uid)


async def locked(tx: Transaction, command_id: int) -> Command | None:
    """The command, locked: one at a time moves it on. None if there is none or the caller may not see it."""
    return await queries.first(tx, "lock_command", Command, command_id=command_id)


async def approvers(tx: Transaction, command_id: int) -> list[int]:
    """Whose approval it has, the first first."""
    rows = await (await tx.execute(queries.sql("command_approvers"), {"command_id": command_id})).fetchall()
    return [account_id for (account_id,) in rows]


async def approve(tx: Transaction, command_id: int, account_id: int, now: datetime) -> None:
    """One more stands behind it."""
    await queries.execute(tx, "approve_command", command_id=command_id, account_id=account_id, now=now)


async def set_state(tx: Transaction, command_id: int, state: State, now: datetime, detail: str = "") -> None:
    """It stands there now; `detail` says why it did not end well."""
    await queries.execute(tx, "set_command_state", command_id=command_id, state=str(state), detail=detail, now=now)


async def sendable(tx: Transaction, now: datetime) -> list[Outgoing]:
    """Commands whose turn it is and whose machine is there, locked; those that another worker sends now are left out."""
    return await queries.rows(tx, "sendable_commands", Outgoing, now=now)


async def sent(tx: Transaction, command_id: int, now: datetime, answers_until: datetime) -> None:
    """It is on its way; its answer is waited for until then."""
    await queries.execute(tx, "command_sent", command_id=command_id, now=now, answers_until=answers_until)


async def end_overdue(tx: Transaction, now: datetime) -> list[Ended]:
    """End what was not sent in time, and what was sent and not answered."""
    return await queries.rows(tx, "end_overdue_commands", Ended, now=now, no_answer=NO_ANSWER, not_sent=NOT_SENT)


async def end(tx: Transaction, result: Result, now: datetime) -> Ended | None:
    """End the command as its gateway says; None if it is none of ours, another device's, or was answered before."""
    return await queries.first(
        tx,
        "end_command",
        Ended,
        edge_node_id=result.edge_node_id,
        device_id=result.device_id,
        uid=result.uid,
        outcome=result.outcome,
        reason=result.reason,
        at=result.at,
        now=now,
    )
