"""What comes back to the edge nodes, read without Python per packet: acknowledgements, entered in the book."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vigia.bench.load import EPOCH, GROUP, node_id
from vigia.bench.wire import Book
from vigia.sparkplug import names
from vigia.sparkplug.topics import MessageType, Topic

_DIGITS = 5  # of an edge node's number in its name

_COMMAND = np.frombuffer(str(Topic(GROUP, MessageType.NCMD, node_id(0))).encode(), np.uint8)[:-_DIGITS].copy()
_EPOCH_NAME = np.frombuffer(names.EPOCH.encode(), np.uint8).copy()
_ACKNOWLEDGED_NAME = np.frombuffer(names.ACKNOWLEDGED.encode(), np.uint8).copy()

# Field numbers of Sparkplug's Payload and Metric with their wire types, as protobuf writes them.
_STAMP, _METRIC = 0x08, 0x12
_NAME, _LONG = 0x0A, 0x58
_VARINT = 0
_PUBLISH = 0x30
_FAULT = -1
_DIGIT = 0x7F  # of a varint's byte; the highest bit says that another one follows


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
