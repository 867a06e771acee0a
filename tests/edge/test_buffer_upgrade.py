"""A buffer of an earlier version is brought to the present one, and what waits in it is kept."""

import json
import sqlite3
from pathlib import Path

import pytest
from buffer_harness import device, sample

from vigia.edge.buffer import BufferUnavailableError, EdgeBuffer, buffer_status
from vigia.edge.buffer_file import SCHEMA
from vigia.edge.buffer_records import Tombstone, write_device
from vigia.edge.buffer_upgrade import VERSION
from vigia.edge.samples import Sample, Tick

FIRST = """
create table state (one integer primary key check (one = 1), epoch integer not null, newest integer not null, acknowledged integer not null,
    acknowledged_ms integer, position text, bd_seq integer not null, samples_stored integer not null, samples_dropped integer not null,
    waiting_batches integer not null, waiting_bytes integer not null);
create table birth (birth_id integer primary key autoincrement, definition text not null, alive integer not null);
create table batch (eseq integer primary key, birth_id integer not null, stored_ms integer not null, priority integer not null,
    samples integer not null, bytes integer not null, body text not null);
create index batch_priority on batch (priority, eseq);
create index batch_birth on batch (birth_id);
create table tombstone (first integer primary key, last integer not null, reason text not null);
insert into state values (1, 1767225600000, 5, 2, 1767225700000, 'p', 7, 9, 1, 2, 100);
insert into tombstone values (3, 3, 'disk full');
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A buffer of the first version: two batches wait, of a machine that is gone and of one that is there."""
    made = tmp_path / "node.sqlite"
    connection = sqlite3.connect(made)
    connection.executescript(FIRST)
    births = [(1, write_device(device(serial="1")), 0), (2, write_device(device(serial="2")), 1)]
    connection.executemany("insert into birth values (?, ?, ?)", births)
    for eseq, birth_id, rows in ((4, 1, [["t", 1000, 1.5, 192], ["s", 1000, None, 0, 1001]]), (5, 2, [["t", 2000, 2.5, 192]])):
        body = json.dumps(rows)
        connection.execute("insert into batch values (?, ?, 1767225600000, 0, ?, ?, ?)", (eseq, birth_id, len(rows), len(body), body))
    connection.commit()
    connection.close()
    return made


def test_nothing_that_waits_is_lost(path: Path) -> None:
    buffer = EdgeBuffer(path)
    assert (buffer.epoch, buffer.newest, buffer.acknowledged, buffer.position, buffer.next_bd_seq) == (1767225600000, 5, 2, "p", 8)
    status = buffer_status(path)
    assert status is not None
    assert status.waiting_samples == 3
    first, second = buffer.take(1, 9, 9)
    assert first.samples == (sample(1000, 1.5), Sample("d", "s", 1000, None, 0, 1001))
    assert second.samples == (sample(2000, 2.5),)
    assert [buffer.births()[batch.birth_id].device.serial for batch in (first, second)] == ["1", "2"]
    assert buffer.tombstones() == [Tombstone(buffer.epoch, 3, 3, "disk full")]
    assert buffer.append(Tick(samples=(sample(3000),)))[0].eseq == 6
    buffer.settle(5)
    assert [birth.device.serial for birth in buffer.births().values()] == ["2"]
    buffer.close()
    assert list(path.parent.glob("*.damaged-*")) == []


def test_it_is_then_what_a_new_one_is(path: Path) -> None:
    EdgeBuffer(path).close()
    new, old = sqlite3.connect(":memory:"), sqlite3.connect(path)
    new.executescript(SCHEMA)
    for table in ("state", "birth", "batch", "tombstone", "command", "command_result"):
        columns = [sorted(row[1:4] for row in one.execute(f"pragma table_info({table})")) for one in (new, old)]
        assert columns[0] == columns[1], table
    assert old.execute("pragma user_version").fetchone() == (VERSION,)
    new.close()
    old.close()


def test_one_of_a_later_version_is_left_alone(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"pragma user_version = {VERSION + 1}")
    connection.close()
    with pytest.raises(BufferUnavailableError, match="a later version of the gateway wrote it"):
        EdgeBuffer(path)
    assert list(path.parent.glob("*.damaged-*")) == []
