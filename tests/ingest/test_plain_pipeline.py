"""What plain devices say is stored beside what gateways say, by the same transactions."""

import time

import pytest
from ingest_harness import Edge, Line, letters, query

from vigia.ingest.inbox import Message
from vigia.ingest.plain import UNKNOWN_SENDER
from vigia.ingest.plain.devices import Plain
from vigia.ingest.plain.table import load


def said(device: str, payload: str, node: str = "acme-two") -> Message:
    return Message(f"vigia/acme/{node}/{device}", payload.encode(), 1)


@pytest.fixture
def plain_wire(wire: Line) -> Line:
    wire.pipeline._sessions._plain = Plain(load("default"))
    return wire


def rows(dsn: str) -> list[tuple[object, ...]]:
    return query(
        dsn,
        "select r.device_id, p.name, (extract(epoch from t.ts) * 1000)::bigint, t.value, t.quality"
        " from telemetry t join point p using (point_id) join installation i using (asset_id) join role r using (role_id)"
        " join edge_node e using (edge_node_id) where e.node_id = 'acme-two' order by 1, 2, 3",
    )


async def test_json_is_stored_beside_what_a_gateway_says(plain_wire: Line, seeded: str) -> None:
    edge = Edge()
    await plain_wire.hear(*edge.born(), edge.data("R1", 1))
    await plain_wire.hear(
        said("R1", '{"ts": 1767225600000, "values": {"T50": 1577.5, "running": true}}'),
        edge.data("R1", 2),
        said("R1", '{"ts": 1767225601000, "values": {"T50": null, "P15": 3}}'),
        said("R2/level", "0.5"),
    )
    await plain_wire.hear(said("R1", '{"ts": 1767225602000, "values": {"T50": 1}}'))
    found = rows(seeded)
    assert found[:-1] == [
        ("R1", "P15", 1767225601000, 3.0, 192),
        ("R1", "T50", 1767225600000, 1577.5, 192),
        ("R1", "T50", 1767225601000, None, 192),
        ("R1", "T50", 1767225602000, 1.0, 192),
        ("R1", "running", 1767225600000, 1.0, 192),
    ]
    assert (found[-1][:2], found[-1][3:]) == (("R2", "level"), (0.5, 192))
    assert letters(seeded) == []
    assert plain_wire.host.acknowledged == edge.eseq
    assert plain_wire.host.rebirths == 0
    assert query(seeded, "select count(*) from rollup_1m") != [(0,)]


async def test_the_first_reading_is_its_customers_too(plain_wire: Line, seeded: str) -> None:
    await plain_wire.hear(said("R1", '[{"ts": 1767225605000, "values": {"a": 1}}, {"ts": 1767225600000, "values": {"a": 2}}]'))
    since = query(seeded, "select (extract(epoch from installed_at) * 1000)::bigint from installation where removed_at is null")
    assert since == [(1767225600000 - 1,)]


async def test_one_that_is_not_registered_is_kept_whole_and_heard_when_it_is(plain_wire: Line, seeded: str) -> None:
    plain_wire.pipeline._known_at = time.monotonic()
    await plain_wire.hear(said("R1", '{"ts": 1767225600000, "values": {"a": 1}}', "acme-new"))
    assert [reason for reason, _ in letters(seeded)] == [UNKNOWN_SENDER]
    query(seeded, "update edge_node set node_id = 'acme-new' where node_id = 'acme-one' returning 1")
    plain_wire.pipeline._known_at = 0.0
    await plain_wire.hear(said("R1", '{"ts": 1767225600000, "values": {"a": 1}}', "acme-new"))
    assert len(letters(seeded)) == 1
    assert query(seeded, "select value from telemetry") == [(1.0,)]


async def test_a_device_without_a_role_is_kept_and_the_others_are_stored(plain_wire: Line, seeded: str) -> None:
    await plain_wire.hear(said("R9/a", "1"), said("R1/a", "2"), said("R9/a", "3"))
    assert query(seeded, "select reason, convert_from(payload, 'utf8') from dead_letter order by 2") == [
        ("unknown device", "1"),
        ("unknown device", "3"),
    ]
    assert [row[3] for row in rows(seeded)] == [2.0]
