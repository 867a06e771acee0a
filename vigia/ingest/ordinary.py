"""The ordinary data message: of a device that is known, in its turn, of metrics that are known. Thousands are read at a time.

A message is ordinary only if the slow path (`sessions`, `prepare`) would make the very same of it. One in its turn that is not as its
birth says, or that nobody can read, changes nothing for those behind it: it is handed on alone. From the first message of an edge node
that may change something (a birth, a death, a gap) the rest of what it says in the delivery is left to the slow path.
"""

from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vigia.ingest.births import EARLIEST_MS, LATEST_MS
from vigia.ingest.blocks import Block
from vigia.ingest.directory import Devices, Directory, Entries
from vigia.ingest.events import DeviceBirth, DeviceData, Letter
from vigia.ingest.inbox import Delivery, Message
from vigia.ingest.resolve import KIND_BOOLEAN, KIND_FLOAT, LARGEST_NUMBER, LARGEST_VALUE
from vigia.ingest.sessions import UNREADABLE, Node, Sessions, unreadable
from vigia.sparkplug import SparkplugError
from vigia.sparkplug.columns import NONE, Form
from vigia.sparkplug.decode import Columns, decode_packed
from vigia.sparkplug.names import QUALITY_GOOD, QUALITY_STALE
from vigia.sparkplug.topics import MessageType, Topic, parse
from vigia.store import telemetry
from vigia.store.telemetry import Readings

_NONE: Final = NONE
_NULL, _INTEGER, _FLOAT, _BOOLEAN = int(Form.NULL), int(Form.INTEGER), int(Form.FLOAT), int(Form.BOOLEAN)
_GOOD, _UNCERTAIN, _STALE, _BAD = telemetry.GOOD, telemetry.UNCERTAIN, telemetry.STALE, telemetry.BAD
_WORD_BITS: Final = 64
_SEQ_MODULUS: Final = 256
_FINE, _ODD, _LEFT = range(3)  # what is known of a message: as its birth says, handed on alone, left to the slow path


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
    """The readings of the ordinary messages, and by message its numbers and where its readings end; others have none."""

    point_id: NDArray[np.int32]
    ts: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.int16]
    end: NDArray[np.int64]
    epoch: NDArray[np.int64]
    eseq: NDArray[np.int64]
    oldest_live: NDArray[np.int64]


class Read(NamedTuple):
    """What a delivery holds. `odd` is data to be looked at alone and written with the block.

    `letters` are of what nobody can read, `others` the numbers of the messages for the slow path, in their order.
    """

    block: Block | None
    odd: list[DeviceData]
    letters: list[Letter]
    others: NDArray[np.int64]


