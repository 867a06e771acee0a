"""What has changed, told to every process that listens: PostgreSQL's NOTIFY, sent when the transaction commits."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from psycopg import OperationalError

from vigia.store.database import DatabaseUnavailableError, Transaction, connect

Kind = Literal["telemetry", "prediction", "alarm", "work_order", "state", "command"]
CHANNEL = "vigia_changes"


@dataclass(frozen=True)
class Change:
    """Something of this kind changed for a customer; `role_id` None: in several roles, or in none in particular."""

    kind: Kind
    customer_id: int
    role_id: int | None = None


async def announce(tx: Transaction, kind: Kind, customer_id: int, role_id: int | None = None) -> None:
    """Tell the listeners once the transaction commits. Equal announcements of one transaction arrive as one."""
    payload = json.dumps({"kind": kind, "customer_id": customer_id, "role_id": role_id}, separators=(",", ":"))
    await tx.execute("select pg_notify(%s, %s)", (CHANNEL, payload))


@asynccontextmanager
async def listen(dsn: str) -> AsyncIterator[AsyncIterator[Change]]:
    """A stream of the changes committed from now on, on a connection of its own.

    Entering, and reading the stream, raise DatabaseUnavailableError when there is no database (any more). Changes made until the caller
    has entered anew are never told: look at everything once after entering.
    """
    async with await connect(dsn, "vigia changes") as connection:
        try:
            await connection.execute(f"listen {CHANNEL}")
        except OperationalError as error:
            raise DatabaseUnavailableError from error
        # The stream holds the connection: it must end before the connection can be closed.
        async with aclosing(_changes(connection)) as changes:
            yield changes


async def _changes(connection: Transaction) -> AsyncGenerator[Change, None]:
    try:
        async with aclosing(connection.notifies()) as notices:
            async for notice in notices:
                told = json.loads(notice.payload)
                yield Change(told["kind"], told["customer_id"], told["role_id"])
    except OperationalError as error:
        raise DatabaseUnavailableError from error
