"""What arrives is stored once and acknowledged after the commit; what cannot be used is set aside with its reason."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import psycopg
import pytest
from ingest_harness import HOUR_MS, LIMITS, START_MS, Edge, Line, check_all_stored_once, letters, line, query, stored

from vigia.ingest.blocks import Block
from vigia.ingest.inbox import Message
from vigia.ingest.write import Written
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.payload import Metric
from vigia.sparkplug.topics import MessageType
from vigia.store.database import DatabaseUnavailableError, TransactionConflictError


async def test_a_batch_is_stored_and_acknowledged(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(*edge.born(), edge.data("R1", 1), edge.data("R2", 1))
    check_all_stored_once(seeded, edge)
    assert wire.host.acknowledged == 2
    assert wire.host.published[-1][0] == "spBv1.0/acme/NCMD/acme-one"


async def test_a_batch_seen_twice_is_stored_once_and_acknowledged_again(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(*edge.born(), edge.data("R1", 1), edge.data("R1", 1, eseq=1, historical=True))
    wire.host.published.clear()
    await wire.hear(edge.data("R1", 1, eseq=1, historical=True))
    check_all_stored_once(seeded, edge)
    assert wire.host.acknowledged == 1


async def test_the_watermark_stops_at_a_hole_and_passes_when_it_is_filled(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(*edge.born(), *(edge.data("R1", hour, eseq=hour) for hour in (1, 2, 5, 6)))
    assert wire.host.acknowledged == 2
    assert query(seeded, "select hole::text from ledger_hole") == [("[3,5)",)]
    await wire.hear(edge.data("R1", 4, eseq=4), edge.data("R1", 3, eseq=3))
    assert wire.host.acknowledged == 6
    check_all_stored_once(seeded, edge)


async def test_two_edges_may_interleave(wire: Line, edge: Edge, seeded: str) -> None:
    other = Edge(node="acme-two")
    births = zip(edge.born(), [other.node_birth(), other.device_birth("R1", "SN-3"), other.device_birth("R2", "SN-4")], strict=True)
    await wire.hear(*(message for pair in births for message in pair))
    data = [(edge.data("R1", hour), other.data("R2", hour)) for hour in range(1, 6)]
    await wire.hear(*(message for pair in data for message in pair))
    check_all_stored_once(seeded, edge, other)
    assert {topic for topic, _ in wire.host.published} == {"spBv1.0/acme/NCMD/acme-one", "spBv1.0/acme/NCMD/acme-two"}


async def test_a_new_epoch_numbers_anew_and_the_old_tail_is_not_forgotten(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(*edge.born(), edge.data("R1", 1))
    edge.eseq = 3
    await wire.hear(edge.heartbeat())
    edge.epoch, edge.eseq = 8, 0
    await wire.hear(*edge.born(), edge.data("R1", 2))
    assert query(seeded, "select epoch, hole::text from ledger_hole") == [(7, "[2,4)")]
    assert query(seeded, "select e.epoch, l.eseqs::text from edge_node e join ledger l using (edge_node_id, epoch)") == [(8, "{[1,2)}")]


async def test_data_before_birth_is_not_acknowledged_but_asked_again(wire: Line, edge: Edge, seeded: str) -> None:
    edge.serials["R1"] = "SN-R1"
    await wire.hear(edge.data("R1", 1))
    assert (wire.host.rebirths, wire.host.acknowledged, stored(seeded)) == (1, None, [])
    await wire.hear(*edge.born(), edge.data("R1", 1, eseq=1, historical=True))
    check_all_stored_once(seeded, edge)


async def test_a_new_connection_to_the_broker_trusts_no_earlier_birth(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(*edge.born())
    edge.session = 2
    await wire.hear(edge.data("R1", 1))
    assert (wire.host.rebirths, stored(seeded)) == (1, [])


async def test_messages_out_of_order_are_put_back_in_order(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(*edge.born())
    first, second, third = (edge.data("R1", hour) for hour in (1, 2, 3))
    await wire.hear_one_by_one(third, second, first)
    check_all_stored_once(seeded, edge)
    assert wire.host.rebirths == 0


async def test_a_lost_message_leads_to_a_rebirth_and_nothing_is_guessed(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(*edge.born())
    edge.device_birth("R1", "SN-new", START_MS + HOUR_MS)  # lost: what follows is another machine's
    await wire.hear(edge.data("R1", 2))
    edge.sent.clear()
    while wire.host.rebirths == 0:
        await wire.pipeline.flush()
    assert stored(seeded) == []
    edge.serials["R1"] = "SN-new"
    await wire.hear(edge.node_birth(), edge.device_birth("R1", "SN-new", START_MS + HOUR_MS), edge.data("R1", 2, eseq=1, historical=True))
    check_all_stored_once(seeded, edge)


async def test_an_unknown_alias_is_set_aside_for_every_birth_was_heard(wire: Line, edge: Edge, seeded: str) -> None:
    known = Metric(None, edge.aliases("R1")["T50"], START_MS, DataType.DOUBLE, 501.0)
    await wire.hear(*edge.born(), edge.raw("R1", [known, Metric(None, 77, START_MS, DataType.DOUBLE, 1.0)]), edge.data("R1", 1))
    edge.sent.add(("SN-R1", "T50", START_MS, 501.0))
    assert (wire.host.rebirths, wire.host.acknowledged) == (0, 2)
    check_all_stored_once(seeded, edge)
    assert letters(seeded) == [("alias of no birth", "in no birth of this device: alias 77")]


async def test_a_foreign_nodes_unknown_alias_is_asked_for_once(wire: Line, seeded: str) -> None:
    edge = Edge(numbered=False)
    await wire.hear(*edge.born())
    for hour in range(1, 4):
        known = Metric(None, edge.aliases("R1")["T50"], START_MS + hour, DataType.DOUBLE, 2.0)
        await wire.hear(edge._message(MessageType.DDATA, [known, Metric(None, 77, START_MS, DataType.DOUBLE, 1.0)], "R1"))
        if hour == 1:
            await wire.hear(*edge.born())
    assert wire.host.rebirths == 1
    assert sum(value == 2.0 for _, _, _, value in stored(seeded)) == 3
    assert letters(seeded) == [("alias of no birth", "in no birth of this device: alias 77")] * 3


async def test_good_metrics_beside_bad_ones_are_stored(wire: Line, edge: Edge, seeded: str) -> None:
    alias = edge.aliases("R1")
    late = 4_102_444_800_000  # 2100
    bad = [
        Metric(None, alias["T50"], START_MS, DataType.DOUBLE, 500.0),
        Metric(None, alias["T50"], late, DataType.DOUBLE, 500.0),
        Metric(None, alias["T50"], 1000, DataType.DOUBLE, 500.0),
        Metric(None, alias["Ps30"], START_MS, DataType.STRING, "hot"),
        Metric(None, alias["cycle"], START_MS, DataType.DOUBLE, 1.5),
    ]
    await wire.hear(*edge.born(), edge.raw("R1", bad))
    assert stored(seeded) == [("SN-R1", "T50", START_MS, 500.0)]
    assert letters(seeded) == [
        ("metrics set aside", "2 x timestamp outside 2000..2100; 2 x value does not fit the data type of the birth"),
    ]
    assert wire.host.acknowledged == 1


async def test_what_is_no_number_is_stored_as_bad(wire: Line, edge: Edge, seeded: str) -> None:
    alias = edge.aliases("R1")["T50"]
    values = [float("nan"), float("inf"), None, 1e300, 1.0]
    metrics = [Metric(None, alias, START_MS + i, DataType.DOUBLE, value) for i, value in enumerate(values)]
    metrics.append(Metric(None, alias, START_MS + 9, DataType.DOUBLE, 2.0, properties={"Quality": 500}))
    await wire.hear(*edge.born(), edge.raw("R1", metrics))
    rows = query(seeded, "select value, quality from telemetry order by ts")
    assert rows == [(None, 0), (None, 0), (None, 192), (1e300, 0), (1.0, 192), (2.0, 500)]
    assert query(seeded, "select count, sum, min, max from rollup_1m") == [(1, 1.0, 1.0, 1.0)]


async def test_negative_integers_survive_the_wire(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(*edge.born(), edge.data("R1", 1, state=-1, cycle=-2))
    assert stored(seeded) == [("SN-R1", "cycle", START_MS + HOUR_MS, -2.0), ("SN-R1", "state", START_MS + HOUR_MS, -1.0)]


async def test_a_delivery_with_poison_is_two_transactions(wire: Line, seeded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of everything that can be used, one of the letters of the rest: however many messages of however many edges are spoilt."""
    edges = {"R1": Edge(), "R2": Edge(node="acme-two")}
    for device, edge in edges.items():
        await wire.hear(*edge.born(device), edge.data(device, 1))
    written: list[str] = []
    for name in ("write_data", "write_letters", "write_session"):
        write = getattr(wire.store, name)

        async def counted(what: object, name: str = name, write: Callable[[object], Awaitable[object]] = write) -> object:
            written.append(name)
            return await write(what)

        monkeypatch.setattr(wire.store, name, counted)
    messages: list[Message] = []
    for hour in range(2, 102):
        for device, edge in edges.items():
            messages.append(edge.data(device, hour))
            if hour % 10 == 0:
                strange = Metric(None, 77, START_MS, DataType.DOUBLE, 1.0)
                changed = Metric(None, edge.aliases(device)["T50"], START_MS, DataType.STRING, "hot")
                messages += [edge.raw(device, [strange]), edge.raw(device, [changed])]
                messages += [Message(f"spBv1.0/acme/{kind}/{edge.node}/{device}", b"\xff%d" % hour, 1) for kind in ("DDATA", "DBIRTH")]
    await wire.hear(*messages)
    assert sorted(written) == ["write_data", "write_letters"]
    check_all_stored_once(seeded, *edges.values())
    assert len(letters(seeded)) == 80


