"""The compiled edge nodes say what the gateway's encoder says, and hear what ingest says."""

from dataclasses import replace

import numpy as np
import pytest

from vigia.bench import poison, replies, wire
from vigia.bench.load import DEVICE, GROUP, Load, batches, following, node_id, readings
from vigia.ingest import commands, packets
from vigia.sparkplug import PayloadError
from vigia.sparkplug.names import MAX_PAYLOAD_BYTES
from vigia.sparkplug.payload import decode
from vigia.sparkplug.topics import MessageType, Topic
from vigia.store.births import EdgeNode
from vigia.store.ledger import Watermark

LOADS = [
    Load(rows=1_003, metrics=30, edges=4, points=10),
    Load(rows=700, metrics=1, edges=2, points=3),
    Load(rows=3_000, metrics=130, edges=4, points=130, after=1_027),  # aliases and numbers of two bytes
    Load(rows=1),
]


def written(load: Load, book: wire.Book, first: int = 0, last: int | None = None) -> bytes:
    last = load.messages if last is None else last
    out = np.empty(wire.most_bytes(load) * (last - first), np.uint8)
    return out[: wire.write_messages(out, wire.Content.of(load), first, last, book)].tobytes()


def acknowledgement(edge: int, number: int, epoch: int = 1) -> bytes:
    node = EdgeNode(edge, 1, GROUP, node_id(edge), None, None)
    return packets.publish(*commands.acknowledgement(node, Watermark(edge, epoch, number)))


def heard(data: bytes, book: wire.Book, acknowledged: np.ndarray, at: int = 0) -> tuple[int, int]:
    return replies.read_acknowledgements(np.frombuffer(data, np.uint8).copy(), len(data), at, book, acknowledged)


@pytest.mark.parametrize("load", LOADS)
def test_packets_are_byte_for_byte_those_of_the_gateways_encoder(load: Load) -> None:
    seq = np.zeros(load.edges, int)
    expected = b""
    for batch in batches(load):
        topic = str(Topic(GROUP, MessageType.DDATA, node_id(batch.edge), DEVICE))
        expected += packets.publish(topic, batch.numbered(int(seq[batch.edge]) % 256))
        seq[batch.edge] += 1
    book = wire.Book.empty(load.edges)
    assert written(load, book) == expected
    assert np.array_equal(book.seq, seq % 256)


def test_a_message_is_written_again_with_the_next_seq() -> None:
    load, book = LOADS[0], wire.Book.empty(4)
    once = written(load, book, 5, 6)
    again = written(load, book, 5, 6)
    assert (once[:-1], once[-1], again[-1]) == (again[:-1], 0, 1)


def test_acknowledgements_are_read_and_what_is_none_is_left() -> None:
    book, acknowledged = wire.Book.empty(20), np.zeros(20, np.int64)
    birth_wanted = packets.publish(*commands.rebirth(EdgeNode(3, 1, GROUP, node_id(3), None, None)))
    first = acknowledgement(3, 70_000) + acknowledgement(19, 5) + acknowledgement(3, 4)
    data = first + birth_wanted + acknowledgement(7, 1) + acknowledgement(8, 2)[:-1]
    at, end = heard(data, book, acknowledged)
    assert (at, end) == (len(first), len(first + birth_wanted))
    at, end = heard(data, book, acknowledged, end)
    assert at == end == len(first + birth_wanted + acknowledgement(7, 1))
    assert {edge: number for edge, number in enumerate(acknowledged.tolist()) if number} == {3: 70_000, 19: 5, 7: 1}
    assert np.flatnonzero(book.heard).tolist() == [3, 7, 19]


@pytest.mark.parametrize(
    "packet",
    [
        acknowledgement(1, 5, epoch=2),
        acknowledgement(20, 5),
        packets.publish("spBv1.0/STATE/vigia", b"{}"),
        packets.publish(f"spBv1.0/{GROUP}/NCMD/edge-0000x", b""),
        packets.publish(f"spBv1.0/{GROUP}/NCMD/edge-00001", b"\x12\xff\xff"),
        b"\x90\x03\x00\x01\x00",
    ],
    ids=["another epoch", "an edge too many", "STATE", "no edge's name", "broken", "no PUBLISH"],
)
def test_anything_else_is_left_to_the_slow_way(packet: bytes) -> None:
    acknowledged = np.zeros(20, np.int64)
    assert heard(packet, wire.Book.empty(20), acknowledged) == (0, len(packet))
    assert not acknowledged.any()


