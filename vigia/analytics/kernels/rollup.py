"""Readings of a batch reduced to one partial a point and minute, ready to be merged with what is stored."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

MINUTE_US = 60_000_000
SECOND_US = 1_000_000


class Readings(NamedTuple):
    """Columns sorted by (point_id, ts); only the `good` are counted and summed.

    `ts` is microseconds since 1970 UTC, `value` NaN where there is none.
    """

    point_id: NDArray[np.int32]
    ts: NDArray[np.int64]
    value: NDArray[np.float64]
    good: NDArray[np.bool_]


class Partials(NamedTuple):
    """One row a (point, minute), sorted likewise.

    `last_ts` and `last` are of the newest reading, good or not; of two at the same moment the greater value.
    `minimum`, `maximum` and `last` are NaN where there is none. Bit s of `good_mask` is set when second s of the minute has a good reading.
    """

    point_id: NDArray[np.int32]
    bucket: NDArray[np.int64]
    counted: NDArray[np.int64]
    total: NDArray[np.float64]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    last_ts: NDArray[np.int64]
    last: NDArray[np.float64]
    good_mask: NDArray[np.int64]


@njit(cache=True, nogil=True)
def count_partials(point_id: NDArray[np.int32], ts: NDArray[np.int64]) -> int:
    """How many partials the readings make; -1 when they are not sorted."""
    made = 0
    point, newest, end = np.int32(0), np.int64(0), np.int64(0)
    for i in range(len(ts)):
        if made == 0 or point_id[i] != point or ts[i] >= end:
            if made and (point_id[i] < point or (point_id[i] == point and ts[i] < newest)):
                return -1
            made += 1
            point = point_id[i]
            end = ts[i] - ts[i] % MINUTE_US + MINUTE_US
        elif ts[i] < newest:
            return -1
        newest = ts[i]
    return made


@njit(cache=True, nogil=True)
def minute_partials(readings: Readings, out: Partials) -> None:
    """Fill `out`, which is as long as `count_partials` says, with the partials of `readings`."""
    n = len(readings.ts)
    i = 0
    for made in range(len(out.point_id)):
        point, ts, last = readings.point_id[i], readings.ts[i], readings.value[i]
        bucket = ts - ts % MINUTE_US
        last_ts = ts
        counted, total, minimum, maximum, mask = 0, 0.0, np.nan, np.nan, np.int64(0)
        while i < n and readings.point_id[i] == point and readings.ts[i] < bucket + MINUTE_US:
            ts, value = readings.ts[i], readings.value[i]
            if ts > last_ts or np.isnan(last) or value > last:
                last_ts, last = ts, value
            if readings.good[i]:
                minimum = value if counted == 0 else min(value, minimum)
                maximum = value if counted == 0 else max(value, maximum)
                counted += 1
                total += value
                mask |= np.int64(1) << ((ts - bucket) // SECOND_US)
            i += 1
        out.point_id[made] = point
        out.bucket[made] = bucket
        out.counted[made] = counted
        out.total[made] = total
        out.minimum[made] = minimum
        out.maximum[made] = maximum
        out.last_ts[made] = last_ts
        out.last[made] = last
        out.good_mask[made] = mask


def by_minute(readings: Readings) -> Partials:
    """The partials of `readings`. Raises ValueError when its columns differ in length or are not sorted."""
    if len({len(column) for column in readings}) != 1:
        raise ValueError("columns of different length")
    rows = count_partials(readings.point_id, readings.ts)
    if rows < 0:
        raise ValueError("readings are not sorted by (point_id, ts)")
    out = Partials(
        np.empty(rows, np.int32),
        np.empty(rows, np.int64),
        np.empty(rows, np.int64),
        np.empty(rows, np.float64),
        np.empty(rows, np.float64),
        np.empty(rows, np.float64),
        np.empty(rows, np.int64),
        np.empty(rows, np.float64),
        np.empty(rows, np.int64),
    )
    minute_partials(readings, out)
    return out


def warm_up() -> None:
    """Compile for the types of `Readings`."""
    by_minute(Readings(np.zeros(1, np.int32), np.zeros(1, np.int64), np.zeros(1), np.ones(1, np.bool_)))
