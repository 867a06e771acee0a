"""What a device's birth certificate says, and the table that later turns its aliases into points."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from vigia.ingest.qualities import qualities
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.decode import NONE
from vigia.sparkplug.names import (
    BATCH,
    COMMAND_RESULT,
    DOCUMENTATION,
    ENG_HIGH,
    ENG_LOW,
    ENG_UNIT,
    EPOCH,
    KIND,
    QUALITY,
    QUALITY_GOOD,
    SERIAL_NUMBER,
)
from vigia.sparkplug.payload import Metric, Payload
from vigia.store import births

# Metrics of these families describe the sender; they are no readings.
_NO_READINGS = ("Vigia/", "Properties/", "Node Control/", "Device Control/")
EARLIEST_MS = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp() * 1000)
LARGEST_ALIAS = (1 << 63) - 1
LATEST_MS = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp() * 1000)


@dataclass(frozen=True)
class DeviceTable:
    """One device's metrics, by alias or name. `device` None: the birth was refused, for `refusal`, and only batch numbers can be read.

    `aliases` is sorted; the other columns belong to it row by row. A point_id of NONE is a metric that is known and holds no readings.
    """

    device: births.Device | None
    refusal: str
    certificate: births.DeviceBirth
    aliases: NDArray[np.int64]
    point_id: NDArray[np.int32]
    datatype: NDArray[np.int64]
    names: Mapping[str, int]
    epoch_alias: int
    batch_alias: int
    serial_alias: int
    result_alias: int

    def rows(self, aliases: NDArray[np.int64]) -> NDArray[np.int64]:
        """The row of each alias; NONE where it is unknown."""
        if not len(self.aliases):
            return np.full(len(aliases), NONE, np.int64)
        found = np.minimum(np.searchsorted(self.aliases, aliases), len(self.aliases) - 1)
        rows: NDArray[np.int64] = np.where(self.aliases[found] == aliases, found, NONE)
        return rows


def certificate(edge_node_id: int, device_id: str, bd_seq: int, payload: Payload, fleet_now: datetime) -> births.DeviceBirth:
    """The birth as the store takes it. `fleet_now` is the best guess of the source's clock, for a birth without values."""
    points = [_point(metric) for metric in payload.metrics if _holds_readings(metric)]
    dated = [
        metric.timestamp
        for metric in payload.metrics
        if metric.value is not None
        and metric.timestamp is not None
        and EARLIEST_MS <= metric.timestamp < LATEST_MS
        and _holds_readings(metric)
    ]
    serial = payload.metric(SERIAL_NUMBER)
    return births.DeviceBirth(
        edge_node_id=edge_node_id,
        device_id=device_id,
        bd_seq=bd_seq,
        at=datetime.fromtimestamp(max(dated) / 1000, UTC) if dated else None,
        seen_at=fleet_now,
        serial_number=serial.value if serial is not None and isinstance(serial.value, str) and serial.value else None,
        points=list({point.name: point for point in points}.values()),
        repeated=list(_repeated(payload)),
    )


def _repeated(payload: Payload) -> Iterator[births.Repeated]:
    """The readings that the birth tells; those without a number stay as they are until they are told anew."""
    for metric in payload.metrics:
        at, value, said = metric.timestamp, metric.value, metric.properties.get(QUALITY, QUALITY_GOOD)
        if metric.name is None or not _holds_readings(metric) or at is None or not EARLIEST_MS <= at < LATEST_MS:
            continue
        if isinstance(value, int | float) and np.isfinite(value) and isinstance(said, int):
            quality = int(qualities(np.array([said], np.int64))[0])
            yield births.Repeated(metric.name, datetime.fromtimestamp(at / 1000, UTC), float(value), quality)


def _holds_readings(metric: Metric) -> bool:
    return (
        metric.name is not None
        and not metric.name.startswith(_NO_READINGS)
        and metric.datatype is not None
        and (metric.datatype.is_number or metric.datatype is DataType.BOOLEAN)
    )


def _point(metric: Metric) -> births.NewPoint:
    said = metric.properties
    kind = said.get(KIND)
    unit = said.get(ENG_UNIT)
    documentation = said.get(DOCUMENTATION)
    return births.NewPoint(
        name=metric.name or "",
        alias=metric.alias,
        datatype=int(metric.datatype or DataType.UNKNOWN),
        kind=kind if isinstance(kind, str) and kind in births.KINDS else "measurement",
        unit=unit if isinstance(unit, str) and unit else "1",
        description=documentation if isinstance(documentation, str) else "",
        low=_number(said.get(ENG_LOW)),
        high=_number(said.get(ENG_HIGH)),
    )


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if np.isfinite(value) else None


def table(payload: Payload, said: births.DeviceBirth, device: births.Device | None, refusal: str = "") -> DeviceTable:
    """The table of the birth `payload`, as the store took it; with `device` None, of one that was refused."""
    point_of = {point.name: point.point_id for point in device.points} if device is not None else {}
    by_alias = {min(metric.alias, LARGEST_ALIAS): metric for metric in payload.metrics if metric.alias is not None}
    aliases = sorted(by_alias)
    rows = [by_alias[alias] for alias in aliases]
    # A metric without an alias comes by name; its row stands behind those with one, where no alias finds it.
    named = [metric for metric in payload.metrics if metric.alias is None and metric.name is not None]
    names = {metric.name: i for i, metric in enumerate(rows + named) if metric.name is not None}
    special = {metric.name: alias for alias, metric in by_alias.items()}
    every = rows + named
    return DeviceTable(
        device=device,
        refusal=refusal,
        certificate=said,
        aliases=np.array(aliases, np.int64),
        point_id=np.array([point_of.get(metric.name or "", NONE) for metric in every], np.int32),
        datatype=np.array([int(metric.datatype or 0) for metric in every], np.int64),
        names=names,
        epoch_alias=special.get(EPOCH, NONE),
        batch_alias=special.get(BATCH, NONE),
        serial_alias=special.get(SERIAL_NUMBER, NONE),
        result_alias=special.get(COMMAND_RESULT, NONE),
    )


def for_machine(known: DeviceTable, device: births.Device) -> DeviceTable:
    """The table of another machine that stood at the same device: the same aliases, its own points."""
    point_of = {point.name: point.point_id for point in device.points}
    point_id = np.full(len(known.point_id), NONE, np.int32)
    for name, row in known.names.items():
        point_id[row] = point_of.get(name, NONE)
    return replace(known, device=device, point_id=point_id)
