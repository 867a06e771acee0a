"""The edge nodes' bytes, without Python per message: PUBLISH packets written into one buffer, and what has become of each.

Written beside `load.batches`, which says the same with the gateway's encoder; a test holds them together.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vigia.bench.load import (
    BATCH_ALIAS,
    DEVICE,
    EDGE_STRIDE,
    EPOCH,
    EPOCH_ALIAS,
    GROUP,
    POINT_STRIDE,
    VALUES,
    Load,
    first_alias,
    node_id,
    values,
)
from vigia.bench.poison import BIRTH_ALONE, DATA_ALONE, NO_NUMBER, STAMP_DIGITS, WITHIN, Poison, poison_of
from vigia.sparkplug.topics import MessageType, Topic

_DIGITS = 5  # of an edge node's number in its name

_TOPIC = np.frombuffer(str(Topic(GROUP, MessageType.DDATA, node_id(0), DEVICE)).encode(), np.uint8).copy()
_BIRTH_TOPIC = np.frombuffer(str(Topic(GROUP, MessageType.DBIRTH, node_id(0), DEVICE)).encode(), np.uint8).copy()
_FROM_DIGITS = len(f"{node_id(0)[-_DIGITS:]}/{DEVICE}")  # from the first digit to the topic's end
_NOT_A_NUMBER = np.array([np.nan]).view(np.uint8)
_HEAD_BYTES = 120  # of a packet up to its payload, and then some
_NONE = -1

# Field numbers of Sparkplug's Payload and Metric with their wire types, as protobuf writes them.
_STAMP, _METRIC, _SEQ = 0x08, 0x12, 0x18
_ALIAS, _METRIC_STAMP, _LONG, _DOUBLE = 0x10, 0x18, 0x58, 0x69
_PUBLISH = 0x30
_DIGIT = 0x7F  # of a varint's byte; the highest bit says that another one follows


class Content(NamedTuple):
    """A load as the kernels take it."""

    rows: int
    metrics: int
    edges: int
    points: int
    after: int
    start_ms: int
    period_ms: int
    first_alias: int
    values: NDArray[np.float64]
    poison: Poison

    @classmethod
    def of(cls, load: Load) -> "Content":
        """That of `load`."""
        return cls(
            load.rows,
            load.metrics,
            load.edges,
            load.points,
            load.after,
            load.start_ms,
            load.period_ms,
            first_alias(load.points),
            values(load.seed),
            poison_of(load),
        )


class Book(NamedTuple):
    """What each edge node has sent and heard; columns by edge node.

    seq : int64, of its next message
    newest : int64, number of the last batch it gave out
    settled : int64, up to where its batches are acknowledged
    stored_ms : int64, when ingest wrote the last acknowledgement (milliseconds since 1970 UTC)
    heard : bool, whether any came since its birth
    """

    seq: NDArray[np.int64]
    newest: NDArray[np.int64]
    settled: NDArray[np.int64]
    stored_ms: NDArray[np.int64]
    heard: NDArray[np.bool_]

    @classmethod
    def empty(cls, edges: int) -> "Book":
        """Of so many edge nodes that have said nothing yet."""
        seq, newest, settled, stored_ms = np.zeros((4, edges), np.int64)
        return cls(seq, newest, settled, stored_ms, np.zeros(edges, np.bool_))


def most_bytes(load: Load) -> int:
    """No message of `load` is longer, but for its poison."""
    return _HEAD_BYTES + 20 * load.metrics


@njit(cache=True, nogil=True)
def _size(number: int) -> int:
    size = 1
    while number > _DIGIT:
        number >>= 7
        size += 1
    return size


@njit(cache=True, nogil=True)
def _put(out: NDArray[np.uint8], at: int, number: int) -> int:
    """Write `number` as a varint; where it ends."""
    while number > _DIGIT:
        out[at] = (number & _DIGIT) | 0x80
        number >>= 7
        at += 1
    out[at] = number
    return at + 1


@njit(cache=True, nogil=True)
def _put_whole(out: NDArray[np.uint8], at: int, alias: int, ts: int, number: int) -> int:
    """Write a metric whose value is an integer; where it ends."""
    out[at] = _METRIC
    at = _put(out, at + 1, 3 + _size(alias) + _size(ts) + _size(number))
    out[at] = _ALIAS
    at = _put(out, at + 1, alias)
    out[at] = _METRIC_STAMP
    at = _put(out, at + 1, ts)
    out[at] = _LONG
    return _put(out, at + 1, number)


@njit(cache=True, nogil=True)
def _put_readings(out: NDArray[np.uint8], at: int, content: Content, message: int, said: int) -> tuple[int, int]:
    """Write the readings of a message as metrics; where they end, and the newest's time."""
    raw = content.values.view(np.uint8)
    edge = (content.after + message) % content.edges
    reading = message // content.edges * content.metrics
    step, point = reading // content.points, reading % content.points
    base = content.start_ms + message * content.metrics * content.period_ms // (content.points * content.edges)
    ts = base
    left = content.points  # readings until the clock moves on
    size = 10 + 1 + _size(content.first_alias) + _size(base)
    for _ in range(said):
        if left == 0:
            ts += content.period_ms
            left = content.points
        left -= 1
        out[at] = _METRIC
        out[at + 1] = size
        out[at + 2] = _ALIAS
        at = _put(out, at + 3, content.first_alias + point)
        out[at] = _METRIC_STAMP
        at = _put(out, at + 1, ts)
        out[at] = _DOUBLE
        value = 8 * ((edge * EDGE_STRIDE + point * POINT_STRIDE + step) % VALUES)
        for i in range(8):
            out[at + 1 + i] = raw[value + i]
        at += 9
        point += 1
        if point == content.points:
            point = 0
            step += 1
    return at, ts