class Ordinary:
    """Reads what is ordinary of a delivery. `directory` learns from births. `shared`: others have a part of the messages."""

    def __init__(self, sessions: Sessions, *, shared: bool) -> None:
        self._sessions = sessions
        self._shared = shared
        self.directory = Directory()

    def born(self, event: DeviceBirth) -> None:
        """From now on this device's data is read here; one that speaks no Sparkplug never is."""
        try:
            topic = parse(event.message.topic)
        except SparkplugError:
            return
        if isinstance(topic, Topic):
            self.directory.learn(str(replace(topic, message_type=MessageType.DDATA)).encode(), event.node, event.device_id)

    def read(self, delivery: Delivery) -> Read:
        """Takes the ordinary messages, and those that go beside them."""
        slot = self.directory.find(delivery.data, delivery.topic_start, delivery.topic_length)
        ready = _Ready(self._sessions, delivery, shared=self._shared)
        known, node_of_slot = self._known(slot, ready)
        letters = ready.strangers(np.flatnonzero(slot == NONE))
        place = np.where(slot == NONE, np.int32(NONE), node_of_slot[slot])
        chosen = np.flatnonzero(place != NONE)
        left = np.ones(len(delivery), np.bool_)
        left[list(letters)] = False
        if not len(chosen):
            return Read(None, [], list(letters.values()), np.flatnonzero(left))
        columns = decode_packed(delivery.data, delivery.payload_start[chosen], delivery.payload_length[chosen])
        place, slots = place[chosen], slot[chosen]
        expected = np.array([-1 if self._shared else node.order.expected for node in ready.nodes], np.int64)
        numbered = np.array([node.numbered for node in ready.nodes], np.bool_)
        state = np.full(len(chosen), _FINE, np.int8)
        _in_turn(columns.seq, place, chosen, np.array(ready.until, np.int64), expected, state)
        state[(state == _FINE) & ~known[slots]] = _ODD
        found = _resolve(_metrics(columns), slots, numbered[place], state, self.directory.devices, self.directory.entries)
        if not self._shared:
            for node, seq in zip(ready.nodes, expected.tolist(), strict=True):
                node.order.expected = seq
        left[chosen[state != _LEFT]] = False
        fine = state == _FINE
        block = _block(delivery, chosen, np.array([node.edge.edge_node_id for node in ready.nodes], np.int32)[place], found, fine)
        alone = [self._alone(delivery.message(int(chosen[i])), slots[i], columns, i) for i in np.flatnonzero(state == _ODD).tolist()]
        odd = [one for one in alone if isinstance(one, DeviceData)]
        unread = [one for one in alone if isinstance(one, Letter)]
        return Read(block if fine.any() else None, odd, [*letters.values(), *unread], np.flatnonzero(left))

    def _known(self, slot: NDArray[np.int32], ready: "_Ready") -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
        """By slot: whether its device's birth is known, and the number of its node among those that are `ready`, NONE otherwise."""
        heard = np.zeros(len(self.directory.slots) + 1, np.bool_)  # the last is for NONE
        heard[slot] = True
        known, number = np.zeros(len(heard), np.bool_), np.full(len(heard), NONE, np.int32)
        for one in np.flatnonzero(heard[:-1]).tolist():
            number[one] = ready.number(self.directory.slots[one].node)
            known[one] = number[one] != NONE and self.directory.current(one)
        return known, number

    def _alone(self, message: Message, slot: int, columns: Columns, index: int) -> DeviceData | Letter:
        fault = unreadable(columns, index)
        if fault is not None:
            return Letter(message, UNREADABLE, fault)
        of = self.directory.slots[slot]
        return DeviceData(of.node, of.device_id, columns, index, message)


class _Ready:
    """The edge nodes whose order is known, numbered as they are met; each is left to the slow path from message `until` on."""

    def __init__(self, sessions: Sessions, delivery: Delivery, *, shared: bool) -> None:
        self._sessions = sessions
        self._delivery = delivery
        self._shared = shared
        self._number: dict[int, int] = {}
        self.nodes: list[Node] = []
        self.until: list[int] = []

    def number(self, node: Node) -> int:
        """The node's number; NONE when its order is not known."""
        number = self._number.get(id(node))
        if number is None:
            number = len(self.nodes) if self._is_ready(node) else NONE
            self._number[id(node)] = number
            if number != NONE:
                self.nodes.append(node)
                self.until.append(len(self._delivery))
        return number

    def strangers(self, indexes: NDArray[np.int64]) -> dict[int, Letter]:
        """Look at the messages on topics of no slot: the letters, by message, of those that change nothing; the others end their turn."""
        letters: dict[int, Letter] = {}
        senders: dict[str, Node | None] = {}
        for index in indexes.tolist():
            topic = self._delivery.topic(index)
            if topic not in senders:
                senders[topic] = self._sessions.sender(topic)
            node = senders[topic]
            number = NONE if node is None else self.number(node)
            if node is None or number == NONE or self.until[number] < index:
                continue
            letter = self._sessions.unreadable(node, self._delivery.message(index))
            if letter is None:
                self.until[number] = index
            else:
                letters[index] = letter
        return letters

    def _is_ready(self, node: Node) -> bool:
        return (
            node.confirmed
            and node.broker_session == self._delivery.session
            and not node.order.held
            and (self._shared or node.order.expected is not None)
            and self._sessions.is_current(node)
        )


