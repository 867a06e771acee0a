"""A message of a device nobody knew is stored when the role is there and its letter is replayed; a broker that dies takes nothing along."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import paho.mqtt.publish as mqtt
import pytest
from ingest_harness import letters, query
from process_harness import wait_for
from worker_harness import LOOPBACK, Worker, rows

from vigia.ingest import BrokerUnavailableError, replay
from vigia.ingest.config import BrokerConfig
from vigia.ingest.replay import Publisher
from vigia.store import dead_letters
from vigia.store.database import Database, Transaction
from vigia.store.dead_letters import DeadLetter, NewDeadLetter
from vigia.supervisor.broker import RunningBroker

MESSAGE = '{"ts": 1767225600000, "values": {"T50": 1577.5, "T24": 642.5}}'
ADD_ROLE = (
    "insert into role (customer_id, line_id, asset_model_id, name, edge_node_id, device_id)"
    " select customer_id, line_id, asset_model_id, 'late', edge_node_id, 'R9' from role where name = 'acme-two R1' returning 1"
)
FOUND = (
    "select r.device_id, p.name, (extract(epoch from t.ts) * 1000)::bigint, t.value from telemetry t join point p using (point_id)"
    " join installation i using (asset_id) join role r using (role_id) order by 1, 2"
)


@pytest.fixture
def worker(seeded: str, broker: RunningBroker, tmp_path: Path) -> Iterator[Worker]:
    one = Worker(tmp_path, seeded, broker.url)
    yield one
    if one.process is not None and one.process.poll() is None:
        one.kill()


def test_the_letter_of_an_unknown_device_is_stored_when_its_role_is_there(
    worker: Worker, broker: RunningBroker, seeded: str, printed: Callable[..., str]
) -> None:
    worker.start_ready()
    mqtt.single("vigia/acme/acme-two/R9", MESSAGE, 1, hostname=LOOPBACK, port=broker.port)
    wait_for(lambda: "unknown device" in [reason for reason, _ in letters(seeded)])
    assert worker.stop() == 0  # one that runs on remembers for ten minutes what it refused, and the letter is older only in the database
    assert query(seeded, ADD_ROLE) == [(1,)]
    query(seeded, "update dead_letter set received_at = received_at - interval '1 hour' returning 1")
    ((letter,),) = query(seeded, "select min(dead_letter_id) from dead_letter")
    command = f"vigia ingest dead-letters replay --id {letter}"
    assert command in printed("ingest", "dead-letters", "--dsn", seeded)
    worker.start_ready()
    assert printed(*command.split()[1:], "--dsn", seeded, "--broker", broker.url) == "1 published, 0 kept.\n"
    wait_for(lambda: rows(seeded) == 2)
    assert query(seeded, FOUND) == [("R9", "T24", 1767225600000, 642.5), ("R9", "T50", 1767225600000, 1577.5)]
    assert printed(*command.split()[1:], "--dsn", seeded, "--broker", broker.url) == "0 published, 0 kept.\n"
    assert worker.stop() == 0
    assert rows(seeded) == 2
    assert query(seeded, f"select from dead_letter where dead_letter_id = {letter}") == []


def test_a_broker_that_dies_leaves_the_letters_it_did_not_take(
    worker: Worker, broker: RunningBroker, seeded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.start_ready()
    monkeypatch.setattr(replay, "TIMEOUT_S", 2.0)
    take = dead_letters.take

    async def work() -> list[int]:
        async with Database(seeded, "vigia_service", max_size=1) as database:
            async with database.transaction() as tx:
                for i in range(3):
                    await dead_letters.add(tx, NewDeadLetter(f"vigia/acme/acme-two/R1/level{i}", "misfit", "what to do", b"1"))
                ids = await dead_letters.ids(tx)

            async def take_or_kill(tx: Transaction, dead_letter_id: int) -> DeadLetter | None:
                if dead_letter_id == ids[1]:
                    broker.kill()
                return await take(tx, dead_letter_id)

            monkeypatch.setattr(dead_letters, "take", take_or_kill)
            async with Publisher(BrokerConfig.from_url(broker.url)) as publisher:
                with pytest.raises(BrokerUnavailableError, match="letters that were not published are kept"):
                    await replay.replay(database, publisher, ids, datetime.now(UTC) + timedelta(hours=1))
            async with database.transaction() as tx:
                assert await dead_letters.ids(tx) == ids[1:]
            return ids

    assert len(asyncio.run(work())) == 3
