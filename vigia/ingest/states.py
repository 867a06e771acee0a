"""Changes of `state` points, also those that come late and out of order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np

from vigia.store import telemetry
from vigia.store.database import Transaction
from vigia.store.telemetry import Readings, Stored


@dataclass(frozen=True, order=True)
class StateChange:
    """Since the reading at `at` the point has the value `state`, and had another before."""

    at: datetime
    point_id: int
    state: int


async def changes(tx: Transaction, readings: Readings) -> list[StateChange]:
    """The changes that `readings` of state points bring, in the order of time. Call it before they are stored."""
    found: list[StateChange] = []
    good = readings.take(readings.good).sorted()
    latest = await telemetry.latest(tx, np.unique(good.point_id).tolist())
    for point_id in np.unique(good.point_id).tolist():
        rows = good.point_id == point_id
        new = [Stored(telemetry.from_us(ts), value) for ts, value in zip(good.ts[rows].tolist(), good.value[rows].tolist(), strict=True)]
        last = latest.get(point_id)
        if last is None or last.ts < new[0].ts:
            known = [] if last is None or last.value is None else [Stored(last.ts, last.value)]
            if last is not None and not known:
                known = (await telemetry.around(tx, point_id, new[0].ts, new[-1].ts))[:1]
        else:
            known = await telemetry.around(tx, point_id, new[0].ts, new[-1].ts)
        found += _brought(point_id, known, new)
    return sorted(found)


def _brought(point_id: int, known: Sequence[Stored], new: Sequence[Stored]) -> list[StateChange]:
    """The changes in `known` and `new` together that are not in `known` alone; that begins with the reading before `new`, if any."""
    before = {(row.ts, row.value) for row in _steps(known)} | {(row.ts, row.value) for row in known[:1] if row.ts < new[0].ts}
    after = _steps(sorted([*known, *new], key=lambda row: (row.ts, row.value)))
    return [StateChange(row.ts, point_id, round(row.value)) for row in after if (row.ts, row.value) not in before]


def _steps(rows: Iterable[Stored]) -> list[Stored]:
    """The first row, and each whose value differs from the one before."""
    ordered = list(rows)
    return ordered[:1] + [row for last, row in pairwise(ordered) if row.value != last.value]
