"""What time it is for the fleet."""

from datetime import UTC, datetime, timedelta

import pytest

from vigia.store import fleet
from vigia.store.database import Database

REPLAYED = datetime(2031, 5, 6, 7, tzinfo=UTC)


async def newest_reading(service: Database, at: datetime) -> None:
    async with service.transaction() as tx:
        customer = await fleet.add_customer(tx, "acme", "Acme")
        site = fleet.Site(
            await fleet.add_site(tx, customer, "madrid", "Madrid", "Europe/Madrid"), customer, "madrid", "Madrid", "Europe/Madrid"
        )
        node = await fleet.add_edge_node(tx, site, "acme", "madrid")
        await tx.execute("update edge_node set last_reading_at = %s where edge_node_id = %s", (at, node))


async def now(service: Database, clock: fleet.Clock = "auto") -> datetime:
    async with service.transaction() as tx:
        return await fleet.now(tx, clock)


def is_wall_clock(moment: datetime) -> bool:
    return abs(moment - datetime.now(UTC)) < timedelta(minutes=1)


async def test_without_readings_it_is_the_wall_clock(service: Database) -> None:
    assert is_wall_clock(await now(service))
    assert is_wall_clock(await now(service, "fleet"))


async def test_a_replayed_fleet_has_its_own_time(service: Database) -> None:
    await newest_reading(service, REPLAYED)
    assert await now(service) == REPLAYED
    assert await now(service, "fleet") == REPLAYED
    assert is_wall_clock(await now(service, "wall"))


@pytest.mark.parametrize("late", [timedelta(minutes=-50), timedelta(minutes=50)])
async def test_a_live_fleet_has_the_time_of_everybody(service: Database, late: timedelta) -> None:
    await newest_reading(service, datetime.now(UTC) - late)
    assert is_wall_clock(await now(service))
