"""What a machine's state point reports."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum

from vigia.domain.availability import Category

CYCLE = timedelta(hours=1)
"""What one reading of a state point speaks for: the hour that ends with it."""


class Reported(IntEnum):
    """Values of a point of kind `state`."""

    FAILED = 0
    OPERATING = 1


_COUNTS_AS = {int(Reported.OPERATING): Category.UP, int(Reported.FAILED): Category.SUPPLIER_DOWN}


@dataclass(frozen=True)
class Stretch:
    """What a role's time counts as from one moment to another; `ended_at` None: from then on."""

    category: Category
    started_at: datetime
    ended_at: datetime | None = None


def stretches(changes: Iterable[tuple[datetime, int]], earliest: datetime, first: Stretch | None = None) -> list[Stretch]:
    """What the changes of a machine's state, in the order of time, make of its role's time.

    Nothing is said of the time before `earliest`. `first` is how it counted when the first of the changes came.
    """
    made = [] if first is None else [replace(first, ended_at=None)]
    for at, state in changes:
        category = _COUNTS_AS.get(state)
        if category is None or (made and made[-1].category == category):
            continue
        since = at
        if category == Category.UP:
            spoken_for = max(earliest, at - CYCLE)
            # It runs again without anybody's visit: at the latest when it said so.
            since = spoken_for if not made or spoken_for > made[-1].started_at else at
        if made:
            made[-1] = replace(made[-1], ended_at=max(since, made[-1].started_at))
        made.append(Stretch(category, since))
    return made
