"""What must hold under concurrency is a constraint of the schema: numbers told twice, machines in two places, holes in what was told."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import errors

Connection = psycopg.Connection[tuple[object, ...]]
START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def connection(dsn: str) -> Iterator[Connection]:
    with psycopg.connect(dsn, options="-c search_path=vigia -c timezone=UTC", autocommit=True) as connection:
        connection.execute("insert into customer (code, name) values ('a', 'A'), ('b', 'B')")
        connection.execute("insert into site (customer_id, code, name, time_zone) values (1, 's', 'S', 'UTC'), (2, 's', 'S', 'UTC')")
        connection.execute("insert into edge_node (customer_id, site_id, group_id, node_id) values (1, 1, 'a', 's'), (2, 2, 'b', 's')")
        connection.execute("insert into area (customer_id, site_id, name) values (1, 1, 'A')")
        connection.execute("insert into line (customer_id, area_id, name) values (1, 1, 'L')")
        connection.execute("insert into asset_model (code, name) values ('m', 'M')")
        connection.execute("insert into asset (asset_model_id, serial_number) values (1, '1'), (1, '2')")
        connection.execute("insert into role (customer_id, line_id, asset_model_id, name) values (1, 1, 1, 'left'), (1, 1, 1, 'right')")
        yield connection


def holes(connection: Connection, edge_node_id: int = 1) -> list[tuple[object, str]]:
    found = connection.execute(
        "select epoch, hole::text from ledger_hole where edge_node_id = %s order by epoch, lower(hole)", (edge_node_id,)
    )
    return [(epoch, str(hole)) for epoch, hole in found]


def announce(connection: Connection, epoch: int, newest: int) -> None:
    connection.execute("update edge_node set epoch = %s, newest_eseq = %s where edge_node_id = 1", (epoch, newest))


def commit(connection: Connection, epoch: int, *ranges: tuple[int, int]) -> None:
    for first, last in ranges:
        connection.execute(
            """insert into ledger as l (edge_node_id, epoch, eseqs, committed, rows)
               values (1, %s, int8multirange(int8range(%s, %s, '[]')), %s, 1)
               on conflict (edge_node_id, epoch) do update set
                   eseqs = l.eseqs + excluded.eseqs, committed = l.committed + excluded.committed, rows = l.rows + excluded.rows""",
            (epoch, first, last, last - first + 1),
        )


def drop(connection: Connection, epoch: int, first: int, last: int) -> None:
    connection.execute("insert into tombstone values (1, %s, int8range(%s, %s, '[]'), 'disk full')", (epoch, first, last))


def test_an_edge_that_never_spoke_has_no_hole(connection: Connection) -> None:
    assert holes(connection) == []


def test_an_edge_that_announced_nothing_yet_has_no_hole(connection: Connection) -> None:
    announce(connection, 5, 0)
    assert holes(connection) == []


def test_everything_committed_is_no_hole(connection: Connection) -> None:
    announce(connection, 5, 9)
    commit(connection, 5, (1, 4), (5, 5), (6, 9))
    assert holes(connection) == []
    assert holes(connection, 2) == []


def test_a_lost_head_middle_and_tail_show(connection: Connection) -> None:
    announce(connection, 5, 20)
    commit(connection, 5, (3, 5), (8, 9), (12, 15))
    assert holes(connection) == [(5, "[1,3)"), (5, "[6,8)"), (5, "[10,12)"), (5, "[16,21)")]


def test_an_edge_whose_every_batch_was_lost_shows(connection: Connection) -> None:
    announce(connection, 5, 3)
    assert holes(connection) == [(5, "[1,4)")]


def test_batches_committed_before_any_heartbeat_count(connection: Connection) -> None:
    commit(connection, 5, (1, 2), (4, 4))
    assert holes(connection) == [(5, "[3,4)")]


def test_what_was_dropped_with_a_reason_is_no_hole(connection: Connection) -> None:
    announce(connection, 5, 9)
    commit(connection, 5, (1, 3), (8, 9))
    drop(connection, 5, 4, 6)
    assert holes(connection) == [(5, "[7,8)")]
    drop(connection, 5, 6, 7)
    assert holes(connection) == []


def test_a_lost_tail_is_not_forgotten_when_the_next_epoch_begins(connection: Connection) -> None:
    announce(connection, 5, 4)
    commit(connection, 5, (1, 2))
    announce(connection, 6, 1)
    assert holes(connection) == [(5, "[3,5)"), (6, "[1,2)")]
    commit(connection, 6, (1, 1))
    drop(connection, 5, 3, 4)
    assert holes(connection) == []


def test_a_new_epoch_without_any_batch_shows_beside_an_old_one_that_is_whole(connection: Connection) -> None:
    announce(connection, 5, 2)
    commit(connection, 5, (1, 2))
    announce(connection, 6, 3)
    assert holes(connection) == [(6, "[1,4)")]


def test_an_older_heartbeat_that_comes_late_hides_nothing(connection: Connection) -> None:
    announce(connection, 5, 9)
    announce(connection, 5, 4)
    commit(connection, 5, (1, 4))
    assert holes(connection) == [(5, "[5,10)")]


def test_a_number_is_committed_once_in_its_edge_and_epoch(connection: Connection) -> None:
    commit(connection, 5, (1, 10), (20, 30))
    for again in ((10, 12), (1, 10), (5, 5), (20, 20), (8, 22)):
        with pytest.raises(errors.CheckViolation, match="ledger_counted_once"):
            commit(connection, 5, again)
    commit(connection, 6, (1, 10))
    connection.execute("insert into ledger (edge_node_id, epoch, eseqs, committed, rows) values (2, 5, '{[1,11)}', 10, 1)")
    with pytest.raises(errors.CheckViolation):
        connection.execute("insert into ledger (edge_node_id, epoch, eseqs, committed, rows) values (1, 7, '{}', 0, 1)")


def test_a_number_that_is_buried_cannot_be_committed(connection: Connection) -> None:
    drop(connection, 5, 3, 4)
    with pytest.raises(errors.CheckViolation, match="ledger_counted_once"):
        commit(connection, 5, (1, 3))
    commit(connection, 5, (1, 2))
    drop(connection, 5, 2, 6)
    assert connection.execute("select eseqs::text, committed, buried from ledger").fetchone() == ("{[1,7)}", 2, 4)


async def test_of_two_writers_of_the_same_batch_one_wins(dsn: str, connection: Connection) -> None:
    async def write() -> int:
        async with await psycopg.AsyncConnection.connect(dsn, options="-c search_path=vigia") as own:
            cursor = await own.execute(
                """insert into ledger as l (edge_node_id, epoch, eseqs, committed, rows) values (1, 5, '{[1,5)}', 4, 4)
                   on conflict (edge_node_id, epoch) do update set
                       eseqs = l.eseqs + excluded.eseqs, committed = l.committed + excluded.committed"""
            )
            return cursor.rowcount

    written = await asyncio.gather(*(write() for _ in range(5)), return_exceptions=True)
    assert written.count(1) == 1
    assert sum(isinstance(result, errors.CheckViolation) for result in written) == 4
    assert connection.execute("select committed from ledger").fetchall() == [(4,)]


def install(connection: Connection, role: int, asset: int, since: datetime, until: datetime | None = None) -> None:
    connection.execute(
        "insert into installation (customer_id, role_id, asset_id, installed_at, removed_at) values (1, %s, %s, %s, %s)",
        (role, asset, since, until),
    )


def test_a_role_has_one_machine_and_a_machine_one_role(connection: Connection) -> None:
    install(connection, 1, 1, START, START + HOUR)
    install(connection, 1, 2, START + HOUR)
    with pytest.raises(errors.ExclusionViolation, match="installation_role_excl"):
        install(connection, 1, 1, START + 2 * HOUR)
    with pytest.raises(errors.ExclusionViolation, match="installation_asset_excl"):
        install(connection, 2, 2, START + 3 * HOUR)


def test_a_machine_is_never_in_two_places_at_one_instant(connection: Connection) -> None:
    install(connection, 1, 1, START, START + HOUR)
    with pytest.raises(errors.ExclusionViolation, match="installation_asset_excl"):
        install(connection, 2, 1, START + HOUR)
    install(connection, 2, 1, START + HOUR + timedelta(microseconds=1))


def test_a_row_cannot_belong_to_one_customer_and_hang_on_anothers_equipment(connection: Connection) -> None:
    for statement in (
        "insert into area (customer_id, site_id, name) values (2, 1, 'A')",
        "insert into installation (customer_id, role_id, asset_id, installed_at) values (2, 1, 1, now())",
        "insert into failure_case (customer_id, role_id, asset_id, failure_mode, opened_at) values (2, 1, 1, 'm', now())",
    ):
        with pytest.raises(errors.ForeignKeyViolation):
            connection.execute(statement.encode())


def test_a_role_is_in_one_state_at_a_time(connection: Connection) -> None:
    insert = "insert into state_interval (customer_id, role_id, category, started_at, ended_at) values (1, 1, 'up', %s, %s)"
    connection.execute(insert, (START, START + HOUR))
    connection.execute(insert, (START + HOUR, None))
    with pytest.raises(errors.ExclusionViolation, match="state_interval_excl"):
        connection.execute(insert, (START + 5 * HOUR, START + 6 * HOUR))
