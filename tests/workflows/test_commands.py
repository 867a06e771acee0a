"""What a machine is told from afar: requested, approved, sent once, ended by its gateway's word or by silence."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest

from vigia.domain.commands import NO_ANSWER, Outcome, Value, Writable
from vigia.domain.errors import InvalidValueError, NotFoundError, TransitionRefusedError
from vigia.store import audit, commands
from vigia.store.commands import Outgoing, Result
from vigia.store.database import Caller, Database
from vigia.workflows import approve_command, end_command, request_command, send_commands, withdraw_command
from vigia.workflows.request_command import Wanted

if TYPE_CHECKING:
    from tests.workflows.conftest import Plant

T0 = datetime(2026, 1, 1, tzinfo=UTC)
STAFF = Caller(staff=True)
ANA, RUI, EVA = 1, 2, 4
SETPOINT = Writable("setpoint", 10, "number", "bar", 2.0, 8.0, (), critical=False)
RESTART = Writable("Device Control/Restart", 11, "boolean", "1", None, None, (True,), critical=True)
SECOND = timedelta(seconds=1)


@dataclass
class Desk:
    """People at work. Asset 1 stands at device R1 of edge node 1 and can be told a set-point and a restart."""

    app: Database
    service: Database

    async def request(self, metric: str = "setpoint", value: Value = 4, who: int = ANA, at: datetime = T0, **other: Any) -> int:  # noqa: ANN401
        async with self.app.transaction(STAFF) as tx:
            wanted = Wanted(metric, value, "too hot", other.pop("valid_for", timedelta(minutes=10)), **other)
            return await request_command.handle(tx, 1, wanted, at, who)

    async def restart(self) -> int:
        return await self.request("Device Control/Restart", value=True)

    async def approve(self, command_id: int, who: int, at: datetime = T0 + SECOND) -> None:
        async with self.app.transaction(STAFF) as tx:
            await approve_command.handle(tx, command_id, at, who)

    async def withdraw(self, command_id: int) -> None:
        async with self.app.transaction(STAFF) as tx:
            await withdraw_command.handle(tx, command_id, T0 + SECOND, RUI)

    async def send(self, at: datetime = T0 + SECOND) -> list[Outgoing]:
        async with self.service.transaction() as tx:
            return await send_commands.handle(tx, at)

    async def says(self, uid: UUID, outcome: Outcome, reason: str = "", device: str = "R1") -> None:
        async with self.service.transaction() as tx:
            await end_command.handle(tx, Result(1, device, uid, outcome, reason, T0 + 3 * SECOND), T0 + 4 * SECOND)

    async def silence(self, at: datetime) -> int:
        async with self.service.transaction() as tx:
            return await end_command.overdue(tx, at)

    async def told(self, command_id: int) -> tuple[str, str]:
        async with self.service.transaction() as tx:
            cursor = await tx.execute("select state, detail from command where command_id = %s", (command_id,))
            row = await cursor.fetchone()
            assert row is not None
            return row[0], row[1]

    async def trail(self, command_id: int) -> list[tuple[str, int | None]]:
        async with self.app.transaction(STAFF) as tx:
            return [(event.action, event.account_id) for event in await audit.of_subject(tx, f"command:{command_id}")]


@pytest.fixture
async def desk(plant: Plant, app_db: Database) -> Desk:
    async with plant.service.transaction() as tx:
        await tx.execute("insert into edge_node (customer_id, site_id, group_id, node_id, online) values (1, 1, 'north', 'mad', true)")
        await tx.execute("update role set edge_node_id = 1, device_id = 'R' || role_id")
        await tx.execute(
            "insert into birth (edge_node_id, device_id, bd_seq, born_at, asset_id, metrics, writable)"
            " values (1, 'R1', 0, now(), 1, '[]', %s)",
            (commands.as_kept([SETPOINT, RESTART]),),
        )
        await tx.execute(
            "insert into account (kind, login, name, password_hash) values ('service_manager', 'eva', 'Eva', ''),"
            " ('service_manager', 'eva2', 'Eva', '')"
        )
    return Desk(app_db, plant.service)


async def test_a_set_point_is_sent_at_once_and_done_when_the_gateway_says_so(desk: Desk) -> None:
    command_id = await desk.request()
    (sent,) = await desk.send()
    assert (sent.group_id, sent.node_id, sent.device_id, sent.metric, sent.value) == ("north", "mad", "R1", "setpoint", 4.0)
    assert (sent.requested_by, sent.approved_by) == ("Ana #1", [])
    assert await desk.send() == []
    await desk.says(sent.uid, "done")
    assert await desk.told(command_id) == ("done", "")
    steps = ["request_command", "send_command", "complete_command"]
    assert await desk.trail(command_id) == list(zip(steps, [ANA, None, None], strict=True))


async def test_a_restart_waits_for_two_people_of_whom_none_requested_it(desk: Desk) -> None:
    command_id = await desk.restart()
    with pytest.raises(TransitionRefusedError, match="two other people"):
        await desk.approve(command_id, ANA)
    for _ in range(2):
        await desk.approve(command_id, EVA)
    assert (await desk.told(command_id))[0] == "requested"
    assert await desk.send() == []
    await desk.approve(command_id, EVA + 1)  # another Eva
    assert (await desk.told(command_id))[0] == "approved"
    (sent,) = await desk.send()
    assert sent.approved_by == ["Eva #4", "Eva #5"]
    assert [step for step, _ in await desk.trail(command_id)] == ["request_command", *["approve_command"] * 2, "send_command"]


async def test_the_database_takes_no_approval_of_the_requester_and_none_twice(desk: Desk) -> None:
    command_id = await desk.restart()
    with pytest.raises(psycopg.errors.CheckViolation):
        async with desk.app.transaction(STAFF) as tx:
            await commands.approve(tx, command_id, ANA, T0)
    await desk.approve(command_id, EVA)
    with pytest.raises(psycopg.errors.UniqueViolation):
        async with desk.app.transaction(STAFF) as tx:
            await commands.approve(tx, command_id, EVA, T0)


async def test_what_needs_no_approval_or_has_ended_or_expired_is_not_approved(desk: Desk) -> None:
    with pytest.raises(TransitionRefusedError, match="needs no approval"):
        await desk.approve(await desk.request(), RUI)
    command_id = await desk.restart()
    with pytest.raises(TransitionRefusedError, match="expired"):
        await desk.approve(command_id, RUI, T0 + timedelta(minutes=10))
    await desk.withdraw(command_id)
    with pytest.raises(TransitionRefusedError, match="withdrawn"):
        await desk.approve(command_id, RUI)
    with pytest.raises(NotFoundError):
        await desk.approve(99, RUI)


async def test_a_machine_is_told_only_what_it_announced(desk: Desk) -> None:
    with pytest.raises(InvalidValueError, match="8 bar or less"):
        await desk.request(value=8.5)
    with pytest.raises(InvalidValueError, match="can be told: setpoint, Device Control/Restart"):
        await desk.request("trim")
    async with desk.app.transaction(STAFF) as tx:
        wanted = Wanted("setpoint", 4, "", timedelta(minutes=1))
        with pytest.raises(InvalidValueError, match="can be told nothing"):
            await request_command.handle(tx, 2, wanted, T0, ANA)
        with pytest.raises(NotFoundError):
            await request_command.handle(tx, 99, wanted, T0, ANA)


async def test_one_command_to_a_metric_at_a_time_and_the_same_key_is_the_same_command(desk: Desk) -> None:
    key = UUID(int=7)
    command_id = await desk.request(key=key)
    assert await desk.request(key=key) == command_id
    with pytest.raises(TransitionRefusedError, match="another command"):
        await desk.request(value=5, key=key)
    with pytest.raises(TransitionRefusedError, match="has not ended"):
        await desk.request(value=5)
    await desk.withdraw(command_id)
    await desk.withdraw(command_id)
    assert await desk.request(key=key) == command_id
    assert await desk.request(value=5) != command_id


async def test_what_was_sent_is_not_taken_back(desk: Desk) -> None:
    command_id = await desk.request()
    await desk.send()
    with pytest.raises(TransitionRefusedError, match="it is sent"):
        await desk.withdraw(command_id)


async def test_of_several_workers_one_sends_it_and_what_came_to_no_commit_is_sent_again(desk: Desk) -> None:
    command_id = await desk.request()

    async def give_up() -> None:
        async with desk.service.transaction() as tx:
            assert len(await send_commands.handle(tx, T0)) == 1
            assert await desk.send() == []  # while the first has it
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await give_up()
    assert [one.command_id for one in await desk.send()] == [command_id]


@pytest.mark.parametrize(
    "change",
    [
        "update edge_node set online = false",
        "update birth set alive = false",
        "update birth set asset_id = 3",
        "update command set expires_at = requested_at + interval '1 second'",
    ],
)
async def test_nothing_is_sent_to_who_is_not_there_or_too_late(desk: Desk, change: str) -> None:
    command_id = await desk.request()
    async with desk.service.transaction() as tx:
        await tx.execute(change.encode())
    assert await desk.send() == []
    assert await desk.silence(T0 + timedelta(minutes=10)) == 1
    assert (await desk.told(command_id))[0] == "expired"


async def test_silence_is_a_failure_until_the_gateway_says_what_it_did(desk: Desk) -> None:
    command_id = await desk.request()
    (sent,) = await desk.send()
    assert await desk.silence(T0 + timedelta(minutes=2)) == 0
    assert await desk.silence(T0 + timedelta(minutes=3)) == 1
    assert await desk.silence(T0 + timedelta(minutes=3)) == 0
    assert await desk.told(command_id) == ("failed", NO_ANSWER)
    await desk.says(sent.uid, "done")
    assert await desk.told(command_id) == ("done", "")
    assert [step for step, _ in await desk.trail(command_id)][2:] == ["fail_command", "complete_command"]


async def test_the_first_result_counts_and_only_from_the_device_it_was_sent_to(desk: Desk) -> None:
    command_id = await desk.request()
    (sent,) = await desk.send()
    await desk.says(sent.uid, "done", device="R2")
    await desk.says(UUID(int=1), "done")
    await desk.says(sent.uid, "refused", "used before: a command of this id has acted")
    assert (await desk.told(command_id))[0] == "sent"
    await desk.says(sent.uid, "refused", "out of range: 4 is above 3 bar")
    await desk.says(sent.uid, "done")
    assert await desk.told(command_id) == ("refused", "out of range: 4 is above 3 bar")


async def test_a_customer_sees_what_its_machine_was_told_and_tells_it_nothing(desk: Desk) -> None:
    command_id = await desk.restart()
    customer = Caller(account_id=3, customer_id=1)
    async with desk.app.transaction(customer) as tx:
        to = await commands.commandable(tx, 1)
        assert to is not None
        assert [one.name for one in to.metrics] == ["setpoint", "Device Control/Restart"]
        assert await commands.locked(tx, command_id) is None  # seen, and not to be changed
        cursor = await tx.execute("select command_id from command")
        assert await cursor.fetchall() == [(command_id,)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with desk.app.transaction(customer) as tx:
            await request_command.handle(tx, 1, Wanted("setpoint", 4, "mine", timedelta(minutes=1)), T0, 3)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with desk.app.transaction(customer) as tx:
            await commands.approve(tx, command_id, 3, T0)
    async with desk.app.transaction(Caller(account_id=9, customer_id=9)) as tx:
        assert await commands.commandable(tx, 1) is None