async def test_rubbish_is_set_aside_once_and_spoils_nothing(wire: Line, edge: Edge, seeded: str) -> None:
    rubbish = Message("spBv1.0/acme/DDATA/acme-one/R1", b"\xff\xffrubbish", 1)
    strange = Message("spBv1.0/acme/WHAT/acme-one", b"", 1)
    await wire.hear(*edge.born(), edge.data("R1", 1), rubbish, strange, edge.data("R1", 2), rubbish)
    check_all_stored_once(seeded, edge)
    assert [reason for reason, _ in letters(seeded)] == ["unreadable payload", "not a Sparkplug topic"]


async def test_an_unregistered_node_gets_one_letter_with_the_remedy(wire: Line, seeded: str) -> None:
    stranger = Edge(node="nobody")
    await wire.hear(*stranger.born(), stranger.data("R1", 1))
    await wire.hear(stranger.data("R1", 2))
    found = letters(seeded)
    assert {reason for reason, _ in found} == {"unknown edge node"}
    assert "acme/nobody is registered: add it" in str(found[0][1])
    assert len(found) == 4  # NBIRTH, two DBIRTH, DDATA: one a topic


async def test_an_unknown_device_does_not_block_the_others(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(*edge.born("R1"), edge.device_birth("R9", "SN-9"))
    await wire.hear(edge.data("R9", 1), edge.data("R1", 1), edge.data("R9", 1, eseq=1))
    assert wire.host.acknowledged == 2
    assert {serial for serial, *_ in stored(seeded)} == {"SN-R1"}
    assert [reason for reason, _ in letters(seeded)] == ["unknown device", "unknown device"]
    assert query(seeded, "select eseqs::text, reason from tombstone") == [("[1,2)", "unknown device")]


async def test_values_that_the_database_refuses_do_not_block_the_others(wire: Line, edge: Edge, seeded: str) -> None:
    trap = """
    create function trap() returns trigger language plpgsql as $$ begin
        if exists (select from new_rows where value = 13) then raise exception 'cannot keep 13' using errcode = '22000'; end if;
        return null;
    end $$;
    """
    with psycopg.connect(seeded, options="-c search_path=vigia") as connection:
        connection.execute(trap)
        connection.execute(
            "create trigger trap after insert on telemetry referencing new table as new_rows for each statement execute function trap()"
        )
    await wire.hear(*edge.born(), edge.data("R1", 1), edge.data("R1", 2, T50=13.0), edge.data("R1", 3))
    edge.sent = {row for row in edge.sent if row[3] != 13.0}
    check_all_stored_once(seeded, edge)
    assert wire.host.acknowledged == 3
    assert letters(seeded) == [("refused by the database", "cannot keep 13")]


async def test_a_tombstone_explains_a_hole(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(*edge.born(), edge.data("R1", 1), edge.data("R1", 4, eseq=4))
    await wire.hear(edge.tombstone(json.dumps({"epoch": 7, "from": 2, "to": 3, "reason": "disk full"})))
    assert wire.host.acknowledged == 4
    check_all_stored_once(seeded, edge)
    await wire.hear(edge.tombstone("{}"))
    assert letters(seeded)[0][0] == "unreadable tombstone"


async def test_a_heartbeat_shows_a_lost_tail(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(*edge.born(), edge.data("R1", 1))
    edge.eseq = 3
    await wire.hear(edge.heartbeat())
    assert query(seeded, "select hole::text from ledger_hole") == [("[2,4)",)]
    assert wire.host.acknowledged == 1


async def test_a_foreign_node_is_stored_without_ledger_births_included(wire: Line, seeded: str) -> None:
    foreign = Edge(numbered=False)
    await wire.hear(foreign.node_birth(), foreign.device_birth("R1", None, START_MS))
    assert {(serial, name) for serial, name, *_ in stored(seeded)} == {("R1 (device)", name) for name in ("state", "cycle", "T50", "Ps30")}
    foreign.serials["R1"] = "R1 (device)"
    await wire.hear(foreign.data("R1", 1, T50=500.0))
    assert ("R1 (device)", "T50", START_MS + HOUR_MS, 500.0) in stored(seeded)
    assert query(seeded, "select * from ledger") == []


async def test_a_foreign_node_is_born_again_and_goes_on(wire: Line, seeded: str) -> None:
    foreign = Edge(numbered=False)
    await wire.hear(*foreign.born(), foreign.data("R1", 1, T50=500.0))
    node_again, *devices_again = foreign.born()
    await wire.hear(node_again)
    await wire.hear(*devices_again, foreign.data("R1", 2, T50=501.0))
    assert wire.host.rebirths == 0
    assert {value for *_, value in stored(seeded)} >= {500.0, 501.0}


async def test_death_and_birth_say_who_is_online(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(*edge.born(), edge.data("R1", 1))
    await wire.hear(edge.node_death(bd_seq=5))
    assert query(seeded, "select online from edge_node where node_id = 'acme-one'") == [(True,)]
    await wire.hear(edge.node_death())
    assert query(seeded, "select online from edge_node where node_id = 'acme-one'") == [(False,)]
    assert query(seeded, "select distinct quality from point_latest") == [(500,)]
    await wire.hear(*edge.born(), edge.data("R1", 2))
    assert query(seeded, "select distinct quality from point_latest") == [(192,)]


STATE_JOBS = "select args from procrastinate_jobs where task_name = 'record_state'"
QUALITIES = "select name, quality from point_latest join point using (point_id) order by name"


@pytest.mark.parametrize("whose", ["node", "device"])
async def test_what_a_birth_repeats_stands_again_and_is_not_stored_again(wire: Line, edge: Edge, seeded: str, whose: str) -> None:
    """A point that never changes tells nothing more after the birth; what it told before is how things are."""
    await wire.hear(*edge.born("R1"), edge.data("R1", 1), edge.data("R1", 2, T50=501.0))
    truth, jobs = stored(seeded), query(seeded, STATE_JOBS)
    await wire.hear(edge.node_death() if whose == "node" else edge.device_death("R1"))
    assert {quality for _, quality in query(seeded, QUALITIES)} == {500}
    # One that the host does not have yet comes in a batch; what is older than what it has tells nothing.
    repeats = {"state": (1, 1, 192), "cycle": (2, 7, 192), "T50": (1, 501.0, 192), "Ps30": (1, 48.0, 64)}
    births = [edge.node_birth()] if whose == "node" else []
    await wire.hear(*births, edge.device_birth("R1", "SN-R1", repeats=repeats))
    assert query(seeded, QUALITIES) == [("Ps30", 64), ("T50", 500), ("cycle", 500), ("state", 192)]
    assert (stored(seeded), query(seeded, STATE_JOBS)) == (truth, jobs)
    await wire.hear(edge.data("R1", 2, cycle=7))
    assert query(seeded, QUALITIES) == [("Ps30", 64), ("T50", 500), ("cycle", 192), ("state", 192)]


async def test_a_dead_device_is_stale_since_its_death_and_a_dead_node_since_we_heard(wire: Line, edge: Edge, seeded: str) -> None:
    def dead_since() -> list[tuple[object, ...]]:
        return query(seeded, "select device_id, alive, (extract(epoch from died_at) * 1000)::bigint from birth order by 1")

    def qualities(device: str) -> set[object]:
        rows = query(seeded, "select serial_number, quality from point_latest join point using (point_id) join asset using (asset_id)")
        return {quality for serial, quality in rows if serial == f"SN-{device}"}

    await wire.hear(*edge.born(), edge.data("R1", 1), edge.data("R2", 1, cycle=1, T50=float("nan")))
    assert dead_since() == [("", True, None), ("R1", True, None), ("R2", True, None)]
    await wire.hear(edge.device_death("R1"))
    assert dead_since() == [("", True, None), ("R1", False, START_MS), ("R2", True, None)]
    assert (qualities("R1"), qualities("R2")) == ({500}, {0, 192})
    before = time.time() * 1000
    await wire.hear(edge.node_death())
    (_, node, died), (_, _, earlier), (_, device, followed) = dead_since()
    assert (node, device, earlier) == (False, False, START_MS)
    assert died == followed
    assert before - 1 <= int(str(died)) <= time.time() * 1000
    assert qualities("R2") == {500}
    await wire.hear(*edge.born())
    assert dead_since() == [("", True, None), ("R1", True, None), ("R2", True, None)]


async def test_late_data_does_not_replace_newer_values(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(*edge.born(), edge.data("R1", 5, T50=505.0))
    await wire.hear(edge.data("R1", 4, T50=504.0, historical=True))
    assert query(seeded, "select value from point_latest") == [(505.0,)]
    assert query(seeded, "select (extract(epoch from last_reading_at) * 1000)::bigint from edge_node where node_id = 'acme-one'") == [
        (START_MS + 5 * HOUR_MS,)
    ]


async def test_two_workers_given_the_same_batches_store_them_once(either_seeded: str, edge: Edge) -> None:
    async with line(either_seeded) as one, line(either_seeded) as two:
        births = edge.born()
        await one.hear(*births)
        await two.hear(*births)
        for start in range(1, 50, 10):
            messages = [edge.data("R1", hour) for hour in range(start, start + 10)]
            for message in messages:
                one.inbox.put(message)
                two.inbox.put(message)
            await asyncio.gather(one.pipeline.flush(), two.pipeline.flush())
        check_all_stored_once(either_seeded, edge)
        assert one.host.acknowledged == two.host.acknowledged == 50


async def test_while_the_database_is_away_nothing_is_acknowledged_and_edges_are_told_to_wait(
    seeded: str, edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with line(seeded, replace(LIMITS, offline_after_s=0.1)) as one:
        await one.hear(*edge.born())
        one.host.published.clear()
        write, refusals = one.store.write_data, iter(range(4))

        async def away(block: Block) -> Written:
            if (number := next(refusals, None)) is not None:
                raise TransactionConflictError if number % 2 else DatabaseUnavailableError
            assert one.host.acknowledged is None
            return await write(block)

        monkeypatch.setattr(one.store, "write_data", away)
        await one.hear(edge.data("R1", 1))
        assert one.host.acknowledged == 1
        assert one.host.paused > 0
        assert one.host.resumed == 1
    check_all_stored_once(seeded, edge)


async def test_a_lost_acknowledgement_and_a_new_process_double_nothing(seeded: str, edge: Edge) -> None:
    async with line(seeded) as one:
        await one.hear(*edge.born(), *(edge.data("R1", hour) for hour in range(1, 6)))
    async with line(seeded) as two:
        edge.session = 1
        await two.hear(*edge.born())
        assert two.host.acknowledged == 5
        await two.hear(*(edge.data("R1", hour, eseq=hour, historical=True) for hour in range(1, 6)))
        assert two.host.acknowledged == 5
    check_all_stored_once(seeded, edge)


async def test_a_fault_of_our_own_keeps_the_batch_at_the_edge(wire: Line, edge: Edge, seeded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await wire.hear(*edge.born())
    write = wire.store.write_data

    async def faulty(block: Block) -> Written:
        if 2 in block.eseq:
            raise ZeroDivisionError
        return await write(block)

    monkeypatch.setattr(wire.store, "write_data", faulty)
    await wire.hear(edge.data("R1", 1), edge.data("R1", 2), edge.data("R1", 3))
    assert wire.host.acknowledged == 1
    assert [reason for reason, _ in letters(seeded)] == ["internal error"]
    monkeypatch.undo()
    await wire.hear(edge.data("R1", 2, eseq=2))
    assert wire.host.acknowledged == 3
    check_all_stored_once(seeded, edge)
