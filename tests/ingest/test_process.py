"""The process between a real gateway, a real broker and a real database: killed, cut off, restarted; nothing is lost, nothing doubled."""

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from ingest_harness import query, seed, stored, until
from process_harness import STATE, Gateway, Ingest, Listener, wait_for

from vigia.ingest.broker import Host
from vigia.ingest.config import BrokerConfig, Limits
from vigia.ingest.inbox import Inbox
from vigia.sparkplug.session import HostState
from vigia.store.embedded import EmbeddedPostgres
from vigia.store.migrate import migrate
from vigia.supervisor.broker import RunningBroker

KILLS = 3


@pytest.fixture
def ingest(seeded: str, broker: RunningBroker, tmp_path: Path) -> Iterator[Ingest]:
    one = Ingest(tmp_path, seeded, broker.url)
    yield one
    if one.process is not None and one.process.poll() is None:
        one.kill()


@pytest.fixture
def gateway(broker: RunningBroker, tmp_path: Path) -> Iterator[Gateway]:
    one = Gateway(tmp_path / "edge", broker.url)
    one.start()
    yield one
    one.stop()


def committed(dsn: str) -> int:
    """Rows in the ledger."""
    return int(str(query(dsn, "select coalesce(sum(rows), 0) from ledger")[0][0]))


def check_all_arrives(dsn: str, gateway: Gateway) -> None:
    """Everything the machines said, once, and nothing else; the gateway was told so."""

    def watermark() -> object:
        rows = query(dsn, "select upper(range_agg(eseqs)) - 1, count(*) from ledger")
        return rows[0][0]

    wait_for(lambda: watermark() == 2 * gateway.hour)
    found = stored(dsn)
    assert set(found) == gateway.truth
    assert len(found) == len(set(found))
    assert query(dsn, "select * from ledger_hole") == []
    assert query(dsn, "select * from dead_letter") == []


def test_killed_at_random_moments_it_loses_and_doubles_nothing(ingest: Ingest, gateway: Gateway, seeded: str) -> None:
    rng = random.Random(20260101)  # noqa: S311 - moments, no secrets
    ingest.start()
    wait_for(lambda: bool(query(seeded, "select from edge_node where online")))
    for _ in range(KILLS):
        before = committed(seeded)
        for _ in range(20):
            gateway.fly(1)
            time.sleep(rng.uniform(0, 0.01))  # not to wait: so that the kill falls anywhere in a flush
        wait_for(lambda before=before: committed(seeded) > before)  # type: ignore[misc]
        gateway.fly(20)
        time.sleep(rng.uniform(0, 0.05))
        ingest.kill()
        ingest.start()
    check_all_arrives(seeded, gateway)


def test_the_broker_may_be_killed_and_restarted(ingest: Ingest, gateway: Gateway, seeded: str, broker: RunningBroker) -> None:
    ingest.start()
    for _ in range(KILLS):
        gateway.fly(10)
        wait_for(lambda: bool(query(seeded, "select from edge_node where online")))
        broker.kill()
        gateway.fly(10)
        broker.start()
    check_all_arrives(seeded, gateway)
    assert ingest.process is not None
    assert ingest.process.poll() is None


@pytest.fixture
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EmbeddedPostgres, Path]]:
    home = tmp_path_factory.mktemp("home")
    server = EmbeddedPostgres(home)
    server.start()
    yield server, home
    server.stop()


def test_the_database_may_be_stopped_at_once_and_restarted(
    own_server: tuple[EmbeddedPostgres, Path], broker: RunningBroker, gateway: Gateway, tmp_path: Path
) -> None:
    server, home = own_server
    dsn = server.dsn
    asyncio.run(migrate(dsn))
    asyncio.run(seed(dsn))
    ingest = Ingest(tmp_path, dsn, broker.url)
    ingest.start()
    for _ in range(KILLS):
        before = committed(dsn)
        gateway.fly(20)
        wait_for(lambda before=before: committed(dsn) > before)  # type: ignore[misc]
        os.kill(int((home / "postgres/data/postmaster.pid").read_text().splitlines()[0]), signal.SIGQUIT)
        wait_for(lambda: not server.running())
        gateway.fly(10)
        server.stop()
        server.start()
    check_all_arrives(dsn, gateway)
    assert ingest.stop() == 0