def _block(delivery: Delivery, chosen: NDArray[np.int64], edge: NDArray[np.int32], found: Found, fine: NDArray[np.bool_]) -> Block:
    """The `fine` messages; the others have no readings in what was `found`."""
    live = found.oldest_live[found.oldest_live > 0]
    kept = chosen[fine]
    return Block(
        edge_node_id=edge[fine],
        epoch=found.epoch[fine],
        eseq=found.eseq[fine],
        first=np.append(np.zeros(1, np.int64), found.end[fine]),
        readings=Readings(found.point_id, found.ts, found.value, found.quality),
        message=lambda index: delivery.message(int(kept[index])),
        live_ts=int(live.min()) if len(live) else 0,
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
def _in_turn(  # noqa: PLR0913, PLR0917 - columns
    seq: NDArray[np.int64],
    place: NDArray[np.int32],
    index: NDArray[np.int64],
    until: NDArray[np.int64],
    expected: NDArray[np.int64],
    state: NDArray[np.int8],
) -> None:
    """Advance `expected` by node, and say of each message whether it is read here; expected < 0: any number is the next.

    One without a number is nobody's next. A node is left from message `until` on, or from the first that is not the next.
    """
    for i in range(len(seq)):
        node = place[i]
        if index[i] >= until[node]:
            state[i] = _LEFT
        elif seq[i] < 0 or seq[i] >= _SEQ_MODULUS:
            state[i] = _ODD
        elif expected[node] >= 0 and seq[i] != expected[node]:
            until[node] = index[i]
            state[i] = _LEFT
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
    numbered: NDArray[np.bool_],
    state: NDArray[np.int8],
    devices: Devices,
    entries: Entries,
) -> Found:
    """The readings of the messages that are fine so far; whatever is not as its birth says makes its message odd."""
    messages, rows = len(slot), len(metrics.alias)
    point_id, ts_us = np.empty(rows, np.int32), np.empty(rows, np.int64)
    values, qualities = np.empty(rows, np.float64), np.empty(rows, np.int16)
    end = np.empty(messages, np.int64)
    epochs, eseqs = np.full(messages, _NONE), np.full(messages, _NONE)
    oldest = np.zeros(messages, np.int64)
    row = 0
    for message in range(messages):
        begun = row
        end[message] = row
        if state[message] != _FINE:
            continue
        device = slot[message]
        low, high = devices.begin[device], devices.end[device]
        epoch_alias, batch_alias, serial_alias = devices.epoch_alias[device], devices.batch_alias[device], devices.serial_alias[device]
        result_alias = devices.result_alias[device]
        epoch = eseq = np.int64(_NONE)
        guess = low
        fine = True
        for i in range(metrics.first[message], metrics.first[message + 1]):
            if not fine:
                break
            alias = metrics.alias[i]
            at = _entry(alias, low, high, guess, entries.alias) if alias != _NONE else -1
            if at < 0 or alias == serial_alias or alias == result_alias:  # noqa: PLR1714, SIM109 - numba
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
        if not fine or numbered[message] != has_number:
            state[message] = _ODD
            oldest[message] = 0
            row = begun
        epochs[message], eseqs[message] = epoch if has_number else _NONE, eseq if has_number else _NONE
        end[message] = row
    return Found(point_id[:row], ts_us[:row], values[:row], qualities[:row], end, epochs, eseqs, oldest)


def warm_up() -> None:
    """Compile for the types above."""
    none = np.zeros(0, np.int32)
    directory = Directory()
    directory.find(np.zeros(1, np.uint8), np.zeros(1, np.int64), np.ones(1, np.int64))
    metrics = _metrics(decode_packed(np.zeros(0, np.uint8), np.zeros(0, np.int64), np.zeros(0, np.int64)))
    whole, state = np.zeros(0, np.int64), np.zeros(0, np.int8)
    _in_turn(whole, none, whole, whole, whole, state)
    _resolve(metrics, none, np.zeros(0, np.bool_), state, directory.devices, directory.entries)
