"""What time it is for the fleet."""

from datetime import UTC, datetime, timedelta

from vigia.store import fleet
from vigia.store.database import Clock, Database

REPLAYED = datetime(2031, 5, 6, 7, tzinfo=UTC)


async def newest_reading(service: Database, at: datetime) -> None:
    async with service.transaction() as tx:
        customer = await fleet.add_customer(tx, "acme", "Acme")
        site = fleet.Site(
            await fleet.add_site(tx, customer, "madrid", "Madrid", "Europe/Madrid"), customer, "madrid", "Madrid", "Europe/Madrid"
        )
        node = await fleet.add_edge_node(tx, site, "acme", "madrid")
        await tx.execute("update edge_node set last_reading_at = %s where edge_node_id = %s", (at, node))


async def now(dsn: str, clock: Clock) -> datetime:
    async with Database(dsn, "vigia_service", max_size=1, clock=clock) as database, database.transaction() as tx:
        return await fleet.now(tx)


def is_wall_clock(moment: datetime) -> bool:
    return abs(moment - datetime.now(UTC)) < timedelta(minutes=1)


async def test_without_readings_it_is_the_wall_clock(dsn: str, service: Database) -> None:
    async with service.transaction() as tx:
        assert is_wall_clock(await fleet.now(tx))
    assert is_wall_clock(await now(dsn, "fleet"))


async def test_a_replayed_fleet_lives_in_the_time_of_its_newest_reading(dsn: str, service: Database) -> None:
    await newest_reading(service, REPLAYED)

    assert await now(dsn, "fleet") == REPLAYED


async def test_gateways_that_have_been_silent_do_not_stop_the_wall_clock(dsn: str, service: Database) -> None:
    await newest_reading(service, datetime.now(UTC) - timedelta(days=2))

    assert is_wall_clock(await now(dsn, "wall"))
