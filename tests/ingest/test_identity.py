"""Who speaks for whom: machines of other customers, deaths of other sessions, and what a gateway says of itself."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from ingest_harness import HOUR_MS, START_MS, Edge, Line, letters, query, stored

from vigia.sparkplug import names
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.payload import Metric, Payload, encode
from vigia.sparkplug.session import bd_seq_metric
from vigia.store import fleet, installations
from vigia.store.database import Caller, Database

ABOUT = (names.AGENT_VERSION, names.CONFIGURATION)
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def rogue(wire: Line, seeded: str) -> Edge:
    """The gateway of another customer, with roles for devices of the same names."""
    async with Database(seeded, "vigia_service", max_size=1) as database, database.transaction(Caller(staff=True)) as tx:
        customer = await fleet.add_customer(tx, "globex", "Globex")
        site_id = await fleet.add_site(tx, customer, "one", "Globex One", "Europe/Madrid")
        site = fleet.Site(site_id, customer, "one", "Globex One", "Europe/Madrid")
        model = await fleet.add_asset_model(tx, "pump", "Pump", "h")
        line = await fleet.add_line(tx, customer, await fleet.add_area(tx, customer, site_id, "Hall"), "Line 1")
        node = await fleet.add_edge_node(tx, site, "globex", "globex-one")
        for device in ("R1", "R2"):
            await fleet.add_role(tx, fleet.NewRole(customer, line, model, f"globex {device}", node, device))
    await wire.pipeline.know()
    return Edge(group="globex", node="globex-one", epoch=8)


def machines(dsn: str) -> list[tuple[object, ...]]:
    """Which machine stands where now."""
    return query(
        dsn,
        "select r.name, a.serial_number from installation i join role r using (role_id) join asset a using (asset_id)"
        " where i.removed_at is null order by 1",
    )


def audited(dsn: str) -> list[tuple[object, ...]]:
    return query(
        dsn,
        "select action, c.code, subject = 'edge_node:' || n.edge_node_id, detail"
        " from audit_event join customer c using (customer_id) join edge_node n using (customer_id)"
        " where n.node_id in ('acme-one', 'globex-one') order by audit_event_id",
    )


async def test_a_gateway_takes_no_machine_from_another_customer(wire: Line, edge: Edge, rogue: Edge, seeded: str) -> None:
    await wire.hear(edge.node_birth(), edge.device_birth("R1", "A", START_MS + HOUR_MS), edge.data("R1", 1))
    await wire.hear(rogue.node_birth(), rogue.device_birth("R1", "A", START_MS + 2 * HOUR_MS), rogue.data("R1", 2))
    await wire.hear(edge.data("R1", 3))
    assert machines(seeded) == [("acme-one R1", "A")]
    assert {(serial, name, ms, value) for serial, name, ms, value in stored(seeded)} == edge.sent
    assert audited(seeded) == [("refuse_machine", "globex", True, {"device": "R1", "serial_number": "A"})]
    assert {reason for reason, _ in letters(seeded)} == {"machine of another customer"}
    assert query(seeded, "select * from ledger_hole") == []


async def test_nor_does_it_bring_readings_in_the_name_of_one(wire: Line, edge: Edge, rogue: Edge, seeded: str) -> None:
    await wire.hear(edge.node_birth(), edge.device_birth("R1", "A", START_MS + HOUR_MS), edge.data("R1", 1))
    await wire.hear(rogue.node_birth(), rogue.device_birth("R1", "B", START_MS + HOUR_MS), rogue.data("R1", 1))
    own = set(rogue.sent)
    await wire.hear(rogue.data("R1", 2, serial="A"), rogue.data("R1", 3, serial="A"))
    assert set(stored(seeded)) == edge.sent | own
    assert [action for action, *_ in audited(seeded)] == ["refuse_machine"]
    assert query(seeded, "select * from ledger_hole") == []


async def test_a_machine_that_was_removed_on_record_may_be_born_at_another_customer(
    wire: Line, edge: Edge, rogue: Edge, seeded: str
) -> None:
    await wire.hear(edge.node_birth(), edge.device_birth("R1", "A", START_MS + HOUR_MS))
    async with Database(seeded, "vigia_service", max_size=1) as database, database.transaction(Caller(staff=True)) as tx:
        standing = await installations.current(tx, int(str(query(seeded, "select asset_id from asset")[0][0])))
        assert standing is not None
        await installations.remove(tx, standing, START + timedelta(hours=4))
    await wire.hear(rogue.node_birth(), rogue.device_birth("R1", "A", START_MS + 5 * HOUR_MS))
    assert machines(seeded) == [("globex R1", "A")]
    # What the first gateway still had from before comes late, and is its own.
    await wire.hear(edge.device_birth("R1", "B", START_MS + 6 * HOUR_MS), edge.data("R1", 3, serial="A"))
    assert set(stored(seeded)) == edge.sent
    assert audited(seeded) == []


async def test_devices_without_a_serial_number_are_two_machines_at_two_customers(wire: Line, edge: Edge, rogue: Edge, seeded: str) -> None:
    for one in (edge, rogue):
        await wire.hear(one.node_birth(), one.device_birth("R1", None, START_MS + HOUR_MS))
    assert [name for name, _ in machines(seeded)] == ["acme-one R1", "globex R1"]
    assert len({serial for _, serial in machines(seeded)}) == 2
    assert letters(seeded) == []


async def test_the_death_of_another_session_ends_nothing_and_is_on_record_once(wire: Line, edge: Edge, seeded: str) -> None:
    edge.bd_seq = 5
    await wire.hear(*edge.born("R1"), *[edge.node_death(bd_seq) for bd_seq in (4, 4, 3, 4)], edge.data("R1", 1))
    assert query(seeded, "select online from edge_node where node_id = 'acme-one'") == [(True,)]
    assert set(stored(seeded)) == edge.sent
    assert audited(seeded) == [("refuse_node_death", "acme", True, {"bd_seq": stale, "of_session": 5}) for stale in (4, 3)]
    await wire.hear(edge.node_death(5), edge.node_death(5), edge.node_death(4))
    assert query(seeded, "select online from edge_node where node_id = 'acme-one'") == [(False,)]
    assert len(audited(seeded)) == 2


async def test_a_flood_of_stale_deaths_does_not_fill_the_record(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(*edge.born("R1"), *[edge.node_death(bd_seq) for bd_seq in range(1, 200)])
    assert 0 < len(audited(seeded)) < 20


@pytest.mark.parametrize(
    ("said", "kept"),
    [(("1.2.3", "ab" * 32), ("1.2.3", "ab" * 32)), (("", "\x00"), (None, None)), (("x" * 1000, "a\nb"), (None, None))],
)
async def test_a_birth_tells_program_configuration_and_clock(
    wire: Line, edge: Edge, seeded: str, said: tuple[str, str], kept: tuple[str | None, str | None]
) -> None:
    now = int(time.time() * 1000)
    birth = edge.node_birth()
    about = [Metric(name, alias, now, DataType.STRING, text) for alias, (name, text) in enumerate(zip(ABOUT, said, strict=True))]
    payload = encode(Payload(now + 90_000, (bd_seq_metric(0, now), *about), 0))
    await wire.hear(type(birth)(birth.topic, payload, birth.session))
    ((*found, skew),) = query(seeded, "select agent_version, configuration_sha256, clock_skew_ms from edge_node where node_id = 'acme-one'")
    assert tuple(found) == kept
    assert 80_000 < int(str(skew)) <= 90_000
    assert letters(seeded) == []


async def test_a_birth_in_another_age_tells_no_skew(wire: Line, edge: Edge, seeded: str) -> None:
    birth = edge.node_birth()
    payload = encode(Payload(2**63, (bd_seq_metric(0, 0),), 0))
    await wire.hear(type(birth)(birth.topic, payload, birth.session))
    assert query(seeded, "select online, clock_skew_ms from edge_node where node_id = 'acme-one'") == [(True, None)]
