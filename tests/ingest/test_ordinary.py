"""What is read thousands at a time is what the slow path makes of the same messages, one after the other."""

import random
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from ingest_harness import START_MS, Edge

from vigia.ingest import births as ingest_births
from vigia.ingest.blocks import Block
from vigia.ingest.config import Limits
from vigia.ingest.events import DeviceBirth, DeviceData, Letter, NodeBirth
from vigia.ingest.inbox import Delivery, Message, pack
from vigia.ingest.ordinary import Ordinary
from vigia.ingest.prepare import Part, Preparation, block_of
from vigia.ingest.sessions import MOST_ASKED, Sessions
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.payload import Metric, decode
from vigia.sparkplug.topics import MessageType, Topic
from vigia.store.births import BornPoint, Device, EdgeNode

NODES = ("acme-one", "acme-two", "acme-three")
TYPES = (
    DataType.INT8,
    DataType.INT16,
    DataType.INT32,
    DataType.INT64,
    DataType.UINT8,
    DataType.UINT16,
    DataType.UINT32,
    DataType.UINT64,
    DataType.FLOAT,
    DataType.DOUBLE,
    DataType.BOOLEAN,
)


class Host:
    """Sessions with both ways of reading, and births that need no database."""

    def __init__(self, *, shared: bool = False) -> None:
        self.sessions = Sessions(Limits(), shared=shared)
        self.sessions.know(EdgeNode(i + 1, 1, "acme", node, None, None) for i, node in enumerate(NODES))
        self.ordinary = Ordinary(self.sessions, shared=shared)
        self._preparation = Preparation(self.sessions)
        self._next_point = 1
        self.letters: list[Letter] = []

    def slowly(self, *messages: Message) -> list[Part]:
        """The parts of the data among `messages`; topics are learnt, births taken."""
        parts = []
        for event in self.sessions.take(messages, 0.0):
            if isinstance(event, NodeBirth):
                event.node.forget_devices()
            elif isinstance(event, DeviceBirth):
                self._born(event)
            elif isinstance(event, DeviceData):
                parts += self._prepared(event)
            elif isinstance(event, Letter):
                self.letters.append(event)
        return parts

    def _prepared(self, event: DeviceData) -> list[Part]:
        prepared = self._preparation.prepare(event)
        if isinstance(prepared, Letter):
            self.letters.append(prepared)
        if not isinstance(prepared, Part):
            return []
        return [prepared]

    def quickly(self, *messages: Message) -> list[Block]:
        """Blocks of the data among `messages`, which were delivered together."""
        found = self.ordinary.read(pack(messages))
        self.letters += found.letters
        alone = [part for event in found.odd for part in self._prepared(event)]
        slow = self.slowly(*(messages[index] for index in found.others.tolist()))
        return [*([] if found.block is None else [found.block]), *(block_of(parts) for parts in (alone, slow) if parts)]

    def _born(self, event: DeviceBirth) -> None:
        said = ingest_births.certificate(event.node.edge.edge_node_id, event.device_id, 0, event.payload, datetime.fromtimestamp(0, UTC))
        points = []
        for point in said.points:
            points.append(BornPoint(point.name, point.alias, point.datatype, self._next_point, point.kind))
            self._next_point += 1
        device = Device(event.device_id, 1, 1, 1, swapped=False, points=tuple(points))
        event.node.tables[event.device_id] = ingest_births.table(event.payload, said, device)
        self.ordinary.born(event)

    def read(self, *messages: Message) -> tuple[int, int, list[int]]:
        """How many messages are ordinary, how many are looked at alone, and the numbers of the others."""
        found = self.ordinary.read(pack(messages))
        return 0 if found.block is None else len(found.block), len(found.odd) + len(found.letters), found.others.tolist()


@pytest.fixture
def host() -> Host:
    return Host()


def warmed(host: Host, edge: Edge) -> Edge:
    """Born, and once heard."""
    host.slowly(*edge.born(), edge.data("R1", 1), edge.data("R2", 1))
    return edge


