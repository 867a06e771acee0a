"""Blocks keep messages, numbers and readings together however they are cut."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vigia.ingest.blocks import Block, Numbers
from vigia.ingest.events import Letter
from vigia.ingest.inbox import Message
from vigia.store.ledger import NO_READING, Piece
from vigia.store.telemetry import Readings

named = st.tuples(st.integers(1, 3), st.integers(1, 2), st.one_of(st.just(-1), st.integers(1, 9)), st.integers(0, 3))
named_blocks = st.lists(named, min_size=1, max_size=40)


def block_of(rows: list[tuple[int, int, int, int]]) -> Block:
    """Messages as (edge, epoch, eseq or -1, readings); reading r says r."""
    edge, epoch, eseq, count = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    n = int(count.sum())
    value = np.arange(n)
    return Block(
        edge.astype(np.int32),
        np.where(eseq < 0, -1, epoch),
        eseq,
        np.append([0], np.cumsum(count)),
        Readings(value.astype(np.int32), 1_000 + value * 37 % 101, value.astype(float), np.full(n, 192, np.int16)),
        message=lambda index: Message(f"message {index}", b"", 1),
    )


def key(block: Block, index: int) -> tuple[int, int, int]:
    return int(block.edge_node_id[index]), int(block.epoch[index]), int(block.eseq[index])


@settings(deadline=None)  # the first call compiles
@given(named_blocks, st.integers(1, 7))
def test_chunks_are_the_block_again(rows: list[tuple[int, int, int, int]], size: int) -> None:
    block = block_of(rows)
    chunks = block.chunks(size)
    assert all(len(chunk) for chunk in chunks)
    assert [key(chunk, i) for chunk in chunks for i in range(len(chunk))] == [key(block, i) for i in range(len(block))]
    assert [chunk.message(i).topic for chunk in chunks for i in range(len(chunk))] == [f"message {i}" for i in range(len(block))]
    assert np.concatenate([chunk.readings.value for chunk in chunks]).tolist() == block.readings.value.tolist()
    assert [count for chunk in chunks for count in chunk.rows.tolist()] == [count for *_, count in rows]


def test_letters_and_graves_go_with_their_messages() -> None:
    block = block_of([(1, 1, 1, 2), (1, 1, 2, 2), (1, 1, 3, 2)])
    letter = Letter(block.message(2), "reason", "detail")
    whole = Block(**{**vars(block), "letters": {2: (letter,)}, "buried": {1: "why"}})
    _, last = whole.halves()
    assert (last.letters, last.buried) == ({1: (letter,)}, {0: "why"})
    given_up = last.part(1, 2).given_up("full", letter)
    assert (len(given_up.readings), given_up.buried, given_up.letters) == (0, {0: "full"}, {0: (letter,)})


@settings(deadline=None)  # the first call compiles
@given(named_blocks, st.sets(st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 9))))
def test_ranges_are_the_numbers_that_are_new(rows: list[tuple[int, int, int, int]], known: set[tuple[int, int, int]]) -> None:
    block = block_of(rows)
    numbers = Numbers(block)
    numbers.without(sorted(Piece(edge, epoch, eseq, eseq) for edge, epoch, eseq in known))
    taken: dict[tuple[int, int, int], int] = {}
    for i, (_, _, eseq, count) in enumerate(rows):
        fresh = eseq < 0 or (key(block, i) not in known and key(block, i) not in taken)
        assert numbers.fresh[i] == fresh
        if fresh and eseq >= 0:
            taken[key(block, i)] = count
    ranges = numbers.ranges()
    columns = zip(*(column.tolist() for column in vars(ranges).values()), strict=True)
    found = {(edge, epoch, eseq) for edge, epoch, first, last, _ in columns for eseq in range(first, last + 1)}
    assert found == set(taken)
    assert int(ranges.rows.sum()) == sum(taken.values())
    together = list(zip(ranges.edge_node_id[1:], ranges.epoch[1:], ranges.first[1:], strict=True))
    before = list(zip(ranges.edge_node_id[:-1], ranges.epoch[:-1], ranges.last[:-1] + 1, strict=True))
    assert all(a != b for a, b in zip(together, before, strict=True))  # no range could be longer
    assert numbers.epochs() == {key(block, i)[:2] for i, (_, _, eseq, _) in enumerate(rows) if eseq >= 0}


@settings(deadline=None)  # the first call compiles
@given(named_blocks, st.randoms(use_true_random=False))
def test_each_edge_was_heard_at_its_newest_reading(rows: list[tuple[int, int, int, int]], rng: "np.random.Generator") -> None:
    block = block_of(rows)
    chosen = np.array([rng.random() < 0.7 for _ in rows], np.bool_)
    heard = block.heard(chosen)
    slow: dict[int, int] = {}
    for i in np.flatnonzero(chosen).tolist():
        ts = block.readings.ts[block.first[i] : block.first[i + 1]]
        slow[rows[i][0]] = max([slow.get(rows[i][0], NO_READING), *ts.tolist()])
    assert dict(zip(heard.edge_node_id.tolist(), heard.last_reading_at.tolist(), strict=True)) == slow
    assert block.of(chosen).value.tolist() == [
        value for i in np.flatnonzero(chosen) for value in block.readings.value[block.first[i] : block.first[i + 1]].tolist()
    ]
