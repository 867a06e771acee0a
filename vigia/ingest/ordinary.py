"""The ordinary data message: of a device that is known, in its turn, of metrics that are known. Thousands are read at a time.

A message is ordinary only if the slow path (`sessions`, `prepare`) would make the very same of it. Everything of an edge node that says
anything else in the same delivery is left to the slow path, so that its order stays its own.
"""

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vigia.ingest.births import EARLIEST_MS, LATEST_MS
from vigia.ingest.blocks import Block
from vigia.ingest.directory import Devices, Directory, Entries
from vigia.ingest.inbox import Delivery
from vigia.ingest.resolve import KIND_BOOLEAN, KIND_FLOAT, LARGEST_NUMBER, LARGEST_VALUE
from vigia.sparkplug.columns import NONE, Form
from vigia.sparkplug.decode import Columns, decode_packed
from vigia.sparkplug.names import QUALITY_GOOD, QUALITY_STALE
from vigia.store import telemetry
from vigia.store.telemetry import Readings

if TYPE_CHECKING:
    from vigia.ingest.sessions import Node, Sessions

_NONE: Final = NONE
_NULL, _INTEGER, _FLOAT, _BOOLEAN = int(Form.NULL), int(Form.INTEGER), int(Form.FLOAT), int(Form.BOOLEAN)
_GOOD, _UNCERTAIN, _STALE, _BAD = telemetry.GOOD, telemetry.UNCERTAIN, telemetry.STALE, telemetry.BAD
_WORD_BITS: Final = 64
_SEQ_MODULUS: Final = 256


class Metrics(NamedTuple):
    """What of `Columns` matters."""

    first: NDArray[np.int64]
    sent: NDArray[np.int64]
    alias: NDArray[np.int64]
    ts: NDArray[np.int64]
    datatype: NDArray[np.int32]
    form: NDArray[np.int8]
    value: NDArray[np.float64]
    whole: NDArray[np.uint64]
    quality: NDArray[np.int32]
    historical: NDArray[np.bool_]


class Found(NamedTuple):
    """The readings of the ordinary messages, and by message its numbers and where its readings end; `bad` ones have none."""

    point_id: NDArray[np.int32]
    ts: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.int16]
    end: NDArray[np.int64]
    epoch: NDArray[np.int64]
    eseq: NDArray[np.int64]
    bad: NDArray[np.bool_]
    oldest_live: NDArray[np.int64]


class Ordinary:
    """Reads what is ordinary of a delivery. `directory` learns from the slow path. `shared`: others have a part of the messages."""

    def __init__(self, sessions: "Sessions", *, shared: bool) -> None:
        self._sessions = sessions
        self._shared = shared
        self.directory = Directory()

    def read(self, delivery: Delivery) -> tuple[Block | None, NDArray[np.int64]]:
        """A block of the ordinary messages, None when there are none, and the numbers of the other messages, in their order."""
        every = np.arange(len(delivery))
        slot = self.directory.find(delivery.data, delivery.topic_start, delivery.topic_length)
        nodes, node_of_slot = self._ready(delivery, slot)
        if not nodes:
            return None, every
        place = np.where(slot == NONE, np.int32(NONE), node_of_slot[slot])
        chosen = np.flatnonzero(place != NONE)
        columns = decode_packed(delivery.data, delivery.payload_start[chosen], delivery.payload_length[chosen])
        expected = np.array([-1 if self._shared else node.order.expected for node in nodes], np.int64)
        numbered = np.array([node.numbered for node in nodes], np.bool_)
        metrics = _metrics(columns)
        place, slots = place[chosen], slot[chosen]
        odd = np.zeros(len(nodes), np.bool_)
        _in_turn(columns.seq, place, expected, odd)
        found = _resolve(metrics, slots, place, numbered, odd, self.directory.devices, self.directory.entries)
        if found.bad.any():
            odd[place[found.bad]] = True
        for node, seq, is_odd in zip(nodes, expected.tolist(), odd.tolist(), strict=True):
            if not is_odd and not self._shared:
                node.order.expected = seq
        if not odd.any():
            return self._block(delivery, chosen, nodes, place, found), np.setdiff1d(every, chosen, assume_unique=True)
        good = ~odd[place]
        block = self._block(delivery, chosen, nodes, place, found) if good.any() else None
        return None if block is None else _only(block, good, delivery, chosen), np.setdiff1d(every, chosen[good], assume_unique=True)

    def _ready(self, delivery: Delivery, slot: NDArray[np.int32]) -> tuple["list[Node]", NDArray[np.int32]]:
        """The nodes of which every message here may be ordinary, and by slot their numbers in that list, NONE for other slots."""
        heard = np.zeros(len(self.directory.slots) + 1, np.bool_)  # the last is for NONE
        heard[slot] = True
        number = np.full(len(heard), NONE, np.int32)
        others = {id(node) for node in self._senders(delivery, np.flatnonzero(slot == NONE))}
        nodes: list[Node] = []
        index: dict[int, int] = {}
        refused: set[int] = set()
        for one in np.flatnonzero(heard[:-1]).tolist():
            node = self.directory.slots[one].node
            key = id(node)
            if key in others or key in refused:
                continue
            if not (self._is_ready(node, delivery.session) and self.directory.current(one)):
                refused.add(key)
                continue
            if key not in index:
                index[key] = len(nodes)
                nodes.append(node)
            number[one] = index[key]
        if refused:  # found out after another slot of the same node
            for one in np.flatnonzero(number != NONE).tolist():
                if id(self.directory.slots[one].node) in refused:
                    number[one] = NONE
        return nodes, number

    def _is_ready(self, node: "Node", session: int) -> bool:
        return (
            node.confirmed
            and node.broker_session == session
            and not node.order.held
            and (self._shared or node.order.expected is not None)
            and self._sessions.is_current(node)
        )

    def _senders(self, delivery: Delivery, indexes: NDArray[np.int64]) -> "list[Node]":
        """The edge nodes of messages whose topic is in no slot."""
        found = []
        for topic in {delivery.topic(int(index)) for index in indexes}:
            node = self._sessions.sender(topic)
            if node is not None:
                found.append(node)
        return found

    @staticmethod
    def _block(delivery: Delivery, chosen: NDArray[np.int64], nodes: "list[Node]", place: NDArray[np.int32], found: Found) -> Block:
        edge = np.array([node.edge.edge_node_id for node in nodes], np.int32)[place]
        live = found.oldest_live[found.oldest_live > 0]
        return Block(
            edge_node_id=edge,
            epoch=found.epoch,
            eseq=found.eseq,
            first=np.append(np.zeros(1, np.int64), found.end),
            readings=Readings(found.point_id, found.ts, found.value, found.quality),
            message=lambda index: delivery.message(int(chosen[index])),
            live_ts=int(live.min()) if len(live) else 0,
        )


