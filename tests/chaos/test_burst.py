"""Row 12: for a minute the machines say ten times as much."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from chaos_account import Account, columns, query, readings
from chaos_processes import Memory, Process, ingest, wait_for
from numpy.typing import NDArray

from vigia.bench import fleet, load
from vigia.bench.edges import Edges, Sent
from vigia.bench.load import Load, following
from vigia.ingest.config import BrokerConfig
from vigia.store.database import Caller, Database
from vigia.supervisor.broker import RunningBroker

SEED = 12
EDGES, POINTS, METRICS = 20, 10, 10
STEADY_PERIOD_MS = EDGES * POINTS * 1_000 // 2_000  # 2,000 readings a second
TIMES = 10
LAG_P95_S = 5.0


async def _seed(dsn: str, of: Load) -> NDArray[np.int32]:
    async with Database(dsn, "vigia_service", max_size=1) as database, database.transaction(Caller(staff=True)) as tx:
        return await fleet.seed(tx, of)


@contextmanager
def born(config: BrokerConfig, receiver: Process) -> Iterator[Edges]:
    """Ingest runs and knows all edge nodes."""
    with Edges(config, EDGES, POINTS) as edges:
        receiver.start()
        try:

            def online() -> bool:
                edges.listen(0.01)
                return edges.host_online or not receiver.alive

            wait_for(online, "ingest")
            edges.birth()
            yield edges
        finally:
            receiver.kill()


def send(edges: Edges, what: Load) -> Sent:
    return edges.send(what, what.rows_per_s / what.metrics)


def told(points: NDArray[np.int32], sent: Sequence[Sent]) -> NDArray[np.void]:
    """What the machines said."""
    parts = []
    for one in sent:
        said = load.readings(one.load)
        parts.append(columns(points[said.edge, said.point].astype(np.int64), said.ts, said.value))
    return np.concatenate(parts)


@pytest.mark.timeout(900)
@pytest.mark.xdist_group("chaos")
@pytest.mark.parametrize(
    ("burst_s", "around_s"), [pytest.param(2, 1, id="short"), pytest.param(60, 30, id="full", marks=pytest.mark.chaos)]
)
def test_ten_times_the_load_is_survived(  # noqa: PLR0913, PLR0917 - fixtures
    either_dsn: str, broker: RunningBroker, tmp_path: Path, keep: Callable[[Account], None], burst_s: int, around_s: int
) -> None:
    before = Load(around_s * 2_000, METRICS, EDGES, POINTS, SEED, period_ms=STEADY_PERIOD_MS)
    points = asyncio.run(_seed(either_dsn, before))
    receiver = ingest(tmp_path, either_dsn, broker.url)
    with born(BrokerConfig.from_url(broker.url), receiver) as edges:
        with Memory(receiver) as steady:
            first = send(edges, before)
        with Memory(receiver) as peak:
            burst = send(edges, following(first.load, burst_s * 20_000, METRICS, STEADY_PERIOD_MS // TIMES))
        last = send(edges, following(burst.load, around_s * 2_000, METRICS, STEADY_PERIOD_MS))
        assert receiver.alive
    truth, found = told(points, [first, burst, last]), readings(either_dsn)
    right = np.isin(found, truth)
    unique = np.unique(found[right])
    p95_s = float(np.percentile(last.lags_s, 95))
    account = Account(
        12,
        f"{TIMES} L for {burst_s} s, seed {SEED}",
        sent=len(truth),
        stored=len(found),
        lost=len(truth) - len(unique),
        recovered=burst.load.rows,
        unexpected=int((~right).sum()),
        duplicated=len(found) - len(np.unique(found)),
        more={
            "burst_lag_p95_s": f"{np.percentile(burst.lags_s, 95):.2f}",
            "lag_p95_s_afterwards": f"{p95_s:.3f}",
            "rss_mib": f"{steady.most / 2**20:.0f} steady, {peak.most / 2**20:.0f} at most",
            "resent": burst.resent + last.resent,
        },
    )
    assert query(either_dsn, "select * from ledger_hole") == []
    assert query(either_dsn, "select reason, detail from dead_letter limit 5") == []
    keep(account)
    assert peak.most <= 2 * steady.most, account
    assert p95_s <= LAG_P95_S, account
