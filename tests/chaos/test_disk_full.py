"""Row 6: the disk of the database's server is full."""

import asyncio
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import httpx
import paho.mqtt.client as mqtt
import psycopg
import pytest
from chaos_account import Account, query
from chaos_fleet import GROUP, HZ, NODES, prepare
from chaos_plant import Plant, plant
from chaos_processes import Server, wait_for
from paho.mqtt.enums import CallbackAPIVersion

from vigia.sparkplug import names
from vigia.sparkplug.payload import decode
from vigia.sparkplug.topics import MessageType
from vigia.store.embedded_programs import EmbeddedError
from vigia.store.migrate import migrate
from vigia.supervisor.broker import RunningBroker

DISK_MB = 400
SMALL_LOG = {"min_wal_size": "32MB", "max_wal_size": "64MB"}
ALARM_WITHIN_S = 60.0


@pytest.fixture
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small disk of its own, below a home folder."""
    folder = tmp_path_factory.mktemp("home") / "postgres"
    folder.mkdir(mode=0o711)
    made = subprocess.run(
        ["/usr/bin/env", "mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=0711", "vigia-chaos", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        pytest.skip(f"NOT RUN WITH A FULL DISK: a tmpfs cannot be mounted ({made.stderr.strip()}); run as root")
    yield folder
    subprocess.run(["/usr/bin/env", "umount", str(folder)], check=True)


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> str:
    """Where ingest will tell how it is."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("VIGIA_INGEST_WATCH_PORT", str(port))
    return f"http://127.0.0.1:{port}/metrics"


def reachable(metrics: str) -> bool:
    """Whether ingest says that its database is."""
    return "vigia_ingest_database_reachable 1.0" in httpx.get(metrics).text


class Acknowledgements:
    """Hears how far each edge node is told that its data is stored."""

    def __init__(self, port: int) -> None:
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{names.NAMESPACE}/{GROUP}/{MessageType.NCMD}/+")
        self._client.on_message = lambda _client, _data, message: self._hear(message)
        self._port = port
        self.told: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, message: mqtt.MQTTMessage) -> None:
        said = decode(bytes(message.payload)).metric(names.ACKNOWLEDGED)
        if said is not None and isinstance(said.value, int):
            node = message.topic.rpartition("/")[2]
            self.told[node] = max(self.told.get(node, 0), said.value)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Something else takes all the room there is."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            with suppress(OSError):
                while True:
                    file.write(b"\0" * size)
    try:
        yield
    finally:
        filler.unlink()


def committed(one: Plant) -> dict[str, int]:
    """The number of each node up to which all is in the ledger; nothing while the full disk lets nobody in."""
    try:
        rows = query(
            one.dsn,
            "select node_id, (select min(upper(piece)) - 1 from unnest(eseqs) as piece) from ledger join edge_node using (edge_node_id)",
        )
    except psycopg.OperationalError:
        return {}
    return {str(node): int(last) for node, last in rows}


def started(server: Server) -> bool:
    """Whether it runs, started again if need be, as a service manager would."""
    if not server.running:
        with suppress(EmbeddedError, psycopg.Error):
            server.start()
    return server.running


@pytest.mark.timeout(900)
@pytest.mark.parametrize("full_s", [pytest.param(3, id="short"), pytest.param(120, id="full", marks=pytest.mark.chaos)])
def test_a_full_disk_is_told_and_loses_nothing(  # noqa: PLR0913, PLR0917 - fixtures
    make_server: Callable[..., Server],
    disk: Path,
    broker: RunningBroker,
    tmp_path: Path,
    metrics: str,
    keep: Callable[[Account], None],
    full_s: int,
) -> None:
    with make_server(disk.parent, SMALL_LOG) as server:
        asyncio.run(migrate(server.dsn))
        prepare(server.dsn)
        with plant(tmp_path, server.dsn, broker.url, hours=HZ * (full_s + 300)) as one, Acknowledgements(broker.port) as told:
            wait_for(lambda: len(told.told) == NODES, "acknowledgements")
            assert reachable(metrics)
            with one.fault():
                with full(disk):
                    begun = time.monotonic()
                    wait_for(lambda: "database away" in one.ingest.words and not reachable(metrics), "the alarm", ALARM_WITHIN_S)
                    alarmed_s = time.monotonic() - begun
                    reason = re.search(r'"database away" reason=(.*)', one.ingest.words)
                    until = one.gateway.hour + full_s * HZ
                    wait_for(lambda: one.gateway.hour >= until, "time", full_s + 60)
                    behind = one.gateway.hour - one.stored_hour
                    heard = dict(told.told)
                    died = not server.running
                    stored = committed(one)
                wait_for(lambda: started(server), "the database")
                stored = stored or committed(one)
                assert all(number <= stored[node] for node, number in heard.items()), (heard, stored)
            one.all_stored()
            assert reachable(metrics)
            account = one.account(
                6,
                f"disk full for {full_s} s",
                alarm_after_s=f"{alarmed_s:.1f}",
                behind_s=behind / HZ,
                server_died=died,
                alarm=reason and reason[1],
            )
            assert one.ingest.alive
    keep(account)
    assert behind >= full_s * HZ, f"something was stored on a full disk: {account}"