def metric_of(rng: random.Random, alias: int, kind: DataType, ts: int | None) -> Metric:
    if rng.random() < 0.1:
        value: object = None
    elif kind in (DataType.FLOAT, DataType.DOUBLE):
        value = rng.choice([0.0, -1.5, 1e99, 1e101, float("nan"), float("inf"), rng.gauss(0, 1)])
    elif kind is DataType.BOOLEAN:
        value = rng.random() < 0.5
    else:
        bits = int(kind.name.strip("UINT"))
        low, high = (0, (1 << bits) - 1) if kind.name.startswith("U") else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
        value = rng.choice([low, high, 0, 1, rng.randint(low, high)])
    properties = {"Quality": rng.choice([0, 63, 64, 191, 192, 255, 256, 500])} if rng.random() < 0.3 else {}
    said = kind if rng.random() < 0.5 else None
    return Metric(None, alias, ts, said or kind, value, is_historical=rng.random() < 0.2, properties=properties)  # type: ignore[arg-type]


def test_readings_of_every_type_are_those_of_the_slow_path(host: Host) -> None:
    rng = random.Random(1)  # noqa: S311 - data, no secrets
    edge = Edge()
    birth = [Metric(f"p{i}", 1_000 + i * i, START_MS, kind, None) for i, kind in enumerate(TYPES)]
    birth += [Metric("Vigia/Epoch", 7, START_MS, DataType.INT64, 7), Metric("Vigia/Batch", 8, START_MS, DataType.INT64, 0)]
    host.slowly(edge.node_birth(), edge._message(MessageType.DBIRTH, birth, "R1"))
    messages = []
    for number in range(1, 400):
        picked = rng.choices(range(len(TYPES)), k=rng.randint(0, 12))
        metrics = [metric_of(rng, 1_000 + i * i, TYPES[i], rng.choice([None, START_MS + number * 1000])) for i in picked]
        metrics += [Metric(None, 7, START_MS, DataType.INT64, 7), Metric(None, 8, START_MS, DataType.INT64, number)]
        rng.shuffle(metrics)
        messages.append(edge._message(MessageType.DDATA, metrics, "R1"))
    slow = block_of(host.slowly(messages[0], *messages[1:]))
    node = host.sessions.sender(messages[0].topic)
    assert node is not None
    node.order.expected = decode(messages[0].payload).seq
    fast, odd, letters, others = host.ordinary.read(pack(messages))
    assert fast is not None
    assert (odd, letters, others.tolist()) == ([], [], [])
    for name in ("edge_node_id", "epoch", "eseq", "first"):
        np.testing.assert_array_equal(getattr(fast, name), getattr(slow, name))
    for name in ("point_id", "ts", "value", "quality"):
        np.testing.assert_array_equal(getattr(fast.readings, name), getattr(slow.readings, name))
    assert fast.live_ts == slow.live_ts > 0
    assert fast.message(5) == messages[5]


def spoilt(rng: random.Random, edge: Edge, device: str, number: int) -> list[Message]:
    """One message that is not ordinary, or a few that do not come as they should."""
    alias, at = edge.aliases(device), START_MS + number * 1000
    data, birth = (str(Topic(edge.group, kind, edge.node, device)) for kind in (MessageType.DDATA, MessageType.DBIRTH))
    good = Metric(None, alias["Ps30"], at, DataType.DOUBLE, 1.0)
    kind = rng.randrange(12)
    if kind < 6:
        bad = (
            Metric(None, 7_777 + rng.randrange(3), at, DataType.DOUBLE, 1.0),
            Metric(None, alias["T50"], at, DataType.STRING, "hot"),
            Metric("T50", None, at, DataType.DOUBLE, 2.0),
            Metric(None, alias["T50"], 1, DataType.DOUBLE, 1.0),
            Metric(None, alias["T50"], at, DataType.DOUBLE, float("inf")),
            Metric("no text", None, at, DataType.DOUBLE, 2.0),
        )[kind]
        message = edge.raw(device, [good, bad])
        return [replace(message, payload=message.payload.replace(b"no text", b"no\xff\xfe\xfd\xfc\xfb"))]
    return {
        6: lambda: [Message(data, b"\xff" + rng.randbytes(9), 1)],
        7: lambda: [Message(birth, b"\xff" + rng.randbytes(9), 1)],
        8: lambda: [edge._message(MessageType.DDATA, [good], device)],
        9: lambda: [edge.heartbeat()],
        10: edge.born,
        11: lambda: [edge.data(device, number), edge.data(device, number + 1)][::-1],
    }[kind]()


