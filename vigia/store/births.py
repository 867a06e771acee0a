"""Births and deaths of edge nodes and devices: who speaks, which machine stands behind a device, and which point each metric is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from vigia.domain.commands import Writable
from vigia.store import queries, telemetry
from vigia.store.commands import as_kept
from vigia.store.database import StoreError, Transaction
from vigia.store.telemetry import Latest

KINDS = ("measurement", "setting", "state", "counter")


class UnknownDeviceError(StoreError):
    """No role has this device id at this edge node; add the role, or correct the gateway's configuration."""


class ForeignMachineError(StoreError):
    """The machine is installed at another customer; it changes customers by the records, not by what a gateway says."""


@dataclass(frozen=True)
class EdgeNode:
    """A registered edge node with what is known of its last session."""

    edge_node_id: int
    customer_id: int
    group_id: str
    node_id: str
    bd_seq: int | None
    epoch: int | None


@dataclass(frozen=True)
class NodeAbout:
    """What an NBIRTH says of the gateway itself: its program, the hash of its configuration, and its clock less ours."""

    agent_version: str | None
    configuration_sha256: str | None
    clock_skew_ms: int | None


@dataclass(frozen=True)
class NewPoint:
    """What a birth says of one metric that holds readings; `unit` is UCUM, `kind` one of KINDS."""

    name: str
    alias: int | None
    datatype: int
    kind: str = "measurement"
    unit: str = "1"
    description: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Repeated:
    """A reading that a birth tells again: how the metric `name` was at `at`, and still is; `quality` as stored."""

    name: str
    at: datetime
    value: float
    quality: int


@dataclass(frozen=True)
class DeviceBirth:
    """A device's birth certificate.

    `at` is the source time of its newest value, None when it has none: when the machine is known to stand there. `seen_at` is the best
    guess of the source's clock now. `writable` is what the device can be told, `repeated` what it told before.
    """

    edge_node_id: int
    device_id: str
    bd_seq: int
    at: datetime | None
    seen_at: datetime
    serial_number: str | None
    points: Sequence[NewPoint]
    writable: Sequence[Writable] = ()
    repeated: Sequence[Repeated] = ()


@dataclass(frozen=True)
class BornPoint:
    """A metric of a birth as a point."""

    name: str
    alias: int | None
    datatype: int
    point_id: int
    kind: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Device:
    """A device after its birth. `swapped` says that the birth itself brought the machine into the role."""

    device_id: str
    customer_id: int
    role_id: int
    asset_id: int
    swapped: bool
    points: tuple[BornPoint, ...]


@dataclass(frozen=True)
class _Role:
    role_id: int
    customer_id: int
    device_id: str
    asset_model_id: int
    asset_id: int | None
    installed_at: datetime | None
    serial_number: str | None


@dataclass(frozen=True)
class _Point:
    point_id: int
    name: str
    kind: str


async def edge_nodes(tx: Transaction) -> list[EdgeNode]:
    """All registered edge nodes."""
    return await queries.rows(tx, "known_edge_nodes", EdgeNode)


async def fleet_now(tx: Transaction, edge_node_id: int) -> datetime:
    """The source's clock as far as known: the edge's newest reading, or the wall clock before the first."""
    now: datetime = await queries.value(tx, "edge_clock", edge_node_id=edge_node_id)
    return now


async def node_born(tx: Transaction, edge_node_id: int, bd_seq: int, about: NodeAbout) -> None:
    """An NBIRTH: the node is online; its devices stay stale until each is born."""
    await _mark_stale(tx, edge_node_id, None)
    await queries.execute(tx, "node_births_end", edge_node_id=edge_node_id)
    await queries.execute(
        tx,
        "node_born",
        edge_node_id=edge_node_id,
        bd_seq=bd_seq,
        agent_version=about.agent_version,
        configuration_sha256=about.configuration_sha256,
        clock_skew_ms=about.clock_skew_ms,
    )
    nothing = Jsonb([])
    await queries.execute(
        tx, "keep_birth", edge_node_id=edge_node_id, device_id="", bd_seq=bd_seq, asset_id=None, metrics=nothing, writable=nothing
    )


async def node_died(tx: Transaction, edge_node_id: int) -> None:
    """The node and all its devices are offline from now on, their latest readings stale."""
    await _mark_stale(tx, edge_node_id, None)
    await queries.execute(tx, "births_end", edge_node_id=edge_node_id, device_id=None, at=None)
    await queries.execute(tx, "node_died", edge_node_id=edge_node_id)


async def device_died(tx: Transaction, edge_node_id: int, device_id: str, at: datetime | None) -> None:
    """A device was lost at that moment, None is now; its latest readings are stale."""
    await _mark_stale(tx, edge_node_id, device_id)
    await queries.execute(tx, "births_end", edge_node_id=edge_node_id, device_id=device_id, at=at)


