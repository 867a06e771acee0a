"""Commands go out as DCMDs, and their results come in with the batch that holds them."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from ingest_harness import START_MS, Edge, Line, Quiet, check_all_stored_once, letters, query
from test_command_results import RESULT, commandable

from vigia.ingest.sender import Sender
from vigia.sparkplug import names
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.payload import Metric
from vigia.store.database import Caller, Database
from vigia.workflows import request_command
from vigia.workflows.request_command import Wanted

STATES = "select state, detail from command order by command_id"


class Plugged(Quiet):
    """A host that writes down what it was to publish; whether a broker is there can be said."""

    connected = True


@pytest.fixture
async def database(seeded: str) -> AsyncIterator[Database]:
    async with Database(seeded, "vigia_service", max_size=3) as one:
        yield one


async def told(wire: Line, edge: Edge, database: Database, name: str = "Device Control/Restart", value: Any = True) -> UUID:  # noqa: ANN401, FBT002
    """The machine at R1 is born and has been requested to do this; the command's id on the wire."""
    await wire.hear(edge.node_birth(), commandable(edge.device_birth("R1", "SN-R1")))
    async with database.transaction(Caller(staff=True)) as tx:
        await tx.execute("insert into account (kind, login, name, password_hash) values ('technician', 'ana', 'Ana', '')")
        wanted = Wanted(name, value, "hot", timedelta(minutes=10), UUID(int=5))
        await request_command.handle(tx, 1, wanted, datetime.now(UTC), 1)
    return UUID(int=5)


def result(uid: object, outcome: str = "done", reason: str = "") -> Metric:
    text = json.dumps({"id": str(uid), "command": "c", "outcome": outcome, "reason": reason, "at": START_MS})
    return Metric(None, RESULT, START_MS, DataType.STRING, text)


async def test_a_command_is_published_once_with_its_words_while_a_broker_is_there(wire: Line, edge: Edge, database: Database) -> None:
    uid = await told(wire, edge, database)
    host = Plugged()
    sender, now = Sender(database, host), datetime.now(UTC)
    host.connected = False
    await sender.look(now)
    assert host.published == []
    host.connected = True
    await sender.look(now)
    await sender.look(now)
    ((topic, payload),) = host.published
    assert topic == "spBv1.0/acme/DCMD/acme-one/R1"
    written, words = payload.metrics
    assert (written.name, written.value, written.datatype, payload.seq) == ("Device Control/Restart", True, DataType.BOOLEAN, None)
    said = json.loads(str(words.value))
    assert words.name == names.COMMAND
    assert said == {
        "id": str(uid),
        "issued_at": payload.timestamp,
        "expires_at": (payload.timestamp or 0) + 60_000,
        "requested_by": "Ana #1",
        "approved_by": [],
    }


async def test_a_result_ends_its_command_with_the_batch_and_the_first_counts(
    wire: Line, edge: Edge, database: Database, seeded: str
) -> None:
    uid = await told(wire, edge, database)
    await Sender(database, Plugged()).look(datetime.now(UTC))
    assert query(seeded, STATES) == [("sent", "")]
    first, second = edge.raw("R1", [result(uid, "failed", "no answer of the machine")]), edge.raw("R1", [result(uid)])
    await wire.hear(edge.data("R1", 1), first, second, edge.data("R1", 2))
    assert query(seeded, STATES) == [("failed", "no answer of the machine")]
    check_all_stored_once(seeded, edge)
    assert (wire.host.acknowledged, letters(seeded)) == (4, [])


async def test_a_batch_that_is_not_committed_ends_nothing(wire: Line, edge: Edge, database: Database, seeded: str) -> None:
    uid = await told(wire, edge, database)
    await Sender(database, Plugged()).look(datetime.now(UTC))
    await wire.hear(edge.raw("R1", [result(UUID(int=1), "refused", "no")]))
    await wire.hear(edge.raw("R1", [result(uid)], eseq=1))  # a number that the ledger has
    assert query(seeded, STATES) == [("sent", "")]
    await wire.hear(edge.raw("R1", [result(uid)]))
    assert query(seeded, STATES) == [("done", "")]


async def test_silence_ends_it_and_a_late_word_corrects_that(wire: Line, edge: Edge, database: Database, seeded: str) -> None:
    uid = await told(wire, edge, database)
    sender = Sender(database, Plugged())
    await sender.look(datetime.now(UTC))
    await sender.look(datetime.now(UTC) + timedelta(minutes=3))
    assert query(seeded, "select state, answered_at from command") == [("failed", None)]
    await wire.hear(edge.raw("R1", [result(uid)]))
    assert query(seeded, STATES) == [("done", "")]


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[]",
        '{"id": "x"}',
        '{"id": "x", "outcome": "perhaps", "at": 1767225600000}',
        '{"outcome": "done", "at": "now"}',
        "[" * 50_000,
    ],
)
async def test_a_result_that_nobody_can_read_is_a_letter_and_its_batch_counts(wire: Line, edge: Edge, seeded: str, text: str) -> None:
    await wire.hear(edge.node_birth(), commandable(edge.device_birth("R1", "SN-R1")))
    await wire.hear(edge.raw("R1", [Metric(None, RESULT, START_MS, DataType.STRING, text)]), edge.data("R1", 1))
    assert [reason for reason, _ in letters(seeded)] == ["unreadable command result"]
    check_all_stored_once(seeded, edge)


@pytest.mark.parametrize("words", [{"id": None}, {"id": "another host's"}, {"id": [1]}, {"reason": "\x00 nul"}])
async def test_results_of_other_hosts_commands_are_nobodys(wire: Line, edge: Edge, seeded: str, words: dict[str, object]) -> None:
    await wire.hear(edge.node_birth(), commandable(edge.device_birth("R1", "SN-R1")))
    text = json.dumps({"id": str(UUID(int=1)), "outcome": "refused", "reason": "", "at": START_MS, **words})
    await wire.hear(edge.raw("R1", [Metric(None, RESULT, START_MS, DataType.STRING, text)]), edge.data("R1", 1))
    assert letters(seeded) == []
    check_all_stored_once(seeded, edge)


async def test_a_value_that_cannot_be_put_on_the_wire_is_refused_here(wire: Line, edge: Edge, database: Database, seeded: str) -> None:
    await told(wire, edge, database, "Device Control/Trim", 5)
    async with database.transaction() as tx:
        await tx.execute("update command set value = '\"high\"'")
    host = Plugged()
    await Sender(database, host).look(datetime.now(UTC))
    assert host.published == []
    assert query(seeded, STATES) == [("refused", "metric 'Device Control/Trim': 'high' (str) cannot be sent as DOUBLE")]
