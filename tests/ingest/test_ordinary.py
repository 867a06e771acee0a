"""What is read thousands at a time is what the slow path makes of the same messages, one after the other."""

import random
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from ingest_harness import START_MS, Edge

from vigia.ingest import births as ingest_births
from vigia.ingest.config import Limits
from vigia.ingest.events import DeviceBirth, DeviceData, NodeBirth
from vigia.ingest.inbox import Delivery, Message, pack
from vigia.ingest.ordinary import Ordinary
from vigia.ingest.prepare import Part, Preparation, block_of
from vigia.ingest.sessions import Sessions
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.payload import Metric, decode
from vigia.sparkplug.topics import MessageType
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

    def slowly(self, *messages: Message) -> list[Part]:
        """The parts of the data among `messages`; topics are learnt, births taken."""
        parts = []
        for event in self.sessions.take(messages, 0.0):
            if isinstance(event, NodeBirth):
                event.node.forget_devices()
            elif isinstance(event, DeviceBirth):
                self._born(event)
            elif isinstance(event, DeviceData):
                prepared = self._preparation.prepare(event)
                if isinstance(prepared, Part):
                    parts.append(prepared)
                    if prepared.usual:
                        self.ordinary.directory.learn(event.message.topic.encode(), event.node, event.device_id)
        return parts

    def _born(self, event: DeviceBirth) -> None:
        said = ingest_births.certificate(event.node.edge.edge_node_id, event.device_id, 0, event.payload, datetime.fromtimestamp(0, UTC))
        points = []
        for point in said.points:
            points.append(BornPoint(point.name, point.alias, point.datatype, self._next_point, point.kind))
            self._next_point += 1
        device = Device(event.device_id, 1, 1, 1, swapped=False, points=tuple(points))
        event.node.tables[event.device_id] = ingest_births.table(event.payload, said, device)

    def read(self, *messages: Message) -> tuple[int, list[int]]:
        """How many messages are ordinary, and the numbers of the others."""
        block, others = self.ordinary.read(pack(messages))
        return 0 if block is None else len(block), others.tolist()


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
    fast, others = host.ordinary.read(pack(messages))
    assert fast is not None
    assert others.tolist() == []
    for name in ("edge_node_id", "epoch", "eseq", "first"):
        np.testing.assert_array_equal(getattr(fast, name), getattr(slow, name))
    for name in ("point_id", "ts", "value", "quality"):
        np.testing.assert_array_equal(getattr(fast.readings, name), getattr(slow.readings, name))
    assert fast.live_ts == slow.live_ts > 0
    assert fast.message(5) == messages[5]


def test_a_message_is_ordinary_from_the_second_on(host: Host) -> None:
    edge = Edge()
    assert host.read(*edge.born(), edge.data("R1", 1)) == (0, [0, 1, 2, 3])
    edge = warmed(host, Edge())
    assert host.read(edge.data("R1", 2), edge.data("R2", 2), edge.data("R1", 3)) == (3, [])


def test_a_gap_and_what_follows_is_left_to_the_slow_path(host: Host) -> None:
    one, two = warmed(host, Edge()), warmed(host, Edge(node="acme-two"))
    lost = one.data("R1", 2)
    messages = [one.data("R1", 3), two.data("R1", 2), one.data("R2", 2)]
    assert host.read(*messages) == (1, [0, 2])
    assert [len(host.slowly(message)) for message in (messages[0], messages[2])] == [0, 0]  # held back
    assert host.read(one.data("R1", 4)) == (0, [0])  # while something is held
    assert len(host.slowly(lost)) == 3


def test_an_edge_that_says_anything_else_is_left_to_the_slow_path(host: Host) -> None:
    one, two = warmed(host, Edge()), warmed(host, Edge(node="acme-two"))
    assert host.read(one.data("R1", 2), one.heartbeat(), two.data("R1", 2)) == (1, [0, 1])


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
def test_what_is_not_as_its_birth_says_is_left_to_the_slow_path(host: Host, metrics: list[Metric]) -> None:
    edge = warmed(host, Edge())
    assert edge.aliases("R1")["T50"] == 12
    assert host.read(edge.data("R1", 2), edge.raw("R1", metrics)) == (0, [0, 1])
    assert host.read(Message("spBv1.0/acme/DDATA/acme-one/R1", b"\xff\xff", 1)) == (0, [0])


def test_a_numbered_edge_that_gives_no_number_is_left_to_the_slow_path(host: Host) -> None:
    edge = warmed(host, Edge())
    message = edge._message(MessageType.DDATA, [Metric(None, 12, START_MS, DataType.DOUBLE, 1.0)], "R1")
    assert host.read(message) == (0, [0])


def test_an_edge_without_numbers_is_read_too(host: Host) -> None:
    edge = warmed(host, Edge(numbered=False))
    block, others = host.ordinary.read(pack([edge.data("R1", 2)]))
    assert others.tolist() == []
    assert block is not None
    assert (block.epoch.tolist(), block.eseq.tolist()) == ([-1], [-1])


def test_another_birth_changes_what_an_alias_means(host: Host) -> None:
    edge = warmed(host, Edge())
    host.slowly(*edge.born())
    assert host.read(edge.data("R1", 2)) == (1, [])
    host.slowly(edge.node_birth())  # its devices are not born again yet
    assert host.read(edge.data("R1", 3)) == (0, [0])


def test_another_connection_asks_for_a_birth(host: Host) -> None:
    edge = warmed(host, Edge())
    assert host.read(replace(edge.data("R1", 2), session=2)) == (0, [0])


def test_where_others_have_a_part_of_the_messages_a_gap_is_none() -> None:
    host = Host(shared=True)
    edge = warmed(host, Edge())
    edge.data("R1", 2)
    assert host.read(edge.data("R1", 3), edge.data("R2", 3)) == (2, [])
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
        assert host.read(edge.data("R1", hour)) == (1, [])
    assert len(host.ordinary.directory.entries.alias) < 20_000