def test_messages_are_settled_once() -> None:
    before = Load(rows=10, metrics=1, edges=4, points=1)
    load = following(before, rows=20, metrics=1, period_ms=10)
    book, times, acknowledged = wire.Book.empty(4), wire.Times.empty(20), np.zeros(4, np.int64)
    written(before, book)
    book.settled[:] = book.newest
    written(load, book)
    times.due[:] = 1.0
    acknowledged[:] = (7, 0, 3, 99)
    content = wire.Content.of(load)
    expected = sum(1 for message in range(20) if (10 + message) // 4 + 1 <= acknowledged[(10 + message) % 4])
    assert wire.settle(content, book, acknowledged, times, 3.0) == expected
    assert np.count_nonzero(times.lag_s == 2.0) == expected
    assert wire.settle(content, book, acknowledged, times, 4.0) == 0


def test_the_tally_is_that_of_the_readings() -> None:
    load = LOADS[0]
    counts, total_ms = np.zeros((2, load.edges, load.points), np.int64)
    wire.tally(wire.Content.of(load), counts, total_ms, load.start_ms)
    every = readings(load)
    for edge in range(load.edges):
        for point in range(load.points):
            ts = every.ts[(every.edge == edge) & (every.point == point)] - load.start_ms
            assert (counts[edge, point], total_ms[edge, point]) == (len(ts), ts.sum())


def published(data: bytes) -> list[tuple[str, bytes]]:
    """Topics and payloads of the packets in `data`."""
    found = packets.split(np.frombuffer(data, np.uint8).copy(), len(data))
    return [
        (data[topic : topic + topic_size].decode(), data[payload : payload + payload_size])
        for topic, topic_size, payload, payload_size, *_ in found.publishes.T.tolist()
    ]


def test_poison_comes_with_its_share_of_the_messages_and_leaves_the_readings() -> None:
    load = Load(rows=60_000, metrics=20, edges=4, points=10)
    poisoned = replace(load, poison=0.05)
    clean = published(written(load, wire.Book.empty(4)))
    out = np.empty(wire.most_bytes(load) * load.messages + wire.poison_bytes(wire.Content.of(poisoned), 0, load.messages), np.uint8)
    size = wire.write_messages(out, wire.Content.of(poisoned), 0, load.messages, wire.Book.empty(4))
    end = wire.write_poison(out, size, wire.Content.of(poisoned), 0, load.messages)
    within, alone = published(out[:size].tobytes()), published(out[size:end].tobytes())
    assert [topic for topic, _ in within] == [topic for topic, _ in clean]
    pairs = [(one, other) for (_, one), (_, other) in zip(clean, within, strict=True) if one != other]
    spoilt = [other for one, other in pairs if other.startswith(one)]
    no_number = [(one, other) for one, other in pairs if len(one) == len(other)]
    assert len(spoilt) + len(no_number) == len(pairs)
    for one, other in no_number:
        assert [not isinstance(metric.value, float) or np.isfinite(metric.value) for metric in decode(other).metrics].count(False) == 1
        assert np.count_nonzero(np.frombuffer(one, np.uint8) != np.frombuffer(other, np.uint8)) <= 8
    assert len({*alone}) == len(alone)
    for _, payload in alone:
        with pytest.raises(PayloadError):
            decode(payload)
    assert wire.letters_due(wire.Content.of(poisoned), 0, load.messages) == len(spoilt) + len(alone)
    assert len(pairs) + len(alone) == pytest.approx(0.05 * load.messages, rel=0.2)
    assert {topic.split("/")[2] for topic, _ in alone} == {"DDATA", "DBIRTH"}


@pytest.mark.parametrize(("metrics", "largest"), [(500, MAX_PAYLOAD_BYTES), (1, 0)])
def test_poison_does_not_outweigh_the_load(metrics: int, largest: int) -> None:
    load = Load(rows=1_000_000, metrics=metrics, edges=4, points=10, poison=0.01)
    assert max(len(kind.said) for kind in poison.fitting(load)) >= largest
    assert wire.poison_bytes(wire.Content.of(load), 0, load.messages) < len(poison.kinds(10)) * wire.most_bytes(load) * load.messages
