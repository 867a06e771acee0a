"""Which machine stands where, as births, records and late readings tell it."""

from datetime import UTC, datetime, timedelta

from ingest_harness import HOUR_MS, START_MS, Edge, Line, check_all_stored_once, query, stored

from vigia.store import fleet, installations
from vigia.store.database import Caller, Database

START = datetime(2026, 1, 1, tzinfo=UTC)


def standing(dsn: str) -> list[tuple[object, ...]]:
    """Serial number, hours from and until, of role R1 of the first node."""
    return query(
        dsn,
        "select a.serial_number, round(extract(epoch from i.installed_at - '2026-01-01') / 3600, 1)::float,"
        " round(extract(epoch from i.removed_at - '2026-01-01') / 3600, 1)::float"
        " from installation i join asset a using (asset_id) join role r using (role_id)"
        " where r.name = 'acme-one R1' order by i.installed_at",
    )


async def test_a_birth_fills_an_empty_role(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(edge.node_birth(), edge.device_birth("R1", "A", START_MS + HOUR_MS))
    assert standing(seeded) == [("A", 1.0, None)]
    assert query(seeded, "select name, kind, unit from point order by name") == [
        ("Ps30", "measurement", "K"),
        ("T50", "measurement", "K"),
        ("cycle", "counter", "K"),
        ("state", "state", "K"),
    ]


async def test_a_birth_with_readings_of_another_machine_proves_the_swap(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(edge.node_birth(), edge.device_birth("R1", "A", START_MS + HOUR_MS), edge.data("R1", 1))
    await wire.hear(edge.device_birth("R1", "B", START_MS + 5 * HOUR_MS), edge.data("R1", 5))
    assert standing(seeded) == [("A", 1.0, 5.0), ("B", 5.0, None)]
    check_all_stored_once(seeded, edge)


async def test_a_birth_without_readings_does_not_prove_a_swap(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(edge.node_birth(), edge.device_birth("R1", "A", START_MS + HOUR_MS), edge.device_birth("R1", "B"))
    assert standing(seeded) == [("A", 1.0, None)]


async def test_a_birth_from_before_does_not_undo_a_recorded_swap(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(edge.node_birth(), edge.device_birth("R1", "A", START_MS + HOUR_MS), edge.data("R1", 3))
    async with Database(seeded, "vigia_service", max_size=1) as database, database.transaction(Caller(staff=True)) as tx:
        asset_id, role_id, customer_id, model = query(
            seeded, "select a.asset_id, i.role_id, i.customer_id, a.asset_model_id from installation i join asset a using (asset_id)"
        )[0]
        standing_now = await installations.current(tx, int(str(asset_id)))
        assert standing_now is not None
        await installations.remove(tx, standing_now, START + timedelta(hours=4))
        spare = await fleet.add_asset(tx, int(str(model)), "B")
        await installations.install(tx, int(str(customer_id)), int(str(role_id)), spare, START + timedelta(hours=4))
    recorded = [("A", 1.0, 4.0), ("B", 4.0, None)]
    await wire.hear(edge.node_birth(), edge.device_birth("R1", "A", START_MS + 3 * HOUR_MS))
    assert standing(seeded) == recorded
    await wire.hear(edge.node_birth(), edge.device_birth("R1", "A"))
    assert standing(seeded) == recorded
    await wire.hear(edge.device_birth("R1", "B", START_MS + 5 * HOUR_MS), edge.data("R1", 5))
    assert standing(seeded) == recorded
    assert [serial for serial, name, *_ in stored(seeded) if name == "T50"] == ["A", "B"]


async def test_late_readings_of_an_earlier_machine_stay_its_own(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(edge.node_birth(), edge.device_birth("R1", "A", START_MS + HOUR_MS), edge.data("R1", 1))
    await wire.hear(edge.device_birth("R1", "B", START_MS + 5 * HOUR_MS), edge.data("R1", 5))
    await wire.hear(edge.data("R1", 2, serial="A", historical=True), edge.data("R1", 6))
    check_all_stored_once(seeded, edge)
    assert standing(seeded) == [("A", 1.0, 5.0), ("B", 5.0, None)]


async def test_late_readings_of_a_machine_never_heard_of_find_its_time(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(edge.node_birth(), edge.device_birth("R1", "A", START_MS + HOUR_MS), edge.data("R1", 1))
    await wire.hear(edge.device_birth("R1", "C", START_MS + 9 * HOUR_MS), edge.data("R1", 9))
    await wire.hear(edge.data("R1", 5, serial="B", historical=True))
    assert standing(seeded) == [("A", 1.0, 5.0), ("B", 5.0, 9.0), ("C", 9.0, None)]
    check_all_stored_once(seeded, edge)


async def test_points_follow_what_the_newest_birth_says(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(*edge.born())
    before = query(seeded, "select point_id, name from point order by 1")
    await wire.hear(*edge.born())
    assert query(seeded, "select point_id, name from point order by 1") == before
    assert len(query(seeded, "select * from birth")) == 3
