"""A reading travels from a gateway to its row as on a server: certificates, access list, one database login a process."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from deployed import COMPOSE, PATIENCE_S, ROOT, Authority, Broker, as_user, needs_broker
from psycopg.conninfo import conninfo_to_dict

from vigia.demo import fleet
from vigia.store.database import Caller, Database

pytestmark = [*needs_broker, pytest.mark.xdist_group("deployed-database")]
START_S = 90.0  # the kernels may have to be compiled first
ROLE = fleet.ROLES[0]
GROUP, NODE = ROLE.airline.code, ROLE.place.code
CYCLES = 3
POINTS = 26


@contextmanager
def process(service: str, environment: dict[str, str], log: Path) -> Iterator[None]:
    """The command of a service of the compose file, with its variables filled in."""
    given = {**COMPOSE["services"][service]["environment"], **environment}
    variables = {name: value for name, value in given.items() if "$" not in value}
    with running(COMPOSE["services"][service]["command"][1:], variables, log):
        yield


@contextmanager
def running(arguments: list[str], variables: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        started = subprocess.Popen(
            [sys.executable, "-m", "vigia", *arguments], env={**os.environ, **variables}, stdout=output, stderr=output, cwd=log.parent
        )
    try:
        yield
    finally:
        started.terminate()
        assert started.wait(PATIENCE_S) == 0, log.read_text()


def eventually(condition: Callable[[], bool], *logs: Path) -> None:
    deadline = time.monotonic() + START_S
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail("\n".join(log.read_text() for log in logs if log.exists()))
        time.sleep(0.05)


def stored(dsn: str) -> tuple[int, int]:
    """Readings, and batches in the ledger."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "select (select count(*) from vigia.telemetry), (select coalesce(sum(committed), 0) from vigia.ledger)"
        ).fetchone()
    assert row is not None
    return row[0], row[1]


def write_gateway(folder: Path, broker: Broker, authority: Authority) -> Path:
    folder.mkdir()
    certificate, key = authority.credentials(f"{GROUP}:{NODE}")
    logbook = folder / "logbook.jsonl"
    events = [{"kind": "install", "role": ROLE.device_id, "serial": "ESN-0081", "unit": 81, "hour": 0}, {"kind": "clock", "hour": CYCLES}]
    logbook.write_text("".join(json.dumps(event) + "\n" for event in events))
    file = folder / "edge.toml"
    file.write_text(f"""
[broker]
url = "mqtts://localhost:{broker.port}"
ca = "{certificate.parent / "ca.crt"}"
cert = "{certificate}"
key = "{key}"

[buffer]
folder = "buffer"

[[node]]
group_id = "{GROUP}"
node_id = "{NODE}"

[node.source]
type = "replay"
logbook = "{logbook}"
data = "{ROOT / "vigia" / "demo" / "data" / "train_FD001.txt.gz"}"
devices = ["{ROLE.device_id}"]
""")
    return file


async def seed(dsn: str, home: Path) -> None:
    async with Database(dsn, "vigia_service", max_size=1) as database, database.transaction(Caller(staff=True)) as tx:
        await fleet.seed(tx, fleet.ROLES[:1], fleet.credentials(home))


def url(dsn: str, user: str) -> str:
    """As the compose file writes it; the test's server listens on a socket."""
    to = conninfo_to_dict(as_user(dsn, user))
    return f"postgresql://{user}:{to['password']}@/{to['dbname']}?host={to['host']}"


def test_readings_of_a_gateway_reach_the_database(deployed_dsn: str, tmp_path: Path) -> None:
    asyncio.run(seed(deployed_dsn, tmp_path))
    authority = Authority(tmp_path / "pki").make((GROUP, NODE))
    broker = Broker(authority, tmp_path)
    broker.start()
    certificates = authority.folder / "ingest"
    environment = {
        "VIGIA_DSN": url(deployed_dsn, "ingest"),
        "VIGIA_BROKER": f"mqtts://localhost:{broker.host_port}",
        "VIGIA_BROKER_CA": str(certificates / "ca.crt"),
        "VIGIA_BROKER_CERT": str(certificates / "ingest.crt"),
        "VIGIA_BROKER_KEY": str(certificates / "ingest.key"),
        "VIGIA_HOME": str(tmp_path),
    }
    logs = tmp_path / "ingest.log", tmp_path / "edge.log"
    gateway = write_gateway(tmp_path / "gateway", broker, authority)
    try:
        with process("ingest", environment, logs[0]), running(["edge", "run", "--config", str(gateway)], {}, logs[1]):
            eventually(lambda: stored(deployed_dsn) == (CYCLES * POINTS, CYCLES), *logs)
    finally:
        broker.stop()