def _only(block: Block, good: NDArray[np.bool_], delivery: Delivery, chosen: NDArray[np.int64]) -> Block:
    """The good messages of the block."""
    kept = chosen[good]
    return Block(
        block.edge_node_id[good],
        block.epoch[good],
        block.eseq[good],
        np.append(np.zeros(1, np.int64), np.cumsum(block.rows[good])),
        block.of(good),
        message=lambda index: delivery.message(int(kept[index])),
        live_ts=block.live_ts,
    )


def _metrics(columns: Columns) -> Metrics:
    return Metrics(
        columns.first,
        columns.sent,
        columns.alias,
        columns.ts,
        columns.datatype,
        columns.form,
        columns.value,
        columns.whole,
        columns.quality,
        columns.historical,
    )


@njit(cache=True, nogil=True)
def _in_turn(seq: NDArray[np.int64], place: NDArray[np.int32], expected: NDArray[np.int64], odd: NDArray[np.bool_]) -> None:
    """Advance `expected` by node, and mark as odd each node one of whose messages is not the next; expected < 0: any number is."""
    for i in range(len(seq)):
        node = place[i]
        if seq[i] < 0 or seq[i] >= _SEQ_MODULUS or (expected[node] >= 0 and seq[i] != expected[node]):
            odd[node] = True
        elif expected[node] >= 0:
            expected[node] = (seq[i] + 1) % _SEQ_MODULUS


@njit(cache=True, nogil=True)
def _entry(alias: int, begin: int, end: int, guess: int, aliases: NDArray[np.int64]) -> int:
    """Where the alias stands between `begin` and `end`, mostly at the guess; -1 when it does not."""
    if begin <= guess < end and aliases[guess] == alias:
        return guess
    low, high = begin, end
    while low < high:
        middle = (low + high) // 2
        if aliases[middle] < alias:
            low = middle + 1
        else:
            high = middle
    return low if low < end and aliases[low] == alias else -1


@njit(cache=True, nogil=True)
def _integer(whole: np.uint64, kind: int) -> tuple[float, bool]:
    """The number that an unsigned word is in an integer type, and whether it fits; see `resolve`."""
    if kind > 0:
        limit = np.uint64(0xFFFF_FFFF_FFFF_FFFF) if kind == _WORD_BITS else (np.uint64(1) << np.uint64(kind)) - np.uint64(1)
        return float(whole), bool(whole <= limit)
    bits = -kind
    number = np.int64(whole)
    if bits == _WORD_BITS:
        return float(number), True
    if (np.int64(1) << 31) <= number < (np.int64(1) << 32):
        number -= np.int64(1) << 32
    half = np.int64(1) << (bits - 1)
    if half <= number < 2 * half:
        number -= 2 * half
    return float(number), bool(-half <= number < half)


