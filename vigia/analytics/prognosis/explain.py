"""Why the model expects what it does: how much of the predicted loss of life each sensor accounts for.

The loss is the life predicted if every sensor still read the machine's own healthy baseline, less the life predicted now. A sensor's part
is its Shapley value: what putting it back to its baseline regains, on average over all orders in which sensors can be put back. It is
computed exactly; the parts of one machine add up to its loss. Where only age counts, the loss is what a new machine would have more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

AGE = "age"
"""Stands for the point where a machine's age is all that counts."""
LEAST_LOSS = 5.0
"""In life units. Below it there is hardly anything to share out: what moved the prediction most is told, in whichever direction."""
LEAST_PROBABILITY = 0.05
LEAST_HEALTH = 90.0
"""At most that probable, and at least that healthy, nothing points to a failure."""


class Contribution(NamedTuple):
    """One sensor's part in the predicted loss of life."""

    point: str
    """or AGE"""
    share: float
    """of the loss, or of LEAST_LOSS where less is lost; below 0: its reading speaks for a longer life"""
    lost: float
    """life units"""
    value: float
    """current smoothed reading, sensor unit; of AGE life units"""
    healthy: float
    """the machine's own baseline in the same operating condition, sensor unit; of AGE 0"""


_made: Any = partial(tuple.__new__, Contribution)  # by the hundred thousand: half the time of calling the class


@dataclass(frozen=True, eq=False)
class Reasons(Sequence[Sequence[Contribution]]):
    """The largest contributions of each of many machines, kept in arrays: a machine's are made when it is asked for.

    What is lost, `value` and `healthy` are float64[machines, reported].
    """

    names: tuple[str, ...]
    sensor: NDArray[np.intp]
    """int[machines, reported], largest contribution first"""
    told: NDArray[np.intp]
    """int[machines]: so many of them"""
    loss: NDArray[np.float64]
    """float64[machines]"""
    lost: NDArray[np.float64]
    value: NDArray[np.float64]
    healthy: NDArray[np.float64]

    @classmethod
    def of(
        cls, names: tuple[str, ...], lost: NDArray[np.float64], current: NDArray[np.float64], healthy: NDArray[np.float64], count: int
    ) -> "Reasons":
        """The `count` sensors that account for most of each machine's loss; where it is below LEAST_LOSS, those that moved most.

        lost, current, healthy : float64[machines, sensors]
        """
        loss = lost.sum(axis=1)
        much = loss >= LEAST_LOSS
        order = np.argsort(-np.where(much[:, None], lost, np.abs(lost)), axis=1, kind="stable")[:, :count]
        size, value, baseline = (np.take_along_axis(each, order, axis=1) for each in (lost, current, healthy))
        told = np.where(much, (size > 0).sum(axis=1), order.shape[1])
        return cls(names, order, told, loss, size, value, baseline)

    def __len__(self) -> int:
        """So many machines."""
        return len(self.loss)

    @overload
    def __getitem__(self, row: int) -> list[Contribution]: ...
    @overload
    def __getitem__(self, row: slice) -> list[list[Contribution]]: ...
    def __getitem__(self, row: int | slice) -> list[Contribution] | list[list[Contribution]]:
        """Those of one machine, largest first."""
        if isinstance(row, slice):
            return [self[one] for one in range(*row.indices(len(self)))]
        columns, width = self._columns, self.sensor.shape[1]
        some = slice(row * width, row * width + int(self.told[row]))
        return list(map(_made, zip(*(column[some] for column in columns), strict=True)))

    @cached_property
    def _columns(self) -> tuple[list[Any], ...]:
        """The fields of all Contributions, machine after machine."""
        share = self.lost / np.maximum(self.loss, LEAST_LOSS)[:, None]
        names = np.array(self.names, dtype=object)[self.sensor]
        return tuple(each.ravel().tolist() for each in (names, share, self.lost, self.value, self.healthy))
