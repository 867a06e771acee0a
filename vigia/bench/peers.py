"""What people do by hand today, on the same broker and the same server, in the same run: the same readings as JSON.

They lose what they do not receive, and store nothing but rows; it is the rate that is compared.
"""

import asyncio
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from vigia.bench import BenchError
from vigia.bench.line import Line
from vigia.bench.load import Load, readings
from vigia.bench.stage import Servers
from vigia.errors import ConfigError
from vigia.ingest import packets
from vigia.store.temporary import temporary_database

METRICS = 100
TOPIC = "bench/by-hand"
TIMEOUT_S = 300.0
CALM_S = 1.0  # mosquitto_sub does not say when it is subscribed
TABLE = "by_hand"
CREATE = f"""
drop table if exists {TABLE};
create table {TABLE} (point int not null, ts timestamptz not null, value float8);
create index on {TABLE} (point, ts);
"""
LIBRARIES = ("aiomqtt", "asyncpg")
PROGRAMS = ("mosquitto_sub", "jq", "psql", "sh")
_PIPE = 'mosquitto_sub -h "$1" -p "$2" -t "$3" -C "$4" | jq -r "$5" | psql -qX "$6" -c "$7"'
_JQ = 'if type == "array" then .[] else . end | [.point, .ts, .value] | @csv'


@dataclass(frozen=True)
class Way:
    """One way of doing it, in messages of so many readings. `rows_per_s` is 0 when it did not finish: it had lost something."""

    name: str
    metrics: int
    rows: int
    rows_per_s: float

    def figures(self) -> dict[str, object]:
        """For the report."""
        return {"metrics_per_message": self.metrics, "rows": self.rows, "rows_per_s": round(self.rows_per_s)}


def check() -> None:
    """Raise ConfigError when there is nothing to compare with."""
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"{' and '.join(missing)} not installed: pip install vigia[bench], or leave --peers out")


async def measure(servers: Servers, load: Load, single_messages: int) -> list[Way]:
    """Every way that is installed, with `load` and with so many of its readings one by one."""
    single = replace(load, rows=single_messages, metrics=1)
    check()
    async with temporary_database(servers.dsn) as dsn:
        found = []
        for each, suffix in ((load, ""), (single, "_single")):
            messages = await asyncio.to_thread(_messages, each)
            rates = {f"aiomqtt_asyncpg_{way}": await _python(way, servers, dsn, each, messages) for way in ("copy", "executemany")}
            if all(shutil.which(program) for program in PROGRAMS):
                rates["mosquitto_sub_jq_psql"] = await _shell(servers, dsn, each, messages)
            found += [Way(f"{name}{suffix}", each.metrics, each.rows, rate) for name, rate in rates.items()]
    return found


def _messages(load: Load) -> bytes:
    """All of `load` as PUBLISH packets."""
    every = readings(load)
    point = (every.edge * load.points + every.point).tolist()
    ts = [datetime.fromtimestamp(ms / 1_000, UTC).isoformat() for ms in every.ts.tolist()]
    said = [{"point": one, "ts": at, "value": value} for one, at, value in zip(point, ts, every.value.tolist(), strict=True)]
    if load.metrics == 1:
        return b"".join(packets.publish(TOPIC, json.dumps(one).encode()) for one in said)
    return b"".join(packets.publish(TOPIC, json.dumps(said[at : at + load.metrics]).encode()) for at in range(0, load.rows, load.metrics))


async def _python(way: str, servers: Servers, dsn: str, load: Load, messages: bytes) -> float:
    broker = servers.broker_config
    arguments = (way, dsn, broker.host, str(broker.port), TOPIC, str(load.rows))
    async with _running(sys.executable, "-m", "vigia.bench.by_hand", *arguments) as process:
        assert process.stdout is not None  # noqa: S101 - piped
        if await process.stdout.readline() != b"ready\n":
            raise BenchError(f"the way by hand ({way}) did not start")
        return await _rate(process, servers, load, messages)


async def _shell(servers: Servers, dsn: str, load: Load, messages: bytes) -> float:
    broker = servers.broker_config
    async with _running("psql", "-qX", dsn, "-c", "set client_min_messages = error", "-c", CREATE) as made:
        if await made.wait() != 0:
            raise BenchError("psql cannot use the database")
    arguments = (broker.host, str(broker.port), TOPIC, str(load.messages), _JQ, dsn, f"copy {TABLE} from stdin csv")
    async with _running("sh", "-c", _PIPE, "sh", *arguments) as process:
        await asyncio.sleep(CALM_S)
        return await _rate(process, servers, load, messages)


@contextlib.asynccontextmanager
async def _running(*command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program and what it starts, gone afterwards."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, start_new_session=True)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _rate(process: asyncio.subprocess.Process, servers: Servers, load: Load, messages: bytes) -> float:
    """Rows a second from the first message until the program has stored all and ends."""
    begun = time.perf_counter()
    sending = asyncio.create_task(asyncio.to_thread(_flood, servers, messages))
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        return 0.0
    finally:
        await sending
    return load.rows / (time.perf_counter() - begun) if process.returncode == 0 else 0.0


def _flood(servers: Servers, messages: bytes) -> None:
    with Line(servers.broker_config) as line:
        line.socket.settimeout(TIMEOUT_S)
        line.socket.sendall(messages)
