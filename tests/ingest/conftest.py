"""A small fleet: one customer, one site, two edge nodes, two roles each."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from vigia.store import fleet
from vigia.store.database import Caller, Database
from vigia.supervisor.broker import RunningBroker, running_broker

sys.path.insert(0, str(Path(__file__).parent))

from ingest_harness import Edge, Line, line


async def seed(dsn: str) -> None:
    async with Database(dsn, "vigia_service", max_size=1) as database, database.transaction(Caller(staff=True)) as tx:
        customer = await fleet.add_customer(tx, "acme", "Acme")
        site_id = await fleet.add_site(tx, customer, "acme-one", "Acme One", "Europe/Madrid")
        site = fleet.Site(site_id, customer, "acme-one", "Acme One", "Europe/Madrid")
        model = await fleet.add_asset_model(tx, "pump", "Pump", "h")
        area = await fleet.add_area(tx, customer, site_id, "Hall")
        place = await fleet.add_line(tx, customer, area, "Line 1")
        for name in ("acme-one", "acme-two"):
            node = await fleet.add_edge_node(tx, site, "acme", name)
            for device in ("R1", "R2"):
                await fleet.add_role(tx, fleet.NewRole(customer, place, model, f"{name} {device}", node, device))


@pytest.fixture
def seeded(dsn: str) -> str:
    asyncio.run(seed(dsn))
    return dsn


@pytest.fixture
def either_seeded(either_dsn: str) -> str:
    asyncio.run(seed(either_dsn))
    return either_dsn


@pytest.fixture
async def wire(seeded: str) -> AsyncIterator[Line]:
    async with line(seeded) as one:
        yield one


@pytest.fixture
def edge() -> Edge:
    return Edge()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RunningBroker]:
    with running_broker(tmp_path / "broker", "mosquitto") as running:
        yield running
