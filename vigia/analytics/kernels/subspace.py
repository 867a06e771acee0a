"""Rows of many machines against what each one's channels do together in health: smoothed, projected, squared; thousands of rows a call."""

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

BLOCK: Final = 64  # rows taken abreast
STRIDE: Final = 4  # channels added up before a sum is put back
# A product and a sum may be one instruction ("contract"); that leaves NaN what it is.


class Models(NamedTuple):
    """What is healthy, by machine. `axes` [machines, components, channels] are rows of length 1, the strongest component first.

    mean, inverse : float64[machines, channels]; a channel less its mean, times the inverse of its deviation, is what is smoothed
    weight : float64[machines, components], of the square of each component
    strong : int64[machines], how many components are those of T2; the others are those of SPE
    """

    mean: NDArray[np.float64]
    inverse: NDArray[np.float64]
    axes: NDArray[np.float64]
    weight: NDArray[np.float64]
    strong: NDArray[np.int64]


@njit(cache=True, nogil=True)
def smooth(rows: NDArray[np.float64], average: NDArray[np.float64], newest: float, out: NDArray[np.float64]) -> None:
    """The moving average of each channel of `rows`, float64[n, channels], into `out`; goes on from `average`, and leaves it there.

    newest : weight of the newest row; a NaN counts as what the average is
    """
    for i in range(len(rows)):
        for c in range(rows.shape[1]):
            step = rows[i, c] - average[c]
            average[c] += newest * step if step == step else 0.0  # noqa: PLR0124 - not NaN
            out[i, c] = average[c]


@njit(cache=True, nogil=True)
def _prepare(  # noqa: PLR0913, PLR0917 - a kernel's
    rows: NDArray[np.float64], models: Models, m: int, average: NDArray[np.float64], newest: float, columns: NDArray[np.float64]
) -> None:
    """Standardise and smooth rows of machine `m`, as `smooth` does, into columns of BLOCK rows each, one behind the other."""
    mean, inverse = models.mean[m], models.inverse[m]
    for i in range(len(rows)):
        for c in range(rows.shape[1]):
            step = (rows[i, c] - mean[c]) * inverse[c] - average[c]
            average[c] += newest * step if step == step else 0.0  # noqa: PLR0124 - not NaN
            columns[c * BLOCK + i] = average[c]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _scores(columns: NDArray[np.float64], axes: NDArray[np.float64], score: NDArray[np.float64]) -> None:
    """Fill `score`, BLOCK rows on one axis, then on the other. `axes`: float64[2, channels], of full strides.

    The columns at hand are one slice, and both scores one array: so the compiler sees that they do not overlap.
    """
    score[:] = 0.0
    for c in range(0, axes.shape[1], STRIDE):
        a0, a1, a2, a3 = axes[0, c], axes[0, c + 1], axes[0, c + 2], axes[0, c + 3]
        b0, b1, b2, b3 = axes[1, c], axes[1, c + 1], axes[1, c + 2], axes[1, c + 3]
        x = columns[c * BLOCK : (c + STRIDE) * BLOCK]
        for i in range(BLOCK):
            x0, x1, x2, x3 = x[i], x[i + BLOCK], x[i + 2 * BLOCK], x[i + 3 * BLOCK]
            score[i] += (a0 * x0 + a1 * x1) + (a2 * x2 + a3 * x3)
            score[i + BLOCK] += (b0 * x0 + b1 * x1) + (b2 * x2 + b3 * x3)


@njit(cache=True, nogil=True, fastmath={"contract"})
def _add_squares(score: NDArray[np.float64], weight: float, out: NDArray[np.float64]) -> None:
    for i in range(BLOCK):
        out[i] += weight * score[i] * score[i]


@njit(cache=True, nogil=True)
def statistics(
    rows: NDArray[np.float64], first: NDArray[np.int64], models: Models, average: NDArray[np.float64], newest: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """T2 and SPE of each row, float64[n]; advances `average` (float64[machines, channels]), the smoothed channels.

    rows : float64[n, channels]; those of machine m are rows[first[m]:first[m + 1]], by time. NaN: the channel stays what it was
    newest : weight of the newest row in the smoothing
    """
    channels, components = rows.shape[1], models.axes.shape[1]
    strides = (channels + STRIDE - 1) // STRIDE * STRIDE
    out = np.zeros((2, len(rows)))
    columns = np.zeros(strides * BLOCK)
    axes = np.zeros((components + components % 2, strides))
    score, sums = np.empty(2 * BLOCK), np.empty((2, BLOCK))
    for m in range(len(first) - 1):
        axes[:components, :channels] = models.axes[m]
        for begin in range(first[m], first[m + 1], BLOCK):
            end = min(begin + BLOCK, first[m + 1])
            _prepare(rows[begin:end], models, m, average[m], newest, columns)
            sums[:] = 0.0
            for k in range(0, components, 2):
                _scores(columns, axes[k : k + 2], score)
                for j in range(k, min(k + 2, components)):
                    of_axis = score[(j - k) * BLOCK : (j - k + 1) * BLOCK]
                    _add_squares(of_axis, models.weight[m, j], sums[0 if j < models.strong[m] else 1])
            out[:, begin:end] = sums[:, : end - begin]
    return out[0], out[1]


def warm_up() -> None:
    """Compile for the types above."""
    one = np.zeros((1, 1))
    models = Models(one, one, np.zeros((1, 1, 1)), one, np.ones(1, np.int64))
    statistics(one, np.array([0, 1]), models, np.zeros((1, 1)), 1.0)