@njit(cache=True, nogil=True)
def _value(metrics: Metrics, i: int, kind: int) -> tuple[float, bool]:
    """The metric's value, NaN for null, and whether it fits what numbers of its data type are."""
    form = metrics.form[i]
    if form == _NULL:
        return np.nan, True
    if form == _FLOAT:
        return metrics.value[i], kind == KIND_FLOAT
    if form == _BOOLEAN:
        return metrics.value[i], kind == KIND_BOOLEAN
    if form == _INTEGER and (kind < 0 or kind > KIND_BOOLEAN):
        return _integer(metrics.whole[i], kind)
    return np.nan, False


@njit(cache=True, nogil=True)
def _quality(said: int) -> int:
    if said == QUALITY_GOOD:
        return _GOOD
    if said == QUALITY_STALE:
        return _STALE
    if said < 64 or said > 255:  # noqa: PLR2004 - classic OPC quality
        return _BAD
    return _UNCERTAIN if said < QUALITY_GOOD else _GOOD


@njit(cache=True, nogil=True)
def _resolve(  # noqa: C901, PLR0912, PLR0913, PLR0915, PLR0917 - one pass over the metrics
    metrics: Metrics,
    slot: NDArray[np.int32],
    place: NDArray[np.int32],
    numbered: NDArray[np.bool_],
    odd: NDArray[np.bool_],
    devices: Devices,
    entries: Entries,
) -> Found:
    """The readings of all messages but those of nodes that are odd already."""
    messages, rows = len(slot), len(metrics.alias)
    point_id, ts_us = np.empty(rows, np.int32), np.empty(rows, np.int64)
    values, qualities = np.empty(rows, np.float64), np.empty(rows, np.int16)
    end = np.empty(messages, np.int64)
    epochs, eseqs = np.full(messages, _NONE), np.full(messages, _NONE)
    bad = np.zeros(messages, np.bool_)
    oldest = np.zeros(messages, np.int64)
    row = 0
    for message in range(messages):
        device, begun = slot[message], row
        low, high = devices.begin[device], devices.end[device]
        epoch_alias, batch_alias, serial_alias = devices.epoch_alias[device], devices.batch_alias[device], devices.serial_alias[device]
        epoch = eseq = np.int64(_NONE)
        guess = low
        fine = not odd[place[message]]
        for i in range(metrics.first[message], metrics.first[message + 1]):
            if not fine:
                break
            alias = metrics.alias[i]
            at = _entry(alias, low, high, guess, entries.alias) if alias != _NONE else -1
            if at < 0 or alias == serial_alias:
                fine = False
                break
            guess = at + 1 if at + 1 < high else low
            if alias == epoch_alias or alias == batch_alias:  # noqa: PLR1714, SIM109 - numba
                if metrics.form[i] == _INTEGER and metrics.whole[i] < np.uint64(LARGEST_NUMBER):
                    if alias == epoch_alias and epoch == _NONE:
                        epoch = np.int64(metrics.whole[i])
                    elif alias == batch_alias and eseq == _NONE:
                        eseq = np.int64(metrics.whole[i])
                else:
                    fine = False
                continue
            if entries.point_id[at] == _NONE:
                continue
            ts = metrics.ts[i] if metrics.ts[i] != _NONE else metrics.sent[message]
            value, fits = _value(metrics, i, entries.kind[at])
            said = metrics.datatype[i]
            fine = fits and EARLIEST_MS <= ts < LATEST_MS and (said == 0 or said == entries.datatype[at])
            quality = _quality(metrics.quality[i])
            if metrics.form[i] != _NULL and not abs(value) < LARGEST_VALUE:  # NaN too
                quality = _BAD
                value = np.nan if np.isinf(value) else value
            if not metrics.historical[i] and (oldest[message] == 0 or ts * 1000 < oldest[message]):
                oldest[message] = ts * 1000
            point_id[row], ts_us[row], values[row], qualities[row] = entries.point_id[at], ts * 1000, value, quality
            row += 1
        has_number = epoch != _NONE and eseq > 0
        if numbered[place[message]] != has_number:
            fine = False
        if not fine:
            bad[message] = True
            row = begun
        epochs[message], eseqs[message] = epoch if has_number else _NONE, eseq if has_number else _NONE
        end[message] = row
    return Found(point_id[:row], ts_us[:row], values[:row], qualities[:row], end, epochs, eseqs, bad, oldest)


def warm_up() -> None:
    """Compile for the types above."""
    none = np.zeros(0, np.int32)
    directory = Directory()
    directory.find(np.zeros(1, np.uint8), np.zeros(1, np.int64), np.ones(1, np.int64))
    metrics = _metrics(decode_packed(np.zeros(0, np.uint8), np.zeros(0, np.int64), np.zeros(0, np.int64)))
    _in_turn(np.zeros(0, np.int64), none, np.zeros(0, np.int64), np.zeros(0, np.bool_))
    _resolve(metrics, none, none, np.zeros(0, np.bool_), np.zeros(0, np.bool_), directory.devices, directory.entries)
