"""A number is accounted for once, whoever writes it, in whatever order and however often it is tried."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import numpy as np
import psycopg
import pytest

from vigia.api.routes.edge_nodes import EDGE_NODES
from vigia.store import ledger, pages, telemetry
from vigia.store.database import Caller, Database
from vigia.store.ledger import NO_READING, AlreadyCommittedError, Batch, Heard, Piece, Ranges

AT = telemetry.to_us(datetime(2026, 3, 1, 12, tzinfo=UTC))
EPOCH = 7


def add_edges(dsn: str) -> None:
    """Edges 1 to 60."""
    with psycopg.connect(dsn, options="-c search_path=vigia") as connection:
        connection.execute("insert into customer (code, name) values ('a', 'A')")
        connection.execute("insert into site (customer_id, code, name, time_zone) values (1, 's', 'S', 'UTC')")
        connection.execute(
            "insert into edge_node (customer_id, site_id, group_id, node_id) select 1, 1, 'g', 'n' || n from generate_series(1, 60) n"
        )


@pytest.fixture
async def service(either_dsn: str) -> AsyncIterator[Database]:
    """The service's database with edges, once for each profile."""
    add_edges(either_dsn)
    async with Database(either_dsn, "vigia_service") as database:
        yield database


def ranges_of(*given: tuple[int, int, int, int]) -> Ranges:
    """Of (edge, epoch, first, last), with ten rows a number."""
    columns = np.array(given, np.int64).reshape(-1, 4).T
    return Ranges(columns[0].astype(np.int32), columns[1], columns[2], columns[3], (columns[3] - columns[2] + 1) * 10)


def heard(edges: Sequence[int], at: int = AT) -> Heard:
    return Heard(np.array(edges, np.int32), np.full(len(edges), at, np.int64))


async def write(database: Database, *given: tuple[int, int, int, int], at: int = AT) -> list[tuple[int, int, int]]:
    """Enter ranges as ingest does, without what is known; their watermarks."""
    edges = sorted({edge for edge, *_ in given})
    async with database.transaction() as tx:
        await ledger.lock(tx, np.array(edges, np.int32))
        assert await ledger.known(tx, ranges_of(*given)) == []
        return triples(await ledger.enter(tx, ranges_of(*given), heard(edges, at)))


def triples(marks: ledger.Watermarks) -> list[tuple[int, int, int]]:
    return list(zip(marks.edge_node_id.tolist(), marks.epoch.tolist(), marks.eseq.tolist(), strict=True))


async def stored(database: Database) -> list[tuple[int, int, str, int, int, int]]:
    async with database.transaction() as tx:
        cursor = await tx.execute("select edge_node_id, epoch, eseqs::text, committed, buried, rows from ledger order by 1, 2")
        return await cursor.fetchall()


async def test_consecutive_ranges_stay_one_piece_and_move_the_watermark(service: Database) -> None:
    assert await write(service, (1, EPOCH, 1, 20), (2, EPOCH, 1, 5)) == [(1, EPOCH, 20), (2, EPOCH, 5)]
    assert await write(service, (1, EPOCH, 21, 30)) == [(1, EPOCH, 30)]
    assert await stored(service) == [(1, EPOCH, "{[1,31)}", 30, 0, 300), (2, EPOCH, "{[1,6)}", 5, 0, 50)]


async def test_ranges_out_of_order_wait_for_the_hole_to_close(service: Database) -> None:
    assert await write(service, (1, EPOCH, 5, 8), (1, EPOCH, 12, 12)) == [(1, EPOCH, 0)]
    assert await write(service, (1, EPOCH, 1, 3)) == [(1, EPOCH, 3)]
    async with service.transaction() as tx:
        (edge,) = [edge for edge in await ledger.status(tx) if edge.epoch is not None]
        assert (edge.holes, edge.committed, edge.newest, edge.watermark) == ([[4, 4], [9, 11]], 8, 12, 3)
    assert await write(service, (1, EPOCH, 4, 4)) == [(1, EPOCH, 8)]
    assert await write(service, (1, EPOCH, 9, 11)) == [(1, EPOCH, 12)]
    assert await stored(service) == [(1, EPOCH, "{[1,13)}", 12, 0, 120)]


