"""Buffers that an earlier version of the gateway left behind are brought to the present form; what waits in them is kept."""

import json
import sqlite3

from vigia.edge.buffer_columns import Layout
from vigia.edge.buffer_records import read_device
from vigia.edge.samples import Sample

VERSION = 3

_TO_1 = (
    "alter table state add column running_s integer not null default 0",
    "alter table birth add column ended integer",
    "update birth set ended = (select newest from state) where alive = 0",
    "alter table birth drop column alive",
    "drop index batch_priority",
    "drop index batch_birth",
    "alter table batch rename to text_batch",
    """create table batch (eseq integer primary key, birth_id integer not null, stored_ms integer not null, stored_s integer not null,
       priority integer not null, samples integer not null, body blob not null)""",
    "create index batch_priority on batch (priority, eseq)",
    "alter table tombstone rename to one_tombstone",
    """create table tombstone (epoch integer not null, first integer not null, last integer not null, reason text not null,
       primary key (epoch, first)) without rowid""",
    "insert into tombstone select epoch, first, last, reason from one_tombstone, state",
    "drop table one_tombstone",
)
_TO_2 = (
    """create table command (id text primary key, device_id text not null, name text not null, expires_at integer not null,
       ended integer not null default 0) without rowid""",
    "create table command_result (number integer primary key, device_id text not null, at integer not null, body text not null)",
)
_TO_3 = (
    "alter table state add column waiting_samples integer not null default 0",
    "update state set waiting_samples = (select coalesce(sum(samples), 0) from batch)",
)


def upgrade(connection: sqlite3.Connection) -> None:
    """Bring the file to VERSION, in one transaction. Raises sqlite3.Error, ValueError, LookupError."""
    version: int = connection.execute("pragma user_version").fetchone()[0]
    if version > VERSION:
        raise sqlite3.OperationalError("a later version of the gateway wrote it; install that")
    if version == VERSION:
        return
    connection.execute("begin immediate")
    try:
        if version < 1:
            for statement in _TO_1:
                connection.execute(statement)
            _to_columns(connection)
        for statement in (*(_TO_2 if version < 2 else ()), *_TO_3):  # noqa: PLR2004 - a version
            connection.execute(statement)
        connection.execute(f"pragma user_version = {VERSION}")
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise


def _to_columns(connection: sqlite3.Connection) -> None:
    """Batches were a JSON list of rows each."""
    layouts = {}
    for birth_id, definition in connection.execute("select birth_id, definition from birth"):
        device = read_device(definition)
        layouts[birth_id] = device.device_id, Layout(device)
    total = 0
    for eseq, birth_id, stored_ms, priority, text in connection.execute(
        "select eseq, birth_id, stored_ms, priority, body from text_batch order by eseq"
    ):
        device_id, layout = layouts[birth_id]
        samples = [Sample(device_id, *row) for row in json.loads(text)]
        body = layout.write(samples)
        total += len(body)
        connection.execute(
            "insert into batch (eseq, birth_id, stored_ms, stored_s, priority, samples, body) values (?, ?, ?, 0, ?, ?, ?)",
            (eseq, birth_id, stored_ms, priority, len(samples), body),
        )
    connection.execute("drop table text_batch")
    connection.execute("update state set waiting_bytes = ?", (total,))
