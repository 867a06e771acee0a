"""Row 11: one edge node sends what nobody can use, amid the good traffic of others and its own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from chaos_account import Account, query
from chaos_fleet import GROUP, HZ, START_MS, Wire, device_id, node_id, prepare
from chaos_plant import plant
from chaos_processes import wait_for
from ingest_harness import HOUR_MS, POINTS, Edge

from vigia.ingest.inbox import Message
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.payload import Metric, Payload, encode
from vigia.sparkplug.topics import MessageType, Topic
from vigia.supervisor.broker import RunningBroker

SEED = 11
POISONER = 2  # the number of the node; its machine's points are those of Edge
DEVICE = device_id(POISONER, 0)
BAD_NUMBERS = (float("nan"), float("inf"), float("-inf"))
BAD_UTF8 = b"\x12\x08\x0a\x02\xff\xfe" + b"\x20\x03\x50\x01"  # a metric with such a name, data type and value
REASONS = {
    "not a protobuf message of Sparkplug B": "unreadable payload",
    "bytes, more than the": "unreadable payload",
    "metrics, more than the": "unreadable payload",
    "UTF-8": "unreadable payload",
    "in no birth of this device": "alias of no birth",
    "does not fit the data type of the birth": "metrics set aside",
}
"""By what their details say: a letter of each for every round."""


def unusable(edge: Edge, number: int, rng: np.random.Generator) -> list[Message]:
    """Messages no two of which are the same; those that cannot be read count for no number of the session."""
    data = str(Topic(edge.group, MessageType.DDATA, edge.node, DEVICE))
    birth = str(Topic(edge.group, MessageType.DBIRTH, edge.node, DEVICE))
    at = START_MS + number * HOUR_MS
    many = [Metric(f"point {n}", 1000 + n, at, DataType.DOUBLE, float(number)) for n in range(10_000)]
    alias = edge.aliases(DEVICE)
    return [
        Message(data, b"\xff" + rng.bytes(60), 1),
        Message(data, rng.bytes(1_200_000), 1),
        Message(birth, encode(Payload(at, tuple(many), 0)), 1),
        Message(birth, encode(Payload(at, (), 0)) + BAD_UTF8, 1),
        edge._message(MessageType.DDATA, [Metric(None, 7_777, at, DataType.DOUBLE, 1.0)], DEVICE),
        edge._message(MessageType.DDATA, [Metric(None, alias["T50"], at, DataType.STRING, "hot")], DEVICE),
    ]


def odd(edge: Edge, number: int, value: float) -> Message:
    """A number that is none: its reading is kept without it, as bad."""
    at = START_MS + number * HOUR_MS + 1
    return edge._message(MessageType.DDATA, [Metric(None, edge.aliases(DEVICE)["Ps30"], at, DataType.DOUBLE, value)], DEVICE)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("rounds", [pytest.param(5, id="short"), pytest.param(500, id="full", marks=pytest.mark.chaos)])
def test_poison_is_set_aside_with_its_reason_and_spoils_nothing(
    either_dsn: str, broker: RunningBroker, tmp_path: Path, keep: Callable[[Account], None], rounds: int
) -> None:
    prepare(either_dsn, nodes=POISONER + 1)
    rng = np.random.default_rng(SEED)
    edge = Edge(group=GROUP, node=node_id(POISONER), numbered=False)
    with plant(tmp_path, either_dsn, broker.url, hours=HZ * (rounds + 300)) as one, Wire(broker.port) as wire:
        with one.fault():
            wire.send(edge.born(DEVICE))
            for number in range(1, rounds + 1):
                wire.send([*unusable(edge, number, rng), odd(edge, number, BAD_NUMBERS[number % 3]), edge.data(DEVICE, number)])
        letters = "select reason, detail from dead_letter where topic ~ '/node-2(/|$)'"
        its_own = (
            "select name, (extract(epoch from ts) * 1000)::bigint, value, quality from telemetry join point using (point_id)"
            " join asset using (asset_id) where serial_number = 'SN-N2R0' and ts > '2026-01-01 00:00Z'"
        )
        wait_for(lambda: len(query(either_dsn, its_own)) >= rounds * (len(POINTS) + 1), "the poisoner's own good readings")
        wait_for(lambda: len(query(either_dsn, letters)) >= rounds * len(REASONS), "letters")
        one.all_stored()
        found = query(either_dsn, letters)
        good = {(f"SN-{DEVICE}", name, ts, value) for name, ts, value, quality in query(either_dsn, its_own) if quality == 192}
        bad = [(name, value) for name, _, value, quality in query(either_dsn, its_own) if quality == 0]
        account = one.account(
            11,
            f"{rounds} rounds of {len(REASONS) + 1} kinds of poison, seed {SEED}",
            letters=len(found),
            kept_without_their_number=len(bad),
        )
        assert one.ingest.alive
    keep(account)
    counted = {detail: sum(reason == why and detail in said for why, said in found) for detail, reason in REASONS.items()}
    assert counted == dict.fromkeys(REASONS, rounds)
    assert len(found) == rounds * len(REASONS)
    assert good == edge.sent
    assert bad == [("Ps30", None)] * rounds


@pytest.mark.timeout(120)
def test_a_reading_whose_name_is_no_text_is_set_aside(either_dsn: str, broker: RunningBroker, tmp_path: Path) -> None:
    prepare(either_dsn, nodes=POISONER + 1)
    edge = Edge(group=GROUP, node=node_id(POISONER), numbered=False)
    topic = str(Topic(edge.group, MessageType.DDATA, edge.node, DEVICE))
    with plant(tmp_path, either_dsn, broker.url, hours=HZ * 60) as one, Wire(broker.port) as wire:
        wire.send(edge.born(DEVICE))
        numbered = edge._message(MessageType.DDATA, [], DEVICE)
        wire.send([Message(topic, numbered.payload + BAD_UTF8, 1), edge.data(DEVICE, 1)])
        own = (
            "select from telemetry join point using (point_id) join asset using (asset_id)"
            " where serial_number = 'SN-N2R0' and ts > '2026-01-01 00:00Z'"
        )
        wait_for(lambda: len(query(either_dsn, own)) > 0, "the good reading after it")
        assert one.ingest.alive
    assert len(query(either_dsn, "select from dead_letter where topic ~ '/node-2(/|$)'")) == 1
