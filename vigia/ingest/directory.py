"""Data topics that are known, and what their devices' aliases mean: arrays that kernels look things up in, many at a time."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vigia.ingest.births import DeviceTable
from vigia.ingest.resolve import INTEGER_BITS, KIND_BOOLEAN, KIND_FLOAT, KIND_NONE
from vigia.sparkplug.columns import NONE
from vigia.sparkplug.datatypes import DataType

if TYPE_CHECKING:
    from vigia.ingest.sessions import Node

_KINDS: Final = {
    DataType.FLOAT: KIND_FLOAT,
    DataType.DOUBLE: KIND_FLOAT,
    DataType.BOOLEAN: KIND_BOOLEAN,
    **{kind: -bits if signed else bits for kind, (bits, signed) in INTEGER_BITS.items()},
}
_KIND_OF: Final = np.full(256, KIND_NONE, np.int16)
for _type, _kind in _KINDS.items():
    _KIND_OF[int(_type)] = _kind
_WASTE: Final = 4096  # entries of devices that are gone


class Devices(NamedTuple):
    """By device: its stretch of `Entries`, and the aliases of its numbers; NONE where it has none."""

    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    epoch_alias: NDArray[np.int64]
    batch_alias: NDArray[np.int64]
    serial_alias: NDArray[np.int64]
    result_alias: NDArray[np.int64]


class Entries(NamedTuple):
    """By metric, sorted by alias within a device: its point, NONE where it holds no readings; its data type and what numbers of it are."""

    alias: NDArray[np.int64]
    point_id: NDArray[np.int32]
    datatype: NDArray[np.int32]
    kind: NDArray[np.int16]


@dataclass
class Slot:
    """A data topic: the device that speaks there, and the table that its entries were taken from."""

    node: "Node"
    device_id: str
    table: DeviceTable | None = None


class Directory:
    """Slots are numbers from 0. `learn` a topic at its device's birth; `current` says which slots still do."""

    def __init__(self) -> None:
        self.slots: list[Slot] = []
        self._number: dict[bytes, int] = {}
        self._hash = np.zeros(64, np.int64)
        self._slot = np.full(64, NONE, np.int32)
        self._names = np.zeros(4096, np.uint8)
        self._name_at = np.zeros(65, np.int64)
        self.devices = Devices(*(np.zeros(64, np.int64) for _ in Devices._fields))
        self.entries = Entries(np.zeros(64, np.int64), np.zeros(64, np.int32), np.zeros(64, np.int32), np.zeros(64, np.int16))
        self._used = 0
        self._wasted = 0

    def learn(self, topic: bytes, node: "Node", device_id: str) -> None:
        """Data of this device comes on `topic`."""
        number = self._number.get(topic)
        if number is not None:
            slot = self.slots[number]
            if slot.node is not node or slot.device_id != device_id:
                self.slots[number] = Slot(node, device_id)
            return
        number = self._number[topic] = len(self.slots)
        self.slots.append(Slot(node, device_id))
        self._make_room(len(topic))
        begin = int(self._name_at[number])
        self._names[begin : begin + len(topic)] = np.frombuffer(topic, np.uint8)
        self._name_at[number + 1] = begin + len(topic)
        _enter(self._hash, self._slot, _hash_of(self._names, begin, begin + len(topic)), number)

    def _make_room(self, topic_bytes: int) -> None:
        count = len(self.slots)
        self._names = _grown(self._names, int(self._name_at[count - 1]) + topic_bytes)
        self._name_at = _grown(self._name_at, count + 1)
        self.devices = Devices(*(_grown(column, count) for column in self.devices))
        if 2 * count > len(self._hash):
            old_hash, old_slot = self._hash, self._slot
            self._hash = np.zeros(2 * len(old_hash), np.int64)
            self._slot = np.full(2 * len(old_slot), NONE, np.int32)
            for at in np.flatnonzero(old_slot != NONE).tolist():
                _enter(self._hash, self._slot, int(old_hash[at]), int(old_slot[at]))

    def find(self, data: NDArray[np.uint8], start: NDArray[np.int64], length: NDArray[np.int64]) -> NDArray[np.int32]:
        """The slot of each topic, NONE where it is not known. Topics stand at `start` in `data`, in bytes."""
        return _find(data, start, length, self._hash, self._slot, self._names, self._name_at)

    def current(self, number: int) -> bool:
        """Whether the slot's device is known by a birth; its entries are those of that birth then."""
        slot = self.slots[number]
        table = slot.node.tables.get(slot.device_id)
        if table is None or table.device is None:
            return False
        if slot.table is not table:
            self._take(number, slot, table)
        return True

    def _take(self, number: int, slot: Slot, table: DeviceTable) -> None:
        if slot.table is not None:
            self._wasted += int(self.devices.end[number] - self.devices.begin[number])
        slot.table = table
        if self._wasted > _WASTE and self._wasted > self._used // 2:
            self._used = self._wasted = 0
            for other, one in enumerate(self.slots):
                if one.table is not None:
                    self._append(other, one.table)
        else:
            self._append(number, table)

    def _append(self, number: int, table: DeviceTable) -> None:
        count, begin = len(table.aliases), self._used
        end = begin + count
        self.entries = Entries(*(_grown(column, end) for column in self.entries))
        self.entries.alias[begin:end] = table.aliases
        self.entries.point_id[begin:end] = table.point_id[:count]
        self.entries.datatype[begin:end] = table.datatype[:count]
        self.entries.kind[begin:end] = _KIND_OF[np.clip(table.datatype[:count], 0, len(_KIND_OF) - 1)]
        aliases = (table.epoch_alias, table.batch_alias, table.serial_alias, table.result_alias)
        for column, value in zip(self.devices, (begin, end, *aliases), strict=True):
            column[number] = value
        self._used = end