def told(host: Host, blocks: list[Block]) -> tuple[Counter[object], Counter[object]]:
    """What is to be stored, message by message, and what is set aside."""
    stored: Counter[object] = Counter()
    letters = Counter[object]((letter.message, letter.reason, letter.detail) for letter in host.letters)
    for block in blocks:
        letters.update((letter.message, letter.reason, letter.detail) for some in block.letters.values() for letter in some)
        for i in range(len(block)):
            one = block.part(i, i + 1).readings
            rows = zip(one.point_id.tolist(), one.ts.tolist(), map(str, one.value.tolist()), one.quality.tolist(), strict=True)
            stored[block.message(i), int(block.edge_node_id[i]), int(block.epoch[i]), int(block.eseq[i]), tuple(rows)] += 1
    return stored, letters


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("shared", [False, True])
def test_both_ways_make_the_same_of_the_same_messages(seed: int, shared: bool) -> None:  # noqa: FBT001 - a parameter
    rng = random.Random(seed)  # noqa: S311 - data, no secrets
    edges = [Edge(node=node, numbered=node != "acme-three") for node in NODES]
    alone, together = Host(shared=shared), Host(shared=shared)
    messages = [message for edge in edges for message in edge.born()]
    for number in range(600):
        edge, device = rng.choice(edges), rng.choice(("R1", "R2"))
        messages += spoilt(rng, edge, device, number) if rng.random() < 0.1 else [edge.data(device, number)]
    one_by_one = [block_of(parts) for message in messages if (parts := alone.slowly(message))]
    blocks: list[Block] = []
    quick = begin = 0
    while begin < len(messages):
        end = begin + rng.choice((1, 3, 20, 100))
        found = together.quickly(*messages[begin:end])
        quick += max(map(len, found), default=0)
        blocks += found
        begin = end
    assert told(together, blocks) == told(alone, one_by_one)
    assert len(together.letters) > 5
    assert quick > len(messages) / 2  # most were read at once


def test_a_message_is_ordinary_once_its_device_is_born(host: Host) -> None:
    edge = Edge()
    messages = [*edge.born(), edge.data("R1", 1)]
    assert host.read(*messages) == (0, 0, [0, 1, 2, 3])
    assert len(host.slowly(*messages)) == 1
    assert host.read(edge.data("R1", 2), edge.data("R2", 2), edge.data("R1", 3)) == (3, 0, [])


def test_a_birth_is_never_read_as_data(host: Host) -> None:
    edge = warmed(host, Edge(numbered=False))
    assert host.read(edge.device_birth("R1", "SN-R1"), edge.data("R1", 2)) == (0, 0, [0, 1])


def test_a_gap_and_what_follows_is_left_to_the_slow_path(host: Host) -> None:
    one, two = warmed(host, Edge()), warmed(host, Edge(node="acme-two"))
    lost = one.data("R1", 2)
    messages = [one.data("R1", 3), two.data("R1", 2), one.data("R2", 2)]
    assert host.read(*messages) == (1, 0, [0, 2])
    assert [len(host.slowly(message)) for message in (messages[0], messages[2])] == [0, 0]  # held back
    assert host.read(one.data("R1", 4)) == (0, 0, [0])  # while something is held
    assert len(host.slowly(lost)) == 3


def test_an_edge_that_says_anything_else_is_left_to_the_slow_path_from_there_on(host: Host) -> None:
    one, two = warmed(host, Edge()), warmed(host, Edge(node="acme-two"))
    messages = [one.data("R1", 2), one.heartbeat(), one.data("R1", 3), two.data("R1", 2), one.data("R2", 2)]
    assert host.read(*messages) == (2, 0, [1, 2, 4])
    assert len(host.slowly(messages[1], messages[2], messages[4])) == 2


def test_what_nobody_can_read_changes_nothing_for_what_follows(host: Host) -> None:
    edge = warmed(host, Edge())
    birth, data = (f"spBv1.0/acme/{kind}/acme-one/R1" for kind in ("DBIRTH", "DDATA"))
    messages = [edge.data("R1", 2), Message(birth, b"\xff\xff", 1), Message(data, b"\xff\xff", 1), edge.data("R1", 3), edge.data("R2", 2)]
    assert host.read(*messages) == (3, 2, [])
    assert host.read(edge.data("R1", 4)) == (1, 0, [])


@pytest.mark.parametrize(
    "metrics",
    [
        [Metric(None, 999, START_MS, DataType.DOUBLE, 1.0)],
        [Metric("T50", None, START_MS, DataType.DOUBLE, 1.0)],
        [Metric(None, 12, START_MS, DataType.INT32, 1)],
        [Metric(None, 12, 1, DataType.DOUBLE, 1.0)],
        [Metric(None, 10, START_MS, DataType.INT32, 1), Metric(None, 16, START_MS, DataType.STRING, "SN-9")],
    ],
    ids=["unknown alias", "by name", "another type", "ancient", "another machine"],
)
def test_what_is_not_as_its_birth_says_is_looked_at_alone(host: Host, metrics: list[Metric]) -> None:
    edge = warmed(host, Edge())
    assert edge.aliases("R1")["T50"] == 12
    assert host.read(edge.data("R1", 2), edge.raw("R1", metrics), edge.data("R1", 3)) == (2, 1, [])


