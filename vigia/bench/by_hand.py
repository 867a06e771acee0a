"""What people write by hand to get MQTT into PostgreSQL: `python -m vigia.bench.by_hand WAY DSN HOST PORT TOPIC ROWS`.

DSN is of the form key=value. Each message is one reading as JSON, or a list of them. Nothing is acknowledged, scored or rolled up, and
what is lost stays lost. It says "ready" once it is subscribed, and ends when ROWS rows are stored.
"""

import asyncio
import json
import shlex
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime

import aiomqtt
import asyncpg

from vigia.bench.peers import CREATE, TABLE

BATCH_ROWS = 5_000

Row = tuple[int, datetime, float]
Store = Callable[[list[Row]], Awaitable[object]]


async def run(way: str, dsn: str, client: aiomqtt.Client, topic: str, rows: int) -> None:
    """Store that many readings by COPY ("copy") or INSERT ("executemany"), a batch at a time."""
    said = dict(word.split("=", 1) for word in shlex.split(dsn))
    connection = await asyncpg.connect(database=said.pop("dbname"), **said)

    async def copy(batch: list[Row]) -> None:
        await connection.copy_records_to_table(TABLE, records=batch, columns=("point", "ts", "value"))

    async def executemany(batch: list[Row]) -> None:
        await connection.executemany(f"insert into {TABLE} (point, ts, value) values ($1, $2, $3)", batch)  # noqa: S608 - our own name

    await connection.execute(CREATE)
    await _receive(copy if way == "copy" else executemany, client, topic, rows)
    await connection.close()


async def _receive(store: Store, client: aiomqtt.Client, topic: str, rows: int) -> None:
    stored = 0
    batch: list[Row] = []
    async with client:
        await client.subscribe(topic)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        async for message in client.messages:
            said = json.loads(message.payload)
            several = said if isinstance(said, list) else (said,)
            batch += [(one["point"], datetime.fromisoformat(one["ts"]), one["value"]) for one in several]
            if len(batch) >= BATCH_ROWS or stored + len(batch) >= rows:
                await store(batch)
                stored += len(batch)
                batch = []
            if stored >= rows:
                return


async def main(way: str, dsn: str, host: str, port: str, topic: str, rows: str) -> None:  # noqa: PLR0913, PLR0917 - the command line
    """What stands on the command line."""
    await run(way, dsn, aiomqtt.Client(host, int(port)), topic, int(rows))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