@njit(cache=True, nogil=True)
def _poisoned(content: Content, message: int) -> int:
    """The kind of poison that comes with a message, _NONE mostly. Which messages is no pattern, but the same each time (SplitMix64)."""
    if content.poison.share == 0.0:
        return _NONE
    mixed = np.uint64(content.after + message + 1) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    if float(mixed >> np.uint64(32)) >= content.poison.share * 4_294_967_296.0:
        return _NONE
    return int(np.int64(mixed & np.uint64(0xFFFF_FFFF)) % len(content.poison.place))


@njit(cache=True, nogil=True)
def letters_due(content: Content, first: int, last: int) -> int:
    """How many of the messages `first` until `last` come with poison that ends as a dead letter."""
    due = 0
    for message in range(first, last):
        kind = _poisoned(content, message)
        due += kind != _NONE and content.poison.place[kind] != NO_NUMBER
    return due


@njit(cache=True, nogil=True)
def poison_bytes(content: Content, first: int, last: int) -> int:
    """No more bytes than these come as poison with messages `first` until `last`."""
    size = 0
    for message in range(first, last):
        kind = _poisoned(content, message)
        if kind != _NONE:
            size += _HEAD_BYTES + content.poison.first[kind + 1] - content.poison.first[kind]
    return size


@njit(cache=True, nogil=True)
def _put_head(out: NDArray[np.uint8], at: int, topic: NDArray[np.uint8], edge: int, payload_bytes: int) -> int:
    """Write a PUBLISH packet up to its payload, `topic` being that of edge node 0; where that begins."""
    out[at] = _PUBLISH
    at = _put(out, at + 1, 2 + len(topic) + payload_bytes)
    out[at], out[at + 1] = 0, len(topic)
    at += 2
    out[at : at + len(topic)] = topic
    at += len(topic)
    for i in range(_DIGITS):
        out[at - _FROM_DIGITS + _DIGITS - 1 - i] = 48 + edge % 10
        edge //= 10
    return at


@njit(cache=True, nogil=True)
def _put_message(out: NDArray[np.uint8], at: int, content: Content, message: int, seq: int) -> int:
    """Write one PUBLISH packet, with the poison that is part of it; where it ends."""
    edge, eseq = (content.after + message) % content.edges, (content.after + message) // content.edges + 1
    said = min(content.metrics, content.rows - message * content.metrics)
    base = content.start_ms + message * content.metrics * content.period_ms // (content.points * content.edges)
    newest = base + (said - 1) // content.points * content.period_ms
    a_reading = 2 + 10 + 1 + _size(content.first_alias) + _size(base)
    stamp = _size(newest)
    tail = 2 + 3 + 1 + stamp + 1 + 2 + 3 + 1 + stamp + _size(eseq) + 1 + _size(seq)
    poison = content.poison
    kind = _poisoned(content, message)
    spoiled = kind != _NONE and poison.place[kind] == WITHIN
    spoilt = poison.data[poison.first[kind] : poison.first[kind + 1]] if spoiled else poison.data[:0]
    at = _put_head(out, at, _TOPIC, edge, 1 + stamp + said * a_reading + tail + len(spoilt))
    out[at] = _STAMP
    at = _put(out, at + 1, newest)
    at, _ = _put_readings(out, at, content, message, said)
    if kind != _NONE and poison.place[kind] == NO_NUMBER:
        out[at - len(_NOT_A_NUMBER) : at] = _NOT_A_NUMBER
    at = _put_whole(out, at, EPOCH_ALIAS, newest, EPOCH)
    at = _put_whole(out, at, BATCH_ALIAS, newest, eseq)
    out[at] = _SEQ
    at = _put(out, at + 1, seq)
    out[at : at + len(spoilt)] = spoilt
    return at + len(spoilt)


