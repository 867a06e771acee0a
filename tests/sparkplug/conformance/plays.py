"""Both plays, on a database of their own: what the tests and the command share."""

import asyncio
from pathlib import Path
from uuid import uuid4

import psycopg
from ingest_harness import seed
from psycopg import sql
from psycopg.conninfo import make_conninfo

from conformance.edge_play import play_edge
from conformance.host_play import play_host
from conformance.transcript import Transcript
from vigia.store.migrate import migrate


def play(folder: Path, server_dsn: str) -> dict[str, Transcript]:
    """What was seen of our edge node and of our host application; `server_dsn` is a PostgreSQL server's superuser."""
    name = f"conformance_{uuid4().hex[:12]}"
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        dsn = make_conninfo(server_dsn, dbname=name)
        asyncio.run(migrate(dsn))
        asyncio.run(seed(dsn))
        plays = {"edge": play_edge(folder / "edge"), "host": play_host(folder / "host", dsn)}
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
    return plays
