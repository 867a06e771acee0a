"""Why the model expects a machine to fail: how much of the predicted loss of life each sensor accounts for.

The loss is the life predicted if every sensor still read the machine's own healthy baseline, less the life predicted now. A sensor's part
is its Shapley value: what putting it back to its baseline regains, on average over all orders in which sensors can be put back. It is
computed exactly; the parts of one machine add up to its loss.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

LEAST_LOSS = 5.0
"""Below this loss of life there is nothing to explain."""


class Contribution(NamedTuple):
    """One sensor's part in the predicted loss of life."""

    point: str
    share: float
    """of the loss; the shares of all sensors, also those that are not reported, add up to 1"""
    value: float
    """current smoothed reading, sensor unit"""
    healthy: float
    """the machine's own baseline in the same operating condition, sensor unit"""


_made: Any = partial(tuple.__new__, Contribution)  # by the hundred thousand: half the time of calling the class


def largest(
    names: tuple[str, ...], lost: NDArray[np.float64], current: NDArray[np.float64], healthy: NDArray[np.float64], count: int
) -> list[list[Contribution]]:
    """For each machine the `count` sensors that account for most of its loss, largest first; none when the loss is below LEAST_LOSS.

    lost, current, healthy : float64[machines, sensors]
    """
    total = lost.sum(axis=1)
    order = np.argsort(-lost, axis=1, kind="stable")[:, :count]
    size, value, baseline = (np.take_along_axis(each, order, axis=1) for each in (lost, current, healthy))
    told = np.where(total >= LEAST_LOSS, (size > 0).sum(axis=1), 0).tolist()
    share = size / np.where(total >= LEAST_LOSS, total, 1.0)[:, None]
    columns = ([names[index] for index in order.ravel().tolist()], *(each.ravel().tolist() for each in (share, value, baseline)))
    every: list[Contribution]
    every, width = list(map(_made, zip(*columns, strict=True))), order.shape[1]
    return [every[row * width : row * width + some] for row, some in enumerate(told)]
