"""Rows in the order in which they are stored: by point, then time, then value. A counting sort; what is late is merged in."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

RUN = 16  # rows that are put in order one by one before runs are merged
SPARSE = 128  # from this many slots a row on it is dearer to count them than to compare the rows
_FINE, _UNEQUAL, _OUTSIDE = range(3)


class Rows(NamedTuple):
    """Columns of one length: the point's number, microseconds since 1970 UTC, NaN where there is no value, the quality."""

    slot: NDArray[np.int32]
    ts: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.int16]


@njit(cache=True, nogil=True)
def _less(rows: Rows, a: int, b: int) -> bool:
    """Whether row `a` belongs before row `b`. No value stands before any value."""
    slot, other_slot = rows.slot[a], rows.slot[b]
    if slot != other_slot:
        return bool(slot < other_slot)
    ts, other_ts = rows.ts[a], rows.ts[b]
    if ts != other_ts:
        return bool(ts < other_ts)
    value, other_value = rows.value[a], rows.value[b]
    if np.isnan(value) != np.isnan(other_value):
        return bool(np.isnan(value))
    if value < other_value or value > other_value:
        return bool(value < other_value)
    return bool(rows.quality[a] < rows.quality[b])


@njit(cache=True, nogil=True)
def _merge(rows: Rows, source: NDArray[np.int64], target: NDArray[np.int64], middle: int) -> None:
    """Both halves of `source`, each in order, as one into `target`; of equals the left one first."""
    n = len(source)
    if middle >= n or not _less(rows, source[middle], source[middle - 1]):
        target[:] = source
        return
    left, right = 0, middle
    for i in range(n):
        if right == n or (left < middle and not _less(rows, source[right], source[left])):
            target[i] = source[left]
            left += 1
        else:
            target[i] = source[right]
            right += 1


@njit(cache=True, nogil=True)
def _sort(rows: Rows, order: NDArray[np.int64]) -> None:
    """Put the row numbers `order` in order, stably: insertion within runs, then merges of twice the length each time."""
    n = len(order)
    for low in range(0, n, RUN):
        for i in range(low + 1, min(low + RUN, n)):
            row = order[i]
            at = i
            while at > low and _less(rows, row, order[at - 1]):
                order[at] = order[at - 1]
                at -= 1
            order[at] = row
    source, target = order, np.empty_like(order)
    width = RUN
    while width < n:
        for low in range(0, n, 2 * width):
            _merge(rows, source[low : low + 2 * width], target[low : low + 2 * width], width)
        source, target = target, source
        width *= 2
    order[:] = source  # itself when the number of rounds was even


@njit(cache=True, nogil=True)
def _by_counting(rows: Rows, slots: int, order: NDArray[np.int64]) -> None:
    """Fill `order` with the row numbers by slot, rows of one slot as they came."""
    place = np.zeros(slots + 1, np.int32)
    for i in range(len(order)):
        place[rows.slot[i] + 1] += 1
    for slot in range(1, slots):
        place[slot] += place[slot - 1]
    for i in range(len(order)):
        slot = rows.slot[i]
        order[place[slot]] = i
        place[slot] += 1


@njit(cache=True, nogil=True)
def _gather(rows: Rows, order: NDArray[np.int64], out: Rows) -> bool:
    """Fill `out` with the rows in `order`, which is by slot; whether the rows of every slot are in order too."""
    ordered = True
    last_slot, last_ts = np.int32(-1), np.int64(0)
    for i in range(len(order)):
        row = order[i]
        slot, ts = rows.slot[row], rows.ts[row]
        out.slot[i] = slot
        out.ts[i] = ts
        out.value[i] = rows.value[row]
        out.quality[i] = rows.quality[row]
        if slot == last_slot and ts <= last_ts:
            ordered = ordered and not _less(rows, row, order[i - 1])
        last_slot, last_ts = slot, ts
    return ordered


@njit(cache=True, nogil=True)
def _repair(rows: Rows, order: NDArray[np.int64], out: Rows) -> None:
    """Put right the slots whose rows are not in order, in `order` and `out`."""
    begin = 0
    while begin < len(order):
        end = begin + 1
        ordered = True
        while end < len(order) and out.slot[end] == out.slot[begin]:
            ordered = ordered and not _less(rows, order[end], order[end - 1])
            end += 1
        if not ordered:
            _sort(rows, order[begin:end])
            for i in range(begin, end):
                row = order[i]
                out.ts[i] = rows.ts[row]
                out.value[i] = rows.value[row]
                out.quality[i] = rows.quality[row]
        begin = end


@njit(cache=True, nogil=True)
def sort_rows(rows: Rows, slots: int, order: NDArray[np.int64], out: Rows) -> int:
    """Fill `order` and `out`, as long as `rows`; 0, or what is wrong with `rows`: 1 the lengths, 2 a slot not in 0..slots-1."""
    n = len(rows.slot)
    if len(rows.ts) != n or len(rows.value) != n or len(rows.quality) != n:
        return _UNEQUAL
    for i in range(n):
        if rows.slot[i] < 0 or rows.slot[i] >= slots:
            return _OUTSIDE
    if n * SPARSE < slots:
        for i in range(n):
            order[i] = i
        _sort(rows, order)
        _gather(rows, order, out)
    else:
        _by_counting(rows, slots, order)
        if not _gather(rows, order, out):
            _repair(rows, order, out)
    return _FINE


def by_slot(rows: Rows, slots: int) -> tuple[NDArray[np.int64], Rows]:
    """The row numbers in order, int64[n], and copies of the columns in that order.

    The order is (slot, ts, no value before any value, value, quality); rows equal in all of them stay as they came.
    Raises ValueError when the columns differ in length or a slot is not in 0..slots-1.
    """
    n = len(rows.slot)
    order = np.empty(n, np.int64)
    out = Rows(np.empty(n, np.int32), np.empty(n, np.int64), np.empty(n, np.float64), np.empty(n, np.int16))
    fault = sort_rows(rows, slots, order, out)
    if fault == _UNEQUAL:
        raise ValueError("columns of different length")
    if fault == _OUTSIDE:
        msg = f"a slot is outside 0..{slots - 1}"
        raise ValueError(msg)
    return order, out


@njit(cache=True, nogil=True)
def in_order(point: NDArray[np.int64], ts: NDArray[np.int64]) -> bool:
    """Whether columns of the same length are sorted by (point, ts)."""
    wrong = 0
    for i in range(1, len(point)):
        wrong += point[i] < point[i - 1] or (point[i] == point[i - 1] and ts[i] < ts[i - 1])
    return wrong == 0


def warm_up() -> None:
    """Compile for the types above."""
    in_order(np.zeros(1, np.int64), np.zeros(1, np.int64))
    by_slot(Rows(np.zeros(1, np.int32), np.zeros(1, np.int64), np.zeros(1), np.zeros(1, np.int16)), 1)