def test_it_says_online_while_it_works_and_offline_when_it_stops(ingest: Ingest, broker: RunningBroker) -> None:
    with Listener(broker.port) as listener:
        ingest.start()
        wait_for(lambda: listener.online)
        listener.client.publish(STATE, HostState(online=False, timestamp=listener.heard[-1].timestamp).encode(), 1, retain=True)
        wait_for(lambda: len(listener.heard) >= 3 and listener.online)
        started, wall = time.monotonic(), time.time()
        assert ingest.stop() == 0
        assert time.monotonic() - started < 5
        wait_for(lambda: not listener.online)
        assert len({state.timestamp for state in listener.heard[:-1]}) == 1
        assert listener.heard[-1].timestamp >= int(wall * 1000), "it left when it left, not when it came"


def test_it_stops_in_time_although_the_database_is_away(
    own_server: tuple[EmbeddedPostgres, Path], broker: RunningBroker, gateway: Gateway, tmp_path: Path
) -> None:
    server, _ = own_server
    dsn = server.dsn
    asyncio.run(migrate(dsn))
    asyncio.run(seed(dsn))
    ingest = Ingest(tmp_path, dsn, broker.url)
    ingest.start()
    wait_for(lambda: bool(query(dsn, "select from edge_node where online")))
    server.stop()
    gateway.fly(5)
    wait_for(lambda: "database away" in ingest.log.read_text())
    started = time.monotonic()
    assert ingest.stop() == 0
    assert time.monotonic() - started < 5


async def test_paused_it_is_offline_and_resumed_online_again(broker: RunningBroker) -> None:
    with Listener(broker.port) as listener:
        host = Host(BrokerConfig.from_url(broker.url), "vigia", Inbox(Limits()))
        task = asyncio.create_task(host.run())
        await until(lambda: listener.online)
        host.pause()
        await until(lambda: not listener.online)
        host.resume()
        await until(lambda: listener.online)
        task.cancel()
        await asyncio.wait((task,))
        await until(lambda: not listener.online)
        said = [(state.timestamp, state.online) for state in listener.heard]
        assert said == sorted(said, key=lambda state: state[0])
        assert len({timestamp for timestamp, online in said if online}) == 2


def test_killed_it_is_offline_by_its_will(ingest: Ingest, broker: RunningBroker) -> None:
    with Listener(broker.port) as listener:
        ingest.start()
        wait_for(lambda: listener.online)
        ingest.kill()
        wait_for(lambda: not listener.online)


def test_without_database_or_broker_it_says_so_in_a_sentence(seeded: str, vigia: Callable[..., CompletedProcess[str]]) -> None:
    for arguments, word in (
        (["--dsn", seeded, "--broker", "mqtt://127.0.0.1:1"], "--broker"),
        (["--dsn", "postgresql://127.0.0.1:1/none", "--broker", "mqtt://127.0.0.1:1"], "--dsn"),
        (["--dsn", seeded, "--broker", "http://x"], "mqtt://"),
        (["--dsn", seeded], "--broker"),
    ):
        done = vigia("ingest", "run", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert len(done.stderr.strip().splitlines()) == 1
        assert word in done.stderr


def test_the_command_line_shows_ledger_and_dead_letters(
    ingest: Ingest, gateway: Gateway, seeded: str, vigia: Callable[..., CompletedProcess[str]]
) -> None:
    ingest.start()
    gateway.fly(3)
    check_all_arrives(seeded, gateway)
    status = json.loads(vigia("ingest", "status", "--json", "--dsn", seeded).stdout)
    edge = next(edge for edge in status["edges"] if edge["node_id"] == "acme-one")
    assert (edge["newest"], edge["watermark"], edge["holes"], edge["completeness"]) == (6, 6, [], 1.0)
    assert "acme/acme-one" in vigia("ingest", "status", "--dsn", seeded).stdout
    assert "No dead letters" in vigia("ingest", "dead-letters", "--dsn", seeded).stdout
    assert json.loads(vigia("ingest", "dead-letters", "--json", "--dsn", seeded).stdout) == {"counts": [], "dead_letters": []}
