"""The nearest known moment of each known machine."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def _apart(asked: NDArray[np.float32], known: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Squared distance of one row to every known moment, feature after feature: so the compiler takes eight moments at once."""
    out[:] = 0
    for feature in range(len(asked)):
        for at in range(len(out)):
            gap = known[feature, at] - asked[feature]
            out[at] += gap * gap


@njit(cache=True, nogil=True)
def nearest(  # noqa: PLR0913, PLR0917 - plain arrays
    asked: NDArray[np.float32],
    own: NDArray[np.int64],
    known: NDArray[np.float32],
    first: NDArray[np.int64],
    of_asset: NDArray[np.int64],
    moment: NDArray[np.int64],
    distance: NDArray[np.float32],
) -> None:
    """Find, for each row of `asked`, the known machines that once were most like it, nearest first, each by its nearest moment.

    asked : float32[rows, features], no NaN
    own : int64[rows], the asset asked for; a known machine of the same asset is left out. 0: none
    known : float32[features, moments], machine after machine
    first : int64[machines + 1], where each machine's moments begin
    of_asset : int64[machines], 0: of no asset
    moment, distance : int64[rows, k] and float32[rows, k], written; moment -1: there is none
    """
    apart = np.empty(known.shape[1], np.float32)
    for row in range(len(asked)):
        _apart(asked[row], known, apart)
        moment[row] = -1
        distance[row] = np.inf
        for machine in range(len(of_asset)):
            if of_asset[machine] != 0 and of_asset[machine] == own[row]:
                continue
            best = first[machine]
            for at in range(first[machine] + 1, first[machine + 1]):
                if apart[at] < apart[best]:
                    best = at
            place = moment.shape[1]
            while place > 0 and apart[best] < distance[row, place - 1]:
                place -= 1
                if place + 1 < moment.shape[1]:
                    distance[row, place + 1] = distance[row, place]
                    moment[row, place + 1] = moment[row, place]
            if place < moment.shape[1]:
                distance[row, place] = apart[best]
                moment[row, place] = best
