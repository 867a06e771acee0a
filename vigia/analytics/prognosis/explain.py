"""Why the model expects a machine to fail: how much of the predicted loss of life each sensor accounts for.

The loss is the life predicted if every sensor still read the machine's own healthy baseline, less the life predicted now. Sensors
are put back to their baseline one after the other; the life regained by each is its contribution. Because sensors speak of the same
wear, the order matters: the contribution is the mean over a few fixed orders and their reverses (an estimate of Shapley's value),
so the contributions of one machine add up to its loss exactly.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ORDERS = 2
"""Random orders; each is also taken backwards."""
SEED = 7
LEAST_LOSS = 5.0
"""Below this loss of life there is nothing to explain."""

Life = Callable[[NDArray[np.float64]], NDArray[np.float64]]


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


def orders(sensors: int) -> NDArray[np.int64]:
    """int64[2 * ORDERS, sensors]: the orders in which sensors are put back, always the same."""
    generator = np.random.default_rng(SEED)
    forward = [generator.permutation(sensors) for _ in range(ORDERS)]
    return np.array([order for one in forward for order in (one, one[::-1])], dtype=np.int64)


def contributions(
    life: Life, features: NDArray[np.float64], healthy: NDArray[np.float64], groups: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Life lost to each sensor.

    life : predicted life of each row of features
    features, healthy : float64[machines, features], now and with every sensor at its baseline
    groups : int64[features], the sensor each feature belongs to; -1: no sensor
    returns float64[machines, sensors], life units; a row adds up to life(healthy) - life(features)
    """
    machines, sensors = len(features), int(groups.max()) + 1
    lost = np.zeros((machines, sensors))
    if not machines:
        return lost
    sequence = orders(sensors)
    steps = np.empty((len(sequence), sensors + 1, machines, features.shape[1]))
    for index, order in enumerate(sequence):
        current = features.copy()
        steps[index, 0] = current
        for position, sensor in enumerate(order, start=1):
            columns = groups == sensor
            current[:, columns] = healthy[:, columns]
            steps[index, position] = current
    lives = life(steps.reshape(-1, features.shape[1])).reshape(len(sequence), sensors + 1, machines)
    regained = np.diff(lives, axis=1)
    for index, order in enumerate(sequence):
        lost[:, order] += regained[index].T
    return lost / len(sequence)


def largest(
    names: tuple[str, ...], lost: NDArray[np.float64], current: NDArray[np.float64], healthy: NDArray[np.float64], count: int
) -> list[Contribution]:
    """The `count` sensors that account for most of one machine's loss, largest first; none when the loss is below LEAST_LOSS."""
    total = float(lost.sum())
    if total < LEAST_LOSS:
        return []
    order = np.argsort(-lost, kind="stable")[:count]
    return [
        Contribution(names[index], float(lost[index] / total), float(current[index]), float(healthy[index]))
        for index in order
        if lost[index] > 0
    ]