async def device_born(tx: Transaction, birth: DeviceBirth) -> Device:
    """Take a device's birth: find its role and machine, make its points, keep the alias table. Readings that it repeats are stale no more.

    A machine that is new in the role is installed there, unless the records already know better: whoever finished a work order wrote the
    swap down first, and a birth from before that moment must not undo it.
    Raises UnknownDeviceError when no role has the device, ForeignMachineError when the machine stands at another customer.
    """
    device = await device_known(tx, birth)
    await queries.execute(
        tx,
        "keep_birth",
        edge_node_id=birth.edge_node_id,
        device_id=birth.device_id,
        bd_seq=birth.bd_seq,
        asset_id=device.asset_id,
        writable=as_kept(birth.writable),
        metrics=Jsonb([{"name": p.name, "alias": p.alias, "datatype": p.datatype, "point_id": p.point_id} for p in device.points]),
    )
    point_of = {point.name: point.point_id for point in device.points}
    await telemetry.mark_standing(
        tx, [Latest(point_of[one.name], one.at, one.value, one.quality) for one in birth.repeated if one.name in point_of]
    )
    return device


async def device_known(tx: Transaction, birth: DeviceBirth) -> Device:
    """Like device_born, for a machine that stood at the device earlier and whose readings come late: the last birth stays what it is.

    Raises UnknownDeviceError, ForeignMachineError.
    """
    role = await queries.first(tx, "role_of_device", _Role, edge_node_id=birth.edge_node_id, device_id=birth.device_id)
    if role is None:
        raise UnknownDeviceError
    asset_id = await _asset(tx, role, birth)
    if await _is_foreign(tx, role, asset_id, birth):
        raise ForeignMachineError
    swapped = await _install(tx, role, asset_id, birth)
    points = await _points(tx, asset_id, birth.points)
    return Device(birth.device_id, role.customer_id, role.role_id, asset_id, swapped, points)


async def _asset(tx: Transaction, role: _Role, birth: DeviceBirth) -> int:
    if birth.serial_number is None and role.asset_id is not None:
        return role.asset_id
    asset_id = await _asset_of(tx, role, birth.serial_number or f"{birth.device_id} (device)")
    # A device that does not say its serial number is its own machine, not that of another customer whose device has the same name.
    if birth.serial_number is None and await _is_foreign(tx, role, asset_id, birth):
        return await _asset_of(tx, role, f"{birth.device_id} (device of edge node {birth.edge_node_id})")
    return asset_id


async def _asset_of(tx: Transaction, role: _Role, serial_number: str) -> int:
    asset_id: int = await queries.value(tx, "asset_of_birth", asset_model_id=role.asset_model_id, serial_number=serial_number)
    return asset_id


async def _is_foreign(tx: Transaction, role: _Role, asset_id: int, birth: DeviceBirth) -> bool:
    """Whether the machine stands at another customer, and did not stand at this one when it gave these readings."""
    found: bool = await queries.value(tx, "is_foreign_machine", asset_id=asset_id, customer_id=role.customer_id, at=birth.at)
    return found


async def _install(tx: Transaction, role: _Role, asset_id: int, birth: DeviceBirth) -> bool:
    if role.asset_id == asset_id:
        return False
    known: bool = await queries.value(tx, "ever_installed", asset_id=asset_id)
    # A birth without a value does not say since when: it can fill an empty role for the first time, and prove nothing else.
    if birth.at is None and (known or role.asset_id is not None):
        return False
    # A reading speaks for the time before it: the machine stood there already.
    at = (birth.at or birth.seen_at) - timedelta(milliseconds=1)
    until = None
    if await queries.value(tx, "installations_after", asset_id=asset_id, role_id=role.role_id, at=at):
        # On record is what came later. A machine never heard of stood there until then, if another is on record for that time.
        if known:
            return False
        until = await queries.value(tx, "shorten_installation", role_id=role.role_id, at=at)
        if until is None:
            return False
    else:
        await queries.execute(tx, "end_installations", asset_id=asset_id, role_id=role.role_id, at=at)
    await queries.execute(tx, "add_installation", customer_id=role.customer_id, role_id=role.role_id, asset_id=asset_id, at=at, until=until)
    return True


async def _points(tx: Transaction, asset_id: int, points: Sequence[NewPoint]) -> tuple[BornPoint, ...]:
    said: list[dict[str, Any]] = [
        {"name": p.name, "kind": p.kind, "unit": p.unit, "description": p.description, "low": p.low, "high": p.high} for p in points
    ]
    rows = await queries.rows(tx, "points_of_birth", _Point, asset_id=asset_id, metrics=Jsonb(said))
    by_name = {row.name: row for row in rows}
    return tuple(BornPoint(p.name, p.alias, p.datatype, by_name[p.name].point_id, p.kind, p.low, p.high) for p in points)


async def _mark_stale(tx: Transaction, edge_node_id: int, device_id: str | None) -> None:
    rows = await (await tx.execute(queries.sql("born_points"), {"edge_node_id": edge_node_id, "device_id": device_id})).fetchall()
    await telemetry.mark_stale(tx, [point_id for (point_id,) in rows])