def test_a_numbered_edge_that_gives_no_number_is_looked_at_alone(host: Host) -> None:
    edge = warmed(host, Edge())
    message = edge._message(MessageType.DDATA, [Metric(None, 12, START_MS, DataType.DOUBLE, 1.0)], "R1")
    assert host.read(message) == (0, 1, [])


def test_an_edge_without_numbers_is_read_too(host: Host) -> None:
    edge = warmed(host, Edge(numbered=False))
    block, odd, letters, others = host.ordinary.read(pack([edge.data("R1", 2)]))
    assert (odd, letters, others.tolist()) == ([], [], [])
    assert block is not None
    assert (block.epoch.tolist(), block.eseq.tolist()) == ([-1], [-1])


def test_another_birth_changes_what_an_alias_means(host: Host) -> None:
    edge = warmed(host, Edge())
    host.slowly(*edge.born())
    assert host.read(edge.data("R1", 2)) == (1, 0, [])
    host.slowly(edge.node_birth())  # its devices are not born again yet
    assert host.read(edge.data("R1", 3)) == (0, 1, [])


def test_another_connection_asks_for_a_birth(host: Host) -> None:
    edge = warmed(host, Edge())
    assert host.read(replace(edge.data("R1", 2), session=2)) == (0, 0, [0])


def test_where_others_have_a_part_of_the_messages_a_gap_is_none() -> None:
    host = Host(shared=True)
    edge = warmed(host, Edge())
    edge.data("R1", 2)
    assert host.read(edge.data("R1", 3), edge.data("R2", 3)) == (2, 0, [])
    assert len(host.slowly(edge.data("R1", 5))) == 1


def test_many_topics_are_told_apart() -> None:
    host = Host()
    node = host.sessions.sender("spBv1.0/acme/DDATA/acme-one/R1")
    assert node is not None
    topics = [f"spBv1.0/acme/DDATA/acme-one/{i * 7919:x}".encode() for i in range(3_000)]
    for topic in topics:
        host.ordinary.directory.learn(topic, node, topic.decode())
        host.ordinary.directory.learn(topic, node, topic.decode())
    delivery: Delivery = pack([Message(topic.decode(), b"", 1) for topic in [*reversed(topics), b"else", topics[0][:-1]]])
    found = host.ordinary.directory.find(delivery.data, delivery.topic_start, delivery.topic_length)
    assert found.tolist() == [*reversed(range(3_000)), -1, -1]


def test_births_over_and_over_take_no_more_room(host: Host) -> None:
    edge = warmed(host, Edge())
    for hour in range(1_500):
        host.slowly(*edge.born(), edge.data("R1", hour), edge.data("R2", hour))
        assert host.read(edge.data("R1", hour)) == (1, 0, [])
    assert len(host.ordinary.directory.entries.alias) < 20_000


def test_a_worker_that_hears_only_a_part_asks_once_for_what_is_in_no_birth() -> None:
    host = Host(shared=True)
    edge = warmed(host, Edge())
    strange = [Metric(None, 77, START_MS, DataType.DOUBLE, 1.0)]

    def asks() -> int:
        return len(host.sessions.rebirths(time.monotonic()))

    assert (host.slowly(edge.raw("R1", strange, 9)), asks()) == ([], 1)  # it comes again
    host.slowly(*edge.born())
    assert (len(host.slowly(edge.raw("R1", strange, 9), edge.raw("R1", strange, 10))), asks()) == (2, 0)


def test_a_node_with_ever_other_strangers_is_not_asked_for_ever() -> None:
    host = Host(shared=True)
    edge = warmed(host, Edge())
    asked = 0
    for alias in range(500, 530):
        asked += host.slowly(edge.raw("R1", [Metric(None, alias, START_MS, DataType.DOUBLE, 1.0)])) == []
        host.slowly(*edge.born())
    assert asked == MOST_ASKED
    edge.bd_seq += 1
    host.slowly(*edge.born())
    assert host.slowly(edge.raw("R1", [Metric(None, 530, START_MS, DataType.DOUBLE, 1.0)])) == []
