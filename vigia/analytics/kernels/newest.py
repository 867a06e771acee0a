"""Of rows that stand together by point: which points there are, and where the last row of each is."""

from typing import TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

Number = TypeVar("Number", np.int32, np.int64)


@njit(cache=True, nogil=True)
def _ends(point: NDArray[np.int32] | NDArray[np.int64], out: NDArray[np.int64]) -> int:
    """Fill `out`, as long as `point`, with the index of the last row of each stretch of equal numbers; return how many."""
    found = 0
    for i in range(len(point)):
        out[found] = i  # overwritten by the next row of the same point
        found += i + 1 == len(point) or point[i + 1] != point[i]
    return found


def last_of_each(point: NDArray[np.int32] | NDArray[np.int64]) -> NDArray[np.int64]:
    """The index of each point's last row, ascending: of rows sorted by (point, ts) its newest reading. int32[n] or int64[n] in."""
    out = np.empty(len(point), np.int64)
    return out[: _ends(point, out)].copy()


def unique_sorted(point: NDArray[Number]) -> NDArray[Number]:
    """Each number once, of numbers in which equal ones stand together; np.unique without the sort."""
    return point[last_of_each(point)]


def warm_up() -> None:
    """Compile for both types."""
    last_of_each(np.zeros(1, np.int32))
    last_of_each(np.zeros(1, np.int64))
