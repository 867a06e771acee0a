"""The rollups of minutes and hours, and the latest reading of each point: what a batch adds to them, exactly, in two statements at most.

The minute that holds a point's latest reading stands open beside it; only closed minutes are in the tables of rollups: see schema.sql.
"""

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.kernels.rollup import Partials
from vigia.store import queries
from vigia.store.columns import ArrayParameter, Float8s, Int2s, Int4s, Int8s, Timestamps
from vigia.store.database import Transaction

_KINDS: dict[str, type[ArrayParameter]] = {
    "point_id": Int4s,
    "bucket": Timestamps,
    "counted": Int8s,
    "total": Float8s,
    "minimum": Float8s,
    "maximum": Float8s,
    "last_ts": Timestamps,
    "last": Float8s,
    "good_mask": Int8s,
}


async def merge(tx: Transaction, partials: Partials, quality: NDArray[np.int16]) -> None:
    """Add the partials of new readings to their minutes and hours, and keep the newest reading of each point.

    `quality` has a value for each point of `partials`, in their order: that of its newest reading.
    """
    if not len(partials.point_id):
        return
    newest = np.append(partials.point_id[1:] != partials.point_id[:-1], [True])
    lone = bool(newest.all())  # a minute a point, as in nearly every batch
    params = _parameters(partials, newest)
    params["quality"] = Int2s(quality)
    merged = await queries.execute(tx, "merge_open_minutes", **params)
    if lone and merged == len(quality):
        return
    earlier = _parameters(partials, ~newest)
    await queries.execute(tx, "merge_closed_minutes", **params, **{f"earlier_{name}": column for name, column in earlier.items()})


def _parameters(partials: Partials, rows: NDArray[np.bool_]) -> dict[str, ArrayParameter]:
    return {name: kind(getattr(partials, name)[rows]) for name, kind in _KINDS.items()}
