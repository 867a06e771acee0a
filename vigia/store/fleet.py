"""The customers' equipment: where it stands (customer, site, area, line, role), what stands there (asset), and its clock.

Who stands where changes in `installations`; this is the rest. Adding something that exists returns its id and renews its name.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, cast

from vigia.store import queries
from vigia.store.database import Transaction

Condition = Literal["serviceable", "unserviceable"]


@dataclass(frozen=True)
class Customer:
    """An operator of machines. `code` is its Sparkplug group."""

    customer_id: int
    code: str
    name: str


@dataclass(frozen=True)
class Site:
    """A customer's place with its own clock (`time_zone`, an IANA name)."""

    site_id: int
    customer_id: int
    code: str
    name: str
    time_zone: str


@dataclass(frozen=True)
class AssetModel:
    """A type of machine. Remaining life is counted in `life_unit` (UCUM)."""

    asset_model_id: int
    code: str
    name: str
    life_unit: str


@dataclass(frozen=True)
class EdgeNode:
    """A gateway. `last_reading_at` is source time, `last_commit_at` wall clock; `newest_eseq` the newest batch announced in `epoch`."""

    edge_node_id: int
    customer_id: int
    site_id: int
    group_id: str
    node_id: str
    online: bool
    bd_seq: int | None
    born_at: datetime | None
    died_at: datetime | None
    last_reading_at: datetime | None
    last_commit_at: datetime | None
    epoch: int | None
    newest_eseq: int | None


@dataclass(frozen=True)
class RolePlace:
    """A role, where it is, and what stands in it now (None: nothing)."""

    role_id: int
    customer_id: int
    line_id: int
    asset_model_id: int
    name: str
    edge_node_id: int | None
    device_id: str | None
    line: str
    area: str
    site_id: int
    site: str
    time_zone: str
    asset_id: int | None
    serial_number: str | None
    installed_at: datetime | None


@dataclass(frozen=True)
class Asset:
    """A machine."""

    asset_id: int
    asset_model_id: int
    serial_number: str
    condition: Condition


@dataclass(frozen=True)
class NewRole:
    """A role to add; `device_id` is its name on the wire, below the gateway."""

    customer_id: int
    line_id: int
    asset_model_id: int
    name: str
    edge_node_id: int | None = None
    device_id: str | None = None


async def now(tx: Transaction) -> datetime:
    """What time it is, by the clock the process was given: the wall's, or the newest reading's (without one, the wall's)."""
    newest = cast("datetime | None", await queries.value(tx, "newest_reading_at_fleet_clock"))
    return newest or datetime.now(UTC)


async def customers(tx: Transaction) -> list[Customer]:
    """The customers the caller may see, by name."""
    return await queries.rows(tx, "customers", Customer)


async def sites(tx: Transaction, customer_id: int | None = None) -> list[Site]:
    """The sites of a customer, or all, by name."""
    return await queries.rows(tx, "sites", Site, customer_id=customer_id)


async def edge_nodes(tx: Transaction) -> list[EdgeNode]:
    """All gateways, by group and node."""
    return await queries.rows(tx, "fleet_edge_nodes", EdgeNode)


async def edge_node(tx: Transaction, group_id: str, node_id: str) -> EdgeNode | None:
    """The gateway of that Sparkplug identity, or None."""
    return await queries.first(tx, "edge_node_by_identity", EdgeNode, group_id=group_id, node_id=node_id)


async def edge_node_of_id(tx: Transaction, edge_node_id: int) -> EdgeNode | None:
    """The gateway, or None."""
    return await queries.first(tx, "edge_node_by_id", EdgeNode, edge_node_id=edge_node_id)


async def roles(tx: Transaction, customer_id: int | None = None) -> list[RolePlace]:
    """The roles of a customer, or all, by site, area, line and name."""
    return await queries.rows(tx, "roles", RolePlace, customer_id=customer_id)


async def asset_model(tx: Transaction, code: str) -> AssetModel | None:
    """The model of that code, or None."""
    return await queries.first(tx, "asset_model_by_code", AssetModel, code=code)


async def asset(tx: Transaction, asset_id: int) -> Asset | None:
    """The asset, or None."""
    return await queries.first(tx, "asset_by_id", Asset, asset_id=asset_id)


async def asset_by_serial(tx: Transaction, asset_model_id: int, serial_number: str) -> Asset | None:
    """The asset of that model and serial number, or None."""
    return await queries.first(tx, "fleet_asset_by_serial", Asset, asset_model_id=asset_model_id, serial_number=serial_number)


async def serviceable_pool(tx: Transaction, asset_model_id: int) -> list[Asset]:
    """The serviceable machines of a model that stand nowhere, by serial number."""
    return await queries.rows(tx, "serviceable_pool", Asset, asset_model_id=asset_model_id)


async def add_customer(tx: Transaction, code: str, name: str) -> int:
    """The customer's id."""
    return cast("int", await queries.value(tx, "add_customer", code=code, name=name))


async def add_site(tx: Transaction, customer_id: int, code: str, name: str, time_zone: str) -> int:
    """The site's id."""
    return cast("int", await queries.value(tx, "add_site", customer_id=customer_id, code=code, name=name, time_zone=time_zone))


async def add_area(tx: Transaction, customer_id: int, site_id: int, name: str) -> int:
    """The area's id."""
    return cast("int", await queries.value(tx, "add_area", customer_id=customer_id, site_id=site_id, name=name))


async def add_line(tx: Transaction, customer_id: int, area_id: int, name: str) -> int:
    """The line's id."""
    return cast("int", await queries.value(tx, "add_line", customer_id=customer_id, area_id=area_id, name=name))


async def add_asset_model(tx: Transaction, code: str, name: str, life_unit: str) -> int:
    """The model's id."""
    return cast("int", await queries.value(tx, "add_asset_model", code=code, name=name, life_unit=life_unit))


async def add_edge_node(tx: Transaction, site: Site, group_id: str, node_id: str) -> int:
    """The gateway's id. A gateway of that identity elsewhere stays where it is."""
    return cast(
        "int",
        await queries.value(tx, "add_edge_node", customer_id=site.customer_id, site_id=site.site_id, group_id=group_id, node_id=node_id),
    )


async def add_role(tx: Transaction, new: NewRole) -> int:
    """The role's id."""
    return cast(
        "int",
        await queries.value(
            tx,
            "add_role",
            customer_id=new.customer_id,
            line_id=new.line_id,
            asset_model_id=new.asset_model_id,
            name=new.name,
            edge_node_id=new.edge_node_id,
            device_id=new.device_id,
        ),
    )


async def add_asset(tx: Transaction, asset_model_id: int, serial_number: str) -> int:
    """The asset's id; a new one is serviceable."""
    return cast("int", await queries.value(tx, "add_asset", asset_model_id=asset_model_id, serial_number=serial_number))


async def count_assets(tx: Transaction, asset_model_id: int, serial_prefix: str) -> int:
    """How many machines of a model have a serial number that begins so."""
    return cast("int", await queries.value(tx, "count_assets", asset_model_id=asset_model_id, prefix=serial_prefix))
