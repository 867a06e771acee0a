"""What the machines said, beside what the database holds.

Lost, recovered, unexpected, duplicated are counted over the set of (edge, point, ts, value): lost was said and is not stored,
recovered was said while a fault lasted and is stored, unexpected is stored and was not said, duplicated is stored twice.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psycopg
from chaos_fleet import DEVICES, NODES, POINTS, SHIFT, START_MS, device_id
from numpy.typing import NDArray

READING = np.dtype([("point", np.int64), ("ts", np.int64), ("value", np.float64)])


def query(dsn: str, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, options="-c search_path=vigia,jobs,public -c timezone=UTC") as connection:
        return connection.execute(sql).fetchall()  # type: ignore[arg-type]  # written in the tests


def columns(point: NDArray[Any], ts: NDArray[Any], value: NDArray[Any]) -> NDArray[np.void]:
    """Readings as comparable records; a missing value is infinite, which no machine here says."""
    made = np.empty(len(point), READING)
    made["point"], made["ts"], made["value"] = point, ts, np.where(np.isnan(value.astype(np.float64)), np.inf, value.astype(np.float64))
    return made.view(np.dtype((np.void, READING.itemsize))).view(READING)


def readings(dsn: str) -> NDArray[np.void]:
    """Everything stored."""
    rows = query(dsn, "select point_id, (extract(epoch from ts) * 1000)::bigint, coalesce(value, 'Infinity') from telemetry")
    return np.array(rows, READING)


def said(dsn: str, last: int) -> NDArray[np.void]:
    """Everything the machines said up to hour `last`."""
    slots = query(dsn, "select point_id, name, serial_number from point join asset using (asset_id)")
    points = {(serial, name): point for point, name, serial in slots}
    hours = np.arange(1, last + 1)
    parts = []
    for node in range(NODES):
        for device in range(DEVICES):
            cycle = (hours + SHIFT * (node * DEVICES + device)).astype(np.float64)
            for column, name in enumerate(POINTS, start=-2):
                value = np.ones(last) if column == -2 else cycle if column == -1 else cycle + column / 100
                parts.append(columns(np.full(last, points[f"SN-{device_id(node, device)}", name]), START_MS + hours * 1000, value))
    return np.concatenate(parts)


@dataclass
class Account:
    """What came of a row of the fault matrix."""

    row: int
    faults: str
    sent: int
    stored: int
    lost: int
    recovered: int
    unexpected: int
    duplicated: int
    worst_gap_s: float = float("nan")
    more: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        more = "".join(f", {name} {value}" for name, value in self.more.items())
        return (
            f"row {self.row}: {self.faults}: sent {self.sent:,}, stored {self.stored:,}, lost {self.lost}, recovered {self.recovered:,}, "
            f"unexpected {self.unexpected}, duplicated {self.duplicated}, worst gap {self.worst_gap_s:.1f} s{more}"
        )

    def check(self) -> None:
        """Nothing lost, nothing unexpected, nothing twice."""
        assert (self.lost, self.unexpected, self.duplicated) == (0, 0, 0), str(self)