@njit(cache=True, nogil=True)
def write_messages(out: NDArray[np.uint8], content: Content, first: int, last: int, book: Book) -> int:
    """The PUBLISH packets of messages `first` until `last` at the beginning of `out`; how many bytes they are.

    out : uint8[n], long enough for all of them
    book : each message takes its edge node's next seq and counts as given out
    """
    at = 0
    for message in range(first, last):
        edge = (content.after + message) % content.edges
        at = _put_message(out, at, content, message, book.seq[edge])
        book.seq[edge] = (book.seq[edge] + 1) & 0xFF
        book.newest[edge] = max(book.newest[edge], (content.after + message) // content.edges + 1)
    return at


@njit(cache=True, nogil=True)
def write_poison(out: NDArray[np.uint8], at: int, content: Content, first: int, last: int) -> int:
    """The messages of poison alone that come with messages `first` until `last`, from `at` on in `out`; where they end.

    No two are the same: each holds the number of the message it comes with.
    """
    poison = content.poison
    for message in range(first, last):
        kind = _poisoned(content, message)
        if kind == _NONE or poison.place[kind] not in (DATA_ALONE, BIRTH_ALONE):
            continue
        said = poison.data[poison.first[kind] : poison.first[kind + 1]]
        topic = _TOPIC if poison.place[kind] == DATA_ALONE else _BIRTH_TOPIC
        at = _put_head(out, at, topic, (content.after + message) % content.edges, len(said))
        out[at : at + len(said)] = said
        number = content.after + message
        for i in range(STAMP_DIGITS):
            out[at + poison.stamp[kind] + STAMP_DIGITS - 1 - i] = 48 + number % 10
            number //= 10
        at += len(said)
    return at


class Times(NamedTuple):
    """When each message of a load was sent and acknowledged.

    due : float64, seconds of a steady clock: when its newest reading was taken
    sent : float64, seconds of the same clock: when it was sent, at last
    lag_s : float64, from due to the acknowledgement; NaN before
    stored_ms : int64, what the acknowledgement says of the commit's end, milliseconds since 1970 UTC
    """

    due: NDArray[np.float64]
    sent: NDArray[np.float64]
    lag_s: NDArray[np.float64]
    stored_ms: NDArray[np.int64]

    @classmethod
    def empty(cls, messages: int) -> "Times":
        """Of so many messages that are still to be sent."""
        return cls(np.empty(messages), np.empty(messages), np.full(messages, np.nan), np.zeros(messages, np.int64))


@njit(cache=True, nogil=True)
def settle(content: Content, book: Book, acknowledged: NDArray[np.int64], times: Times, now: float) -> int:
    """Take the messages that `acknowledged` covers off the books; how many they are."""
    messages = 0
    for edge in range(len(acknowledged)):
        last = min(acknowledged[edge], book.newest[edge])
        for eseq in range(book.settled[edge] + 1, last + 1):
            message = (eseq - 1) * content.edges + edge - content.after
            if 0 <= message < len(times.due):
                times.lag_s[message] = now - times.due[message]
                times.stored_ms[message] = book.stored_ms[edge]
                messages += 1
        book.settled[edge] = max(book.settled[edge], last)
    return messages


@njit(cache=True, nogil=True)
def tally(content: Content, readings: NDArray[np.int64], total_ms: NDArray[np.int64], from_ms: int) -> None:
    """Count what the load says.

    readings, total_ms : int64[edges, points], increased by how many readings a point has and the sum of their times since `from_ms`
    """
    for message in range(-(-content.rows // content.metrics)):
        edge = (content.after + message) % content.edges
        reading = message // content.edges * content.metrics
        base = content.start_ms - from_ms + message * content.metrics * content.period_ms // (content.points * content.edges)
        for place in range(min(content.metrics, content.rows - message * content.metrics)):
            point = (reading + place) % content.points
            readings[edge, point] += 1
            total_ms[edge, point] += base + place // content.points * content.period_ms
