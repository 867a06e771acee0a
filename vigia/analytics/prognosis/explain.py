"""Why the model expects a machine to fail: how much of the predicted loss of life each sensor accounts for.

The loss is the life predicted if every sensor still read the machine's own healthy baseline, less the life predicted now. A sensor's part
is its Shapley value: what putting it back to its baseline regains, on average over all orders in which sensors can be put back. It is
computed exactly; the parts of one machine add up to its loss.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_LOSS = 5.0
"""Below this loss of life there is nothing to explain."""


@dataclass(frozen=True)
class Contribution:
    """One sensor's part in the predicted loss of life."""

    point: str
    share: float
    """of the loss; the shares of all sensors, also those that are not reported, add up to 1"""
    value: float
    """current smoothed reading, sensor unit"""
    healthy: float
    """the machine's own baseline in the same operating condition, sensor unit"""


def largest(
    names: tuple[str, ...], lost: NDArray[np.float64], current: NDArray[np.float64], healthy: NDArray[np.float64], count: int
) -> list[list[Contribution]]:
    """For each machine the `count` sensors that account for most of its loss, largest first; none when the loss is below LEAST_LOSS.

    lost, current, healthy : float64[machines, sensors]
    """
    total = lost.sum(axis=1)
    order = np.argsort(-lost, axis=1, kind="stable")[:, :count]
    sizes, values, baselines = (np.take_along_axis(each, order, axis=1).tolist() for each in (lost, current, healthy))
    found: list[list[Contribution]] = []
    for loss, *parts in zip(total.tolist(), order.tolist(), sizes, values, baselines, strict=True):
        some = zip(*parts, strict=True) if loss >= LEAST_LOSS else ()
        found.append([Contribution(names[index], size / loss, value, baseline) for index, size, value, baseline in some if size > 0])
    return found
