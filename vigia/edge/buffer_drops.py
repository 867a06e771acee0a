"""What a buffer lets go of, within the caller's transaction: what the host has, and, with a tombstone, what there is no room for."""

import sqlite3
from collections.abc import Iterable

from vigia.edge.buffer_file import State, page_use, write_tombstone
from vigia.edge.buffer_records import Tombstone, runs

ROW_BYTES = 50  # of a batch beside its body, index included


def forget(connection: sqlite3.Connection, first: int, last: int, state: State) -> int:
    """Delete the batches numbered `first` to `last`; returns how many samples they held."""
    count, size, samples = connection.execute(
        "select count(*), coalesce(sum(length(body)), 0), coalesce(sum(samples), 0) from batch where eseq between ? and ?", (first, last)
    ).fetchone()
    connection.execute("delete from batch where eseq between ? and ?", (first, last))
    state.waiting_batches -= count
    state.waiting_bytes -= size
    state.waiting_samples -= samples
    return int(samples)


def drop(connection: sqlite3.Connection, eseqs: Iterable[int], reason: str, state: State) -> int:
    """Drop the batches with these numbers, in order, each covered by a tombstone; returns how many."""
    count = 0
    for first, last in runs(eseqs):
        state.samples_dropped += forget(connection, first, last, state)
        _bury(connection, Tombstone(state.epoch, first, last, reason))
        count += last - first + 1
    return count


def make_room(connection: sqlite3.Connection, wanted_bytes: int, reason: str, state: State) -> int:
    """Drop the least important batches, of these the oldest first, until `wanted_bytes` of the file's pages are free or none is left.

    Returns how many.
    """
    goal = page_use(connection).held - wanted_bytes
    dropped = 0
    while (missing := page_use(connection).held - goal) > 0:
        chosen: list[int] = []
        for eseq, size in connection.execute("select eseq, length(body) from batch order by priority, eseq"):
            if missing <= 0:
                break
            chosen.append(eseq)
            missing -= size + ROW_BYTES
        if not chosen:
            break
        dropped += drop(connection, sorted(chosen), reason, state)
    return dropped


def drop_older(connection: sqlite3.Connection, stored_s: int, reason: str, state: State) -> int:
    """Drop the batches stored before `stored_s` of the buffer's own clock; returns how many."""
    chosen: list[int] = []
    for eseq, at in connection.execute("select eseq, stored_s from batch order by eseq"):
        if at >= stored_s:
            break
        chosen.append(eseq)
    return drop(connection, chosen, reason, state)


def _bury(connection: sqlite3.Connection, tombstone: Tombstone) -> None:
    """Neighbours dropped for one reason share a tombstone: a long outage leaves few of them."""
    epoch, first, last, reason = tombstone.epoch, tombstone.first, tombstone.last, tombstone.reason
    before = connection.execute(
        "select first, last, reason from tombstone where epoch = ? and first < ? order by first desc limit 1", (epoch, first)
    ).fetchone()
    if before is not None and before[1:] == (first - 1, reason):
        first = before[0]
    after = connection.execute("select last, reason from tombstone where epoch = ? and first = ?", (epoch, last + 1)).fetchone()
    if after is not None and after[1] == reason:
        connection.execute("delete from tombstone where epoch = ? and first = ?", (epoch, last + 1))
        last = after[0]
    write_tombstone(connection, Tombstone(epoch, first, last, reason))
