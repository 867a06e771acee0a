"""From a machine's stored readings to what the failure model takes in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from vigia.store.predictions import FollowedPoint, Moment

NOT_RUNNING = 0.0
"""Value of a state point of a machine that does not run."""


class Named(Protocol):
    """What names the inputs of a model, in their order."""

    @property
    def settings(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def sensors(self) -> tuple[str, ...]: ...  # noqa: D102


@dataclass(frozen=True)
class Inputs:
    """One machine's readings at one moment, as the model wants them; NaN: missing."""

    values: NDArray[np.float64]
    age: float


@dataclass(frozen=True)
class PointMap:
    """Which of a machine's points is which input. The first state point tells whether it runs, the first counter its age."""

    width: int
    columns: Mapping[int, int]
    """point to column; points the model does not know go to the column behind the last"""
    state: int | None
    counter: int | None
    units: Mapping[str, str]
    """by point name"""

    @classmethod
    def of(cls, spec: Named, points: Sequence[FollowedPoint]) -> Self:
        """Match the points of one machine with the model's inputs, by name."""
        names = (*spec.settings, *spec.sensors)
        column = {name: index for index, name in enumerate(names)}
        return cls(
            width=len(names),
            columns={point.point_id: column.get(point.name, len(names)) for point in points},
            state=next((point.point_id for point in points if point.kind == "state"), None),
            counter=next((point.point_id for point in points if point.kind == "counter"), None),
            units={point.name: point.unit for point in points},
        )

    def covers(self, moments: Sequence[Moment]) -> bool:
        """Whether all points of the newest of `moments` are known here."""
        return not moments or all(point in self.columns for point in moments[-1].point_ids)

    def inputs(self, moment: Moment) -> Inputs | None:
        """What the model takes in, or None when the machine did not run or none of the model's inputs was read."""
        values = np.full(self.width + 1, np.nan)
        age = np.nan
        for point, value in zip(moment.point_ids, moment.values, strict=True):
            if value is None:
                continue
            if point == self.state and value == NOT_RUNNING:
                return None
            if point == self.counter:
                age = value
            values[self.columns.get(point, self.width)] = value
        known = values[: self.width]
        return Inputs(known, age) if np.isfinite(known).any() else None
