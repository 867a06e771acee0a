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
def minute_partials(readings: Readings, out: Partials) -> int:
    """Fill `out`, which is long enough, with the partials of `readings`; return how many rows it took."""
    made = -1
    for i in range(len(readings.ts)):
        ts, value = readings.ts[i], readings.value[i]
        bucket = ts - ts % MINUTE_US
        if made < 0 or out.point_id[made] != readings.point_id[i] or out.bucket[made] != bucket:
            made += 1
            out.point_id[made] = readings.point_id[i]
            out.bucket[made] = bucket
            out.counted[made] = 0
            out.total[made] = 0.0
            out.minimum[made] = np.nan
            out.maximum[made] = np.nan
            out.last_ts[made] = ts
            out.last[made] = value
            out.good_mask[made] = 0
        elif ts > out.last_ts[made] or np.isnan(out.last[made]) or value > out.last[made]:
            out.last_ts[made] = ts
            out.last[made] = value
        if readings.good[i]:
            out.counted[made] += 1
            out.total[made] += value
            out.good_mask[made] |= np.int64(1) << ((ts - bucket) // SECOND_US)
            out.minimum[made] = min(value, out.minimum[made]) if out.counted[made] > 1 else value
            out.maximum[made] = max(value, out.maximum[made]) if out.counted[made] > 1 else value
    return made + 1


def by_minute(readings: Readings) -> Partials:
    """The partials of `readings`. Raises ValueError when its columns differ in length or are not sorted."""
    point_id, ts = readings.point_id, readings.ts
    if len({len(column) for column in readings}) != 1:
        raise ValueError("columns of different length")
    same = point_id[1:] == point_id[:-1]
    if np.any(point_id[1:] < point_id[:-1]) or np.any(same & (ts[1:] < ts[:-1])):
        raise ValueError("readings are not sorted by (point_id, ts)")
    minute = ts // MINUTE_US
    rows = int(np.count_nonzero(~same | (minute[1:] != minute[:-1]))) + min(len(ts), 1)
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
