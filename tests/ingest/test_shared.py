"""Two workers share the data messages of numbered edge nodes: nothing lost, nothing doubled, also when one is killed."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from ingest_harness import query
from numpy.typing import NDArray
from process_harness import wait_for
from worker_harness import Worker, rows

from vigia.bench import edges, fleet
from vigia.bench.edges import Edges, Sent
from vigia.bench.load import Load, readings
from vigia.ingest.config import BrokerConfig
from vigia.store.database import Caller, Database
from vigia.supervisor.broker import RunningBroker

LOAD = Load(rows=60_000, metrics=20, edges=12, points=10)
A_SECOND = 600  # messages


@pytest.fixture
def points(dsn: str) -> NDArray[np.int32]:
    async def seed() -> NDArray[np.int32]:
        async with Database(dsn, "vigia_service", max_size=1) as database, database.transaction(Caller(staff=True)) as tx:
            return await fleet.seed(tx, LOAD)

    return asyncio.run(seed())


@pytest.fixture
def workers(dsn: str, points: NDArray[np.int32], broker: RunningBroker, tmp_path: Path) -> Iterator[list[Worker]]:  # noqa: ARG001 - the fleet
    some = [Worker(tmp_path, dsn, broker.url, name=name, options=["--share", "pair"]) for name in ("one", "two")]
    for one in some:
        one.start_ready()
    yield some
    for one in some:
        if one.process is not None and one.process.poll() is None:
            one.kill()


@contextmanager
def sending(broker: RunningBroker) -> Iterator[list[Sent]]:
    """The edge nodes send while the context lasts; leaving waits for the last acknowledgement. The list then holds what they sent."""
    sent: list[Sent] = []
    with Edges(BrokerConfig.from_url(broker.url), LOAD.edges, LOAD.points) as generator:
        generator.birth()
        thread = threading.Thread(target=lambda: sent.append(generator.send(LOAD, A_SECOND)))
        thread.start()
        try:
            yield sent
        except BaseException:
            generator.leave()
            raise
        finally:
            thread.join()


def check_all_is_stored_once(dsn: str, points: NDArray[np.int32], sent: Sent) -> None:
    said = readings(sent.load)
    truth = sorted(zip(points[said.edge, said.point].tolist(), said.ts.tolist(), said.value.tolist(), strict=True))
    assert query(dsn, "select point_id, (extract(epoch from ts) * 1000)::bigint, value from telemetry order by 1, 2, 3") == truth
    assert query(dsn, "select * from ledger_hole") == []
    assert query(dsn, "select * from dead_letter") == []
    a_node = LOAD.messages // LOAD.edges
    assert query(dsn, "select eseqs::text, committed, rows from ledger") == [
        (f"{{[1,{a_node + 1})}}", a_node, a_node * LOAD.metrics) for _ in range(LOAD.edges)
    ]
    # The newest reading is the newest by its own time, whichever worker wrote last.
    newest = "select point_id, max(ts) from telemetry group by point_id order by 1"
    assert query(dsn, "select point_id, ts from point_latest order by 1") == query(dsn, newest)
    # Each is in one minute: in one that is closed, or in the one that is open.
    minutes = "select ((select coalesce(sum(count), 0) from telemetry_1m) + (select sum(count) from point_latest))::bigint"
    assert query(dsn, minutes) == [(LOAD.rows,)]


def test_two_workers_share_the_work(workers: list[Worker], dsn: str, points: NDArray[np.int32], broker: RunningBroker) -> None:
    with sending(broker) as sent:
        pass
    check_all_is_stored_once(dsn, points, sent[0])
    shares = [worker.metric("vigia_ingest_rows_stored_total") for worker in workers]
    assert sum(shares) == LOAD.rows
    assert min(shares) > LOAD.rows / 4
    assert sent[0].resent == 0
    for worker in workers:
        # Each hears only a part of a node's numbers, which is no loss.
        assert "rebirth requested" not in worker.log.read_text()
        assert worker.stop() == 0


def test_when_one_of_two_is_killed_the_other_goes_on(
    workers: list[Worker], dsn: str, points: NDArray[np.int32], broker: RunningBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edges, "ACK_TIMEOUT_S", 1.0)
    one, two = workers
    with sending(broker) as sent:
        wait_for(lambda: rows(dsn) > LOAD.rows / 4)
        one.kill()
        before = two.metric("vigia_ingest_rows_stored_total")
        wait_for(lambda: two.metric("vigia_ingest_rows_stored_total") > before + LOAD.rows / 4)
    check_all_is_stored_once(dsn, points, sent[0])
    assert two.get("/ready")[0] == 200
    assert two.stop() == 0