async def test_epochs_of_an_edge_are_counted_apart(service: Database) -> None:
    assert await write(service, (1, EPOCH, 1, 4), (1, EPOCH + 1, 1, 2)) == [(1, EPOCH, 4), (1, EPOCH + 1, 2)]
    async with service.transaction() as tx:
        assert await ledger.known(tx, ranges_of((1, EPOCH + 2, 1, 4))) == []
        assert await ledger.known(tx, ranges_of((1, EPOCH + 1, 1, 4))) == [Piece(1, EPOCH + 1, 1, 2)]


async def test_a_replay_is_known_in_pieces(service: Database) -> None:
    await write(service, (1, EPOCH, 1, 4), (1, EPOCH, 8, 9), (2, EPOCH, 3, 3))
    async with service.transaction() as tx:
        pieces = await ledger.known(tx, ranges_of((2, EPOCH, 1, 3), (1, EPOCH, 2, 20), (1, EPOCH, 30, 31)))
    assert pieces == [Piece(1, EPOCH, 2, 4), Piece(1, EPOCH, 8, 9), Piece(2, EPOCH, 3, 3)]


@pytest.mark.parametrize("again", [(3, 3), (1, 6), (6, 9), (2, 4), (1, 20)])
async def test_what_overlaps_is_refused_by_the_database_itself(service: Database, again: tuple[int, int]) -> None:
    await write(service, (1, EPOCH, 1, 6), (1, EPOCH, 10, 12))
    before = await stored(service)
    with pytest.raises(AlreadyCommittedError):
        async with service.transaction() as tx:
            await ledger.enter(tx, ranges_of((2, EPOCH, 1, 1), (1, EPOCH, *again)), heard([1, 2], AT + 1))
    assert await stored(service) == before


async def test_a_number_given_twice_in_one_commit_is_refused(service: Database) -> None:
    with pytest.raises(AlreadyCommittedError):
        async with service.transaction() as tx:
            await ledger.enter(tx, ranges_of((1, EPOCH, 1, 3), (1, EPOCH, 3, 4)), heard([1]))
    assert await stored(service) == []


async def test_a_tombstone_over_a_range_explains_what_is_not_committed(service: Database) -> None:
    await write(service, (1, EPOCH, 1, 2), (1, EPOCH, 6, 6))
    async with service.transaction() as tx:
        for _ in range(2):
            await ledger.bury(tx, Batch(1, EPOCH, 2), 4, "disk full")
        assert await ledger.known(tx, ranges_of((1, EPOCH, 3, 6))) == [Piece(1, EPOCH, 3, 4), Piece(1, EPOCH, 6, 6)]
        (mark,) = await ledger.watermarks(tx, [(1, EPOCH)])
        assert mark.eseq == 4
    assert await stored(service) == [(1, EPOCH, "{[1,5),[6,7)}", 3, 2, 30)]
    assert await write(service, (1, EPOCH, 5, 5)) == [(1, EPOCH, 6)]
    async with service.transaction() as tx:
        (edge,) = [edge for edge in await ledger.status(tx) if edge.epoch is not None]
    assert (edge.holes, edge.committed, edge.buried, edge.watermark) == ([], 4, 2, 6)


async def test_a_tombstone_that_grew_counts_each_number_once(service: Database) -> None:
    await write(service, (1, EPOCH, 2, 2), (1, EPOCH, 6, 6))
    async with service.transaction(Caller(staff=True)) as tx:
        for last in (1, 3, 5):
            await ledger.bury(tx, Batch(1, EPOCH, 1), last, "disk full")
        await ledger.bury(tx, Batch(1, EPOCH + 1, 1), 2, "disk full")
        (site,) = await pages.sites(tx)
        node = await EDGE_NODES.one(tx, 1)
    assert (site.committed, site.dropped, site.missing) == (2, 6, 0)
    assert (node.committed, node.dropped, node.missing) == (2, 6, 0)


