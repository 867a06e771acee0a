"""The readings of a batch by machine, and those of a machine by time: counted into their places, digit by digit."""

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

BITS: Final = 8  # of a digit of a time
DIGITS: Final = 1 << BITS
SPAN_BITS: Final = 64
FEW: Final = 32  # rows that are sooner inserted than counted


class Places(NamedTuple):
    """Whose a point is. machine : int32[points], -1: nobody's; column : int16[points], a channel of it, or behind those a setting."""

    machine: NDArray[np.int32]
    column: NDArray[np.int16]


class Rows(NamedTuple):
    """Readings of many machines; those of machine m are first[m] to first[m + 1] (int64[machines + 1]), by time in microseconds."""

    first: NDArray[np.int64]
    ts: NDArray[np.int64]
    column: NDArray[np.int16]
    value: NDArray[np.float64]


class _Keys(NamedTuple):
    """What is sorted: times since the earliest one, and the row number of each."""

    ts: NDArray[np.int64]
    row: NDArray[np.int32]


@njit(cache=True, nogil=True)
def _insert(keys: _Keys, n: int) -> None:
    """Sort the first `n`, which are few."""
    for i in range(1, n):
        ts, row, at = keys.ts[i], keys.row[i], i
        while at > 0 and keys.ts[at - 1] > ts:
            keys.ts[at], keys.row[at] = keys.ts[at - 1], keys.row[at - 1]
            at -= 1
        keys.ts[at], keys.row[at] = ts, row


@njit(cache=True, nogil=True)
def _by_digits(source: _Keys, target: _Keys, n: int, span: int, place: NDArray[np.int32]) -> _Keys:
    """The first `n`, none beyond `span`, sorted by one digit after the other from the last one on; in the one or the other."""
    shift = 0
    while shift < SPAN_BITS and span >> shift > 0:
        place[:] = 0
        for i in range(n):
            place[(source.ts[i] >> shift) & (DIGITS - 1)] += 1
        begin = np.int32(0)
        for digit in range(DIGITS):
            count = place[digit]
            place[digit] = begin
            begin += count
        for i in range(n):
            digit = (source.ts[i] >> shift) & (DIGITS - 1)
            target.ts[place[digit]], target.row[place[digit]] = source.ts[i], source.row[i]
            place[digit] += 1
        source, target = target, source
        shift += BITS
    return source


@njit(cache=True, nogil=True)
def _sort(rows: Rows) -> None:
    """Each machine's readings by time."""
    most = np.int64(0)
    for m in range(len(rows.first) - 1):
        most = max(most, rows.first[m + 1] - rows.first[m])
    column, value, place = np.empty(most, np.int16), np.empty(most), np.empty(DIGITS, np.int32)
    one, other = _Keys(np.empty(most, np.int64), np.empty(most, np.int32)), _Keys(np.empty(most, np.int64), np.empty(most, np.int32))
    for m in range(len(rows.first) - 1):
        low, n = rows.first[m], rows.first[m + 1] - rows.first[m]
        ordered, earliest, latest = True, np.int64(0), np.int64(0)
        for i in range(n):
            ts = rows.ts[low + i]
            if i == 0:
                earliest, latest = ts, ts
            ordered &= ts >= latest
            earliest, latest = min(earliest, ts), max(latest, ts)
        if ordered:
            continue
        for i in range(n):
            one.ts[i], one.row[i], column[i], value[i] = rows.ts[low + i] - earliest, i, rows.column[low + i], rows.value[low + i]
        keys = one
        if n > FEW:
            keys = _by_digits(one, other, n, int(latest - earliest), place)
        else:
            _insert(one, n)
        for i in range(n):
            row = keys.row[i]
            rows.ts[low + i], rows.column[low + i], rows.value[low + i] = earliest + keys.ts[i], column[row], value[row]


@njit(cache=True, nogil=True)
def by_machine(
    places: Places, since: NDArray[np.int64], point: NDArray[np.int32], ts: NDArray[np.int64], value: NDArray[np.float64]
) -> Rows:
    """The readings of points that are somebody's, from columns of one length in any order; of equal times in the order they came.

    since : int64[machines]; a machine's readings before it are left out
    """
    machines = len(since)
    owner, first = np.empty(len(point), np.int32), np.zeros(machines + 2, np.int64)
    for i in range(len(point)):
        m = places.machine[point[i]] if point[i] < len(places.machine) else -1
        owner[i] = m if m >= 0 and ts[i] >= since[m] else -1
        first[owner[i] + 2] += 1
    first[1] = 0  # nobody's
    for m in range(machines):
        first[m + 2] += first[m + 1]
    n = first[machines + 1]
    rows = Rows(first[: machines + 1], np.empty(n, np.int64), np.empty(n, np.int16), np.empty(n))
    for i in range(len(point)):
        if owner[i] >= 0:
            at = first[owner[i] + 1]
            rows.ts[at], rows.column[at], rows.value[at] = ts[i], places.column[point[i]], value[i]
            first[owner[i] + 1] += 1
    _sort(rows)
    return rows
