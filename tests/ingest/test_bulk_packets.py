"""The pass over a buffer of packets, against a slow one that reads them one by one."""

import io
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigia.ingest import packets


@dataclass
class Slow:
    """What is at the beginning of `data`, read byte by byte; `whole` when it does not end in a fault."""

    data: bytes
    messages: list[tuple[bytes, bytes, int, int]] = field(default_factory=list)
    others: list[bytes] = field(default_factory=list)
    consumed: int = 0
    sound: bool = True

    def __post_init__(self) -> None:
        stream = io.BytesIO(self.data)
        while self.sound and (packet := self._packet(stream)) is not None:
            first, body = packet
            if first >> 4 == 3:
                self.sound = self._message(first, body)
            else:
                self.others.append(self.data[self.consumed : stream.tell()])
            if self.sound:
                self.consumed = stream.tell()

    def _packet(self, stream: io.BytesIO) -> tuple[int, bytes] | None:
        first = stream.read(1)
        if first and first[0] >> 4 != 3 and first not in {b"\x20", b"\x90", b"\xd0"}:
            self.sound = False
            return None
        length = 0
        for i in range(4):
            digit = stream.read(1)
            if not digit:
                return None
            length += (digit[0] % 128) * 128**i
            if digit[0] < 128:
                body = stream.read(length)
                return None if len(body) < length else (first[0], body)
        self.sound = False
        return None

    def _message(self, first: int, body: bytes) -> bool:
        stream = io.BytesIO(body)
        qos = first // 2 % 4
        length = stream.read(2)
        topic = stream.read(int.from_bytes(length))
        if qos > 1 or len(length) < 2 or not topic or len(topic) < int.from_bytes(length):
            return False
        number = stream.read(2) if qos else b""
        if qos and (len(number) < 2 or number == b"\0\0"):
            return False
        self.messages.append((topic, stream.read(), qos, int.from_bytes(number)))
        return True


def split(data: bytes, room: int = 64) -> tuple[packets.Split, list[tuple[bytes, bytes, int, int]], list[bytes]]:
    """In a buffer with `room` to spare, so that nothing is cut."""
    buffer = np.frombuffer(bytearray(data) + b"\xff" * room, np.uint8)
    found = packets.split(buffer, len(data))
    messages = [
        (data[topic : topic + size], data[payload : payload + length], qos, number)
        for topic, size, payload, length, qos, number in found.publishes.T.tolist()
    ]
    return found, messages, [data[start:end] for start, end in found.others.T.tolist()]


topics = st.text(min_size=1, max_size=40)
message = st.builds(
    lambda topic, payload, number: packets._packet(
        0x32 if number else 0x30, packets._text(topic) + (number.to_bytes(2) if number else b"") + payload
    ),
    topics,
    st.binary(max_size=400),
    st.integers(0, 65_535),
)
packet = st.one_of(message, st.just(b"\xd0\0"), st.just(b"\x90\x03\0\x01\x01"))
# Also what is nearly sound: a few bytes of a stream replaced.
spoiled = st.builds(
    lambda some, wounds: _spoil(b"".join(some), wounds),
    st.lists(packet, min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4),
)


def _spoil(data: bytes, wounds: list[tuple[int, int]]) -> bytes:
    hurt = bytearray(data)
    for position, value in wounds:
        hurt[position % len(hurt)] = value
    return bytes(hurt)


@settings(max_examples=1000, deadline=None)
@given(data=st.one_of(st.binary(max_size=300), spoiled))
def test_any_bytes_are_taken_apart_as_slowly_read(data: bytes) -> None:
    found, messages, others = split(data)
    slow = Slow(data)
    assert messages == slow.messages
    assert others == slow.others
    assert found.consumed == slow.consumed
    assert (found.fault == 0) == slow.sound
    assert found.missing == 0


@settings(max_examples=300, deadline=None)
@given(some=st.lists(packet, max_size=30), sizes=st.lists(st.integers(1, 300), min_size=1, max_size=20))
def test_wherever_the_stream_is_cut_the_same_messages_come(some: list[bytes], sizes: list[int]) -> None:
    stream = b"".join(some)
    got: list[tuple[bytes, bytes, int, int]] = []
    rest, position, turn = b"", 0, 0
    while position < len(stream):
        size = sizes[turn % len(sizes)]
        rest += stream[position : position + size]
        position, turn = position + size, turn + 1
        found, messages, _ = split(rest)
        assert found.fault == 0
        got += messages
        rest = rest[found.consumed :]
    assert rest == b""
    assert got == Slow(stream).messages


def test_what_does_not_fit_a_full_buffer_is_cut_if_it_is_a_message() -> None:
    whole = packets.publish("a/b", b"x" * 1000)
    found, messages, _ = split(whole[:600], room=0)
    assert (found.consumed, found.missing, found.fault) == (600, len(whole) - 600, 0)
    assert messages == [(b"a/b", whole[8:600], 0, 0)]
    assert split(b"\xd0\0" + whole[:600], room=0)[0].consumed == 2  # there is room for it when it comes first
    other, _, _ = split(packets._packet(0x90, bytes(1000))[:600], room=0)
    assert "too long" in packets.FAULTS[other.fault]


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"HTTP/1.1 400 Bad Request", "no broker sends"),
        (b"\x40\x02\0\x01", "no broker sends"),
        (b"\x30\xff\xff\xff\xff\x01", "four bytes"),
        (b"\x34\x05\0\x01a\0\x01", "quality of service"),
        (b"\x30\x02\0\0", "topic"),
        (b"\x30\x03\0\x09a", "topic"),
        (b"\x32\x05\0\x01a\0\0", "number"),
        (b"\x32\x03\0\x01a", "number"),
    ],
)
def test_a_broken_stream_is_told_by_its_fault_after_what_was_sound(data: bytes, word: str) -> None:
    found, messages, _ = split(packets.publish("t", b"ok") + data)
    assert messages == [(b"t", b"ok", 0, 0)]
    assert word in packets.FAULTS[found.fault]


@settings(max_examples=100, deadline=None)
@given(payload=st.integers(0, 70_000))
def test_lengths_of_every_size_are_written_as_they_are_read(payload: int) -> None:
    assert split(packets.publish("t", bytes(payload)))[1] == [(b"t", bytes(payload), 0, 0)]


def test_each_message_is_acknowledged_by_its_number() -> None:
    assert packets.acknowledge(np.array([1, 258, 65_535])) == b"\x40\x02\0\x01" + b"\x40\x02\x01\x02" + b"\x40\x02\xff\xff"


def test_what_mqtt_cannot_carry_is_refused() -> None:
    with pytest.raises(ValueError, match="65535"):
        packets.publish("t" * 65_536, b"")