def _grown(column: NDArray[Any], size: int) -> NDArray[Any]:
    """`column`, or a copy that has room for `size`."""
    if size <= len(column):
        return column
    grown = np.zeros(max(size, 2 * len(column)), column.dtype)
    grown[: len(column)] = column
    return grown


@njit(cache=True, nogil=True)
def _hash_of(data: NDArray[np.uint8], begin: int, end: int) -> int:
    """FNV-1a."""
    found = np.uint64(0xCBF29CE484222325)
    for i in range(begin, end):
        found = (found ^ np.uint64(data[i])) * np.uint64(0x100000001B3)
    return int(np.int64(found))


@njit(cache=True, nogil=True)
def _enter(hashes: NDArray[np.int64], slots: NDArray[np.int32], key: int, slot: int) -> None:
    mask = len(hashes) - 1
    at = key & mask
    while slots[at] >= 0:
        at = (at + 1) & mask
    hashes[at] = key
    slots[at] = slot


@njit(cache=True, nogil=True)
def _find(  # noqa: PLR0913, PLR0917 - columns
    data: NDArray[np.uint8],
    start: NDArray[np.int64],
    length: NDArray[np.int64],
    hashes: NDArray[np.int64],
    slots: NDArray[np.int32],
    names: NDArray[np.uint8],
    name_at: NDArray[np.int64],
) -> NDArray[np.int32]:
    found = np.empty(len(start), np.int32)
    mask = len(hashes) - 1
    for i in range(len(start)):
        key = _hash_of(data, start[i], start[i] + length[i])
        at = key & mask
        while slots[at] >= 0:
            begin = name_at[slots[at]]
            if hashes[at] == key and name_at[slots[at] + 1] - begin == length[i]:
                same = True
                for byte in range(length[i]):
                    same = same and names[begin + byte] == data[start[i] + byte]
                if same:
                    break
            at = (at + 1) & mask
        found[i] = slots[at]  # -1 where the search ended at an empty place
    return found
