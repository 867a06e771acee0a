"""What the measurements ask of the database: a fleet made at once, and afterwards what became of its readings."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from vigia.store import queries
from vigia.store.database import Transaction


@dataclass(frozen=True)
class Machines:
    """Machines to make, one at each edge node, all alike and at one line; `node_ids` and `serial_numbers` belong together."""

    customer_id: int
    site_id: int
    line_id: int
    asset_model_id: int
    group_id: str
    device_id: str
    node_ids: Sequence[str]
    serial_numbers: Sequence[str]
    point_names: Sequence[str]
    installed_at: datetime


@dataclass(frozen=True)
class Tally:
    """Columns by point: its id, how many readings it has, and the sum of their times in milliseconds since the moment asked about."""

    point_id: NDArray[np.int64]
    readings: NDArray[np.int64]
    total_ms: NDArray[np.int64]


@dataclass(frozen=True)
class Account:
    """What the ledger says: runs of numbers that nothing explains, and messages set aside."""

    holes: int
    dead_letters: int


async def add_machines(tx: Transaction, new: Machines) -> NDArray[np.int32]:
    """Make them; the ids of the points, int32[edge nodes, points]."""
    cursor = await tx.execute(
        queries.sql("measured_machines"),
        {
            "customer_id": new.customer_id,
            "site_id": new.site_id,
            "line_id": new.line_id,
            "asset_model_id": new.asset_model_id,
            "group_id": new.group_id,
            "device_id": new.device_id,
            "node_ids": list(new.node_ids),
            "serial_numbers": list(new.serial_numbers),
            "point_names": list(new.point_names),
            "installed_at": new.installed_at,
        },
    )
    ids = [point_id for (point_id,) in await cursor.fetchall()]
    return np.array(ids, np.int32).reshape(len(new.node_ids), len(new.point_names))


async def tally(tx: Transaction, from_ts: datetime) -> Tally:
    """The readings of every point that has some, by point; it reads them all."""
    rows = await (await tx.execute(queries.sql("measured_tally"), {"from_ts": from_ts})).fetchall()
    columns = np.array(rows, np.int64).reshape(-1, 3).T
    return Tally(columns[0], columns[1], columns[2])


async def account(tx: Transaction) -> Account:
    """What the ledger says now."""
    found = await queries.first(tx, "measured_ledger", Account)
    assert found is not None  # noqa: S101 - a select of scalars has one row
    return found
