"""The detectors' memory of many edges is kept in one statement, each edge's own."""

from datetime import datetime

import numpy as np
import psycopg
import pytest

from vigia.store import findings
from vigia.store.database import Database
from vigia.store.findings import Memory


@pytest.fixture(autouse=True)
def _edges(dsn: str) -> None:
    with psycopg.connect(dsn, options="-c search_path=vigia") as connection:
        connection.execute("insert into customer (code, name) values ('a', 'A')")
        connection.execute("insert into site (customer_id, code, name, time_zone) values (1, 's', 'S', 'UTC')")
        connection.execute(
            "insert into edge_node (customer_id, site_id, group_id, node_id) select 1, 1, 'g', 'n' || n from generate_series(1, 9) n"
        )


def memory_of(edges: dict[int, list[int]], value: float) -> Memory:
    points = [point for of_edge in edges.values() for point in of_edge]
    state = np.array(points, float)[:, None] * [1.0, value, np.nan]
    counts = [len(of_edge) for of_edge in edges.values()]
    return Memory(np.array(list(edges), np.int32), np.array(counts, np.int32), np.array(points, np.int32), state)


async def save(service: Database, edges: dict[int, list[int]], value: float) -> dict[int, datetime]:
    async with service.transaction() as tx:
        return await findings.save_all(tx, memory_of(edges, value))


async def test_each_edge_gets_back_its_own_points_and_state(service: Database) -> None:
    edges = {4: [7, 8, 9], 2: [1], 3: [], 9: [20, 30]}
    await save(service, {2: [5], 4: [6]}, 1.0)
    versions = await save(service, edges, 2.0)
    async with service.transaction() as tx:
        assert await findings.versions(tx, range(1, 10)) == versions
        for edge_node_id, points in edges.items():
            snapshot = await findings.load(tx, edge_node_id)
            assert snapshot is not None
            assert snapshot.point_ids == points
            assert snapshot.state == memory_of({edge_node_id: points}, 2.0).state.tobytes()
            assert snapshot.updated_at == versions[edge_node_id]


async def test_a_version_changes_with_each_save_and_nothing_is_asked_for_no_edge(service: Database) -> None:
    first, second = await save(service, {1: [1]}, 1.0), await save(service, {1: [1]}, 1.0)
    assert second[1] > first[1]
    assert await save(service, {}, 1.0) == {}
