"""The edge nodes' bytes, without Python per message: PUBLISH packets written into one buffer, acknowledgements read out of another.

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
from vigia.sparkplug import names
from vigia.sparkplug.topics import MessageType, Topic

_DIGITS = 5  # of an edge node's number in its name

_TOPIC = np.frombuffer(str(Topic(GROUP, MessageType.DDATA, node_id(0), DEVICE)).encode(), np.uint8).copy()
_TOPIC_DIGITS = len(str(Topic(GROUP, MessageType.DDATA, node_id(0), "x"))) - 2 - _DIGITS
_COMMAND = np.frombuffer(str(Topic(GROUP, MessageType.NCMD, node_id(0))).encode(), np.uint8)[:-_DIGITS].copy()
_EPOCH_NAME = np.frombuffer(names.EPOCH.encode(), np.uint8).copy()
_ACKNOWLEDGED_NAME = np.frombuffer(names.ACKNOWLEDGED.encode(), np.uint8).copy()

# Field numbers of Sparkplug's Payload and Metric with their wire types, as protobuf writes them.
_STAMP, _METRIC, _SEQ = 0x08, 0x12, 0x18
_NAME, _ALIAS, _METRIC_STAMP, _LONG, _DOUBLE = 0x0A, 0x10, 0x18, 0x58, 0x69
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_PUBLISH = 0x30
_FAULT = -1
_DIGIT = 0x7F  # of a varint's byte; the highest bit says that another one follows


class Content(NamedTuple):
    """A load as the kernel takes it."""

    rows: int
    metrics: int
    edges: int
    points: int
    after: int
    start_ms: int
    period_ms: int
    first_alias: int
    values: NDArray[np.float64]

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
    """No message of `load` is longer."""
    return 120 + 20 * load.metrics


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
def _put_message(out: NDArray[np.uint8], at: int, content: Content, message: int, seq: int) -> int:
    """Write one PUBLISH packet; where it ends."""
    edge, eseq = (content.after + message) % content.edges, (content.after + message) // content.edges + 1
    said = min(content.metrics, content.rows - message * content.metrics)
    base = content.start_ms + message * content.metrics * content.period_ms // (content.points * content.edges)
    newest = base + (said - 1) // content.points * content.period_ms
    a_reading = 2 + 10 + 1 + _size(content.first_alias) + _size(base)
    stamp = _size(newest)
    tail = 2 + 3 + 1 + stamp + 1 + 2 + 3 + 1 + stamp + _size(eseq) + 1 + _size(seq)
    out[at] = _PUBLISH
    at = _put(out, at + 1, 2 + len(_TOPIC) + 1 + stamp + said * a_reading + tail)
    out[at] = 0
    out[at + 1] = len(_TOPIC)
    at += 2
    for i in range(len(_TOPIC)):
        out[at + i] = _TOPIC[i]
    digits = edge
    for i in range(_DIGITS):
        out[at + _TOPIC_DIGITS + _DIGITS - 1 - i] = 48 + digits % 10
        digits //= 10
    at += len(_TOPIC)
    out[at] = _STAMP
    at = _put(out, at + 1, newest)
    at, _ = _put_readings(out, at, content, message, said)
    at = _put_whole(out, at, EPOCH_ALIAS, newest, EPOCH)
    at = _put_whole(out, at, BATCH_ALIAS, newest, eseq)
    out[at] = _SEQ
    return _put(out, at + 1, seq)


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


# ── what comes back ──


@njit(cache=True, nogil=True)
def _get(data: NDArray[np.uint8], at: int, end: int) -> tuple[int, int]:
    """A varint and where it ends; _FAULT when it does not."""
    number = 0
    for shift in range(0, 63, 7):
        if at >= end:
            return 0, _FAULT
        number |= (int(data[at]) & _DIGIT) << shift
        at += 1
        if data[at - 1] <= _DIGIT:
            return number, at
    return 0, _FAULT


@njit(cache=True, nogil=True)
def _is(data: NDArray[np.uint8], at: int, end: int, said: NDArray[np.uint8]) -> bool:
    return np.array_equal(data[at:end], said)


@njit(cache=True, nogil=True)
def _whole_metric(data: NDArray[np.uint8], at: int, end: int) -> tuple[int, int, int]:
    """Where a metric's name starts and ends, and its integer; the name's start is _FAULT when it has anything unusual."""
    name = name_end = number = 0
    while at < end:
        tag = data[at]
        if tag == _NAME:
            size, at = _get(data, at + 1, end)
            if at == _FAULT or at + size > end:
                return _FAULT, 0, 0
            name, name_end = at, at + size
            at += size
        elif tag & 7 == _VARINT and tag < 0x80:  # noqa: PLR2004 - a tag of one byte
            value, at = _get(data, at + 1, end)
            if at == _FAULT:
                return _FAULT, 0, 0
            if tag == _LONG:
                number = value
        else:
            return _FAULT, 0, 0
    return name, name_end, number


@njit(cache=True, nogil=True)
def _acknowledgement(data: NDArray[np.uint8], at: int, end: int) -> tuple[int, int]:
    """The number that a command acknowledges in our epoch, and when it was written (ms); _FAULT when it says anything else."""
    epoch, number, stamp = 0, _FAULT, 0
    while at < end:
        tag = data[at]
        size, at = _get(data, at + 1, end)
        if at == _FAULT:
            return _FAULT, 0
        if tag == _STAMP:
            stamp = size
        elif tag == _METRIC and at + size <= end:
            name, name_end, value = _whole_metric(data, at, at + size)
            at += size
            if name == _FAULT:
                return _FAULT, 0
            if _is(data, name, name_end, _EPOCH_NAME):
                epoch = value
            elif _is(data, name, name_end, _ACKNOWLEDGED_NAME):
                number = value
            else:
                return _FAULT, 0
        else:
            return _FAULT, 0
    return (number, stamp) if epoch == EPOCH else (_FAULT, 0)


@njit(cache=True, nogil=True)
def _edge(data: NDArray[np.uint8], at: int, end: int) -> int:
    """Whose command the topic is; _FAULT when it is none."""
    if not _is(data, at, end - _DIGITS, _COMMAND):
        return _FAULT
    edge = 0
    for i in range(end - _DIGITS, end):
        if not 48 <= data[i] <= 57:  # noqa: PLR2004 - the digits of ASCII
            return _FAULT
        edge = 10 * edge + int(data[i]) - 48
    return edge


@njit(cache=True, nogil=True)
def read_acknowledgements(data: NDArray[np.uint8], length: int, at: int, book: Book, acknowledged: NDArray[np.int64]) -> tuple[int, int]:
    """Enter the acknowledgements in `data[at:length]`, until one packet is something else.

    data : uint8[n], MQTT packets
    acknowledged : int64[edges], the highest number heard by each edge node
    returns where the reading stopped, and where the other packet there ends; the same twice when no packet is whole there
    """
    while at < length:
        body_size, body = _get(data, at + 1, length)
        if body == _FAULT or body + body_size > length:
            return at, at
        end = body + body_size
        if data[at] != _PUBLISH or body_size < 2:  # noqa: PLR2004 - the topic's length
            return at, end
        topic_end = body + 2 + (int(data[body]) << 8 | int(data[body + 1]))
        edge = _edge(data, body + 2, topic_end) if topic_end <= end else _FAULT
        if edge == _FAULT or edge >= len(acknowledged):
            return at, end
        number, stamp = _acknowledgement(data, topic_end, end)
        if number == _FAULT:
            return at, end
        book.heard[edge] = True
        book.stored_ms[edge] = stamp
        acknowledged[edge] = max(acknowledged[edge], number)
        at = end
    return at, at


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