async def test_an_epoch_that_is_only_buried_moves_its_watermark(service: Database) -> None:
    async with service.transaction() as tx:
        await ledger.bury(tx, Batch(1, EPOCH, 1), 9, "too old")
    assert await write(service, (1, EPOCH, 10, 11)) == [(1, EPOCH, 11)]
    assert await stored(service) == [(1, EPOCH, "{[1,12)}", 2, 9, 20)]


async def test_a_commit_keeps_when_each_edge_was_heard_and_never_goes_back(service: Database) -> None:
    await write(service, (1, EPOCH, 1, 1))
    await write(service, (1, EPOCH, 2, 2), at=AT - 60_000_000)
    async with service.transaction() as tx:
        await ledger.enter(tx, ranges_of(), Heard(np.array([1, 2, 3], np.int32), np.array([NO_READING, NO_READING, AT])))
        rows = await (
            await tx.execute(
                "select last_reading_at, last_commit_at is not null from edge_node where edge_node_id <= 4 order by edge_node_id"
            )
        ).fetchall()
    assert rows == [(telemetry.from_us(AT), True), (None, True), (telemetry.from_us(AT), True), (None, False)]


async def test_a_lost_tail_of_an_announced_epoch_is_a_hole(service: Database) -> None:
    async with service.transaction() as tx:
        await ledger.announce_newest(tx, 1, EPOCH, 9)
    await write(service, (1, EPOCH, 1, 4))
    async with service.transaction() as tx:
        await ledger.announce_newest(tx, 1, EPOCH + 1, 1)
        holes = {edge.epoch: edge.holes for edge in await ledger.status(tx) if edge.edge_node_id == 1}
    assert holes == {EPOCH: [[5, 9]], EPOCH + 1: [[1, 1]]}


async def test_writers_with_the_same_batches_enter_each_once(service: Database) -> None:
    """Each gets every batch of fifty edges in an order of its own, as a shared subscription may deliver them after a fault."""
    entered: list[tuple[int, int]] = []

    async def writer(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for number in range(1, 11):
            edges = rng.permutation(np.arange(1, 51, dtype=np.int32))
            ranges = ranges_of(*((int(edge), EPOCH, number, number) for edge in edges))
            async with service.transaction() as tx:
                await ledger.lock(tx, edges)
                seen = {piece.edge_node_id for piece in await ledger.known(tx, ranges)}
                fresh = [edge for edge in edges.tolist() if edge not in seen]
                await ledger.enter(tx, ranges_of(*((edge, EPOCH, number, number) for edge in fresh)), heard(edges.tolist()))
            entered.extend((edge, number) for edge in fresh)

    async with asyncio.TaskGroup() as tasks:
        for seed in range(3):
            tasks.create_task(writer(seed))
    assert await stored(service) == [(edge, EPOCH, "{[1,11)}", 10, 0, 100) for edge in range(1, 51)]
    assert sorted(entered) == [(edge, number) for edge in range(1, 51) for number in range(1, 11)]


async def test_writers_that_forget_to_lock_still_cannot_commit_a_number_twice(service: Database) -> None:
    async def careless() -> bool:
        try:
            async with service.transaction() as tx:
                assert await ledger.known(tx, ranges_of((1, EPOCH, 1, 3))) == []
                await everyone.wait()
                await ledger.enter(tx, ranges_of((1, EPOCH, 1, 3)), heard([1]))
        except AlreadyCommittedError:
            return False
        return True

    everyone = asyncio.Barrier(3)
    assert sorted(await asyncio.gather(*(careless() for _ in range(3)))) == [False, False, True]
    assert await stored(service) == [(1, EPOCH, "{[1,4)}", 3, 0, 30)]
