"""Row 7: the lines to the broker are cut, slow, reset and half open, at the gateway's side and at ingest's."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from chaos_account import Account
from chaos_fleet import HZ, NODES
from chaos_plant import Plant, plant
from chaos_processes import PATIENCE_S, Process, wait_for
from fault_proxy import LOOPBACK, FaultProxy

from vigia.ingest.config import BrokerConfig
from vigia.supervisor.broker import RunningBroker

LIVE_P95_S = 5.0
EDGE_KEEPALIVE_S = 5.0  # of the harness's gateway
INGEST_KEEPALIVE_S = float(BrokerConfig(LOOPBACK, 0).keepalive_s)
WITHIN_KEEPALIVES = 1.5
SEEN_S = 0.25  # after which we have read it in the log
SLOW_S, SLOW_LATENCY_S, SLOW_BYTES_PER_S = 2, 0.3, 20_000  # a tenth of what the machines say


@dataclass
class Lines:
    """A plant whose lines to the broker lead through proxies."""

    plant: Plant
    edge: FaultProxy
    ingest: FaultProxy


@contextmanager
def lines(folder: Path, dsn: str, broker: RunningBroker, seconds: int) -> Iterator[Lines]:
    where = (LOOPBACK, broker.port)
    with FaultProxy(where) as edge, FaultProxy(where) as ingest:
        urls = [f"mqtt://{LOOPBACK}:{proxy.port}" for proxy in (ingest, edge)]
        with plant(folder, dsn, urls[0], edge_broker=urls[1], hours=HZ * (seconds + 300)) as one:
            yield Lines(one, edge, ingest)


def live_p95_s(one: Plant, mended: int) -> float:
    """95 % of what was said from hour `mended` on, while older hours still waited, was stored within so many seconds."""
    one.stored_until(mended, PATIENCE_S + mended / HZ)  # what waited was at most as long in coming
    seen = one.watch.hours(one.gateway.hour)
    drained = float(seen[:mended].max())
    told = np.array(one.gateway.told_at)
    last = max(mended + 1, int(np.flatnonzero(told <= drained)[-1]))
    one.stored_until(last)
    return float(np.percentile(one.lags_s(mended + 1, last), 95))


def found_within_s(one: Plant, proxy: FaultProxy, process: Process, word: str, times: int) -> float:
    """Seconds until the process says of each of its half-open sessions that it is given up."""
    with one.fault():
        before, begun = process.words.count(word), time.monotonic()
        proxy.half_open()
        wait_for(lambda: process.words.count(word) >= before + times, word)
        return time.monotonic() - begun


@pytest.mark.timeout(3600)
@pytest.mark.xdist_group("chaos")
@pytest.mark.parametrize("cuts_s", [pytest.param((1,), id="short"), pytest.param((1, 30, 600), id="full", marks=pytest.mark.chaos)])
def test_lines_are_cut_slow_and_reset(
    chaos_dsn: str, broker: RunningBroker, tmp_path: Path, keep: Callable[[Account], None], cuts_s: tuple[int, ...]
) -> None:
    p95_s: list[float] = []
    with lines(tmp_path, chaos_dsn, broker, 2 * (sum(cuts_s) + SLOW_S)) as those:
        one = those.plant
        for proxy in (those.edge, those.ingest):
            for cut_s in cuts_s:
                with one.fault():
                    proxy.cut()
                    one.speak_for(cut_s)
                    proxy.mend()
                    mended = one.gateway.hour
                p95_s.append(live_p95_s(one, mended))
            with one.fault():
                proxy.slow(SLOW_LATENCY_S, SLOW_BYTES_PER_S)
                one.speak_for(SLOW_S)
                proxy.fast()
                mended = one.gateway.hour
            p95_s.append(live_p95_s(one, mended))
            with one.fault():
                proxy.reset()
        one.all_stored()
        account = one.account(
            7,
            f"each side cut {', '.join(map(str, cuts_s))} s, slow {SLOW_S} s, reset",
            live_p95_s=" ".join(f"{p95:.1f}" for p95 in p95_s),
        )
        assert one.ingest.alive
        assert one.gateway.process.alive
    keep(account)
    assert max(p95_s) <= LIVE_P95_S, account


@pytest.mark.timeout(600)
@pytest.mark.xdist_group("chaos")
@pytest.mark.parametrize(
    "sides", [pytest.param(("edge",), id="short"), pytest.param(("edge", "ingest"), id="full", marks=pytest.mark.chaos)]
)
def test_half_open_lines_are_found(
    chaos_dsn: str, broker: RunningBroker, tmp_path: Path, keep: Callable[[Account], None], sides: tuple[str, ...]
) -> None:
    with lines(tmp_path, chaos_dsn, broker, 60) as those:
        one = those.plant
        found = {}
        if "edge" in sides:
            found["edge"] = found_within_s(one, those.edge, one.gateway.process, "not connected", NODES) / EDGE_KEEPALIVE_S
        if "ingest" in sides:
            found["ingest"] = found_within_s(one, those.ingest, one.ingest, "broker lost", 1) / INGEST_KEEPALIVE_S
        one.all_stored()
        account = one.account(
            7, f"half open: {', '.join(sides)}", found_in_keepalives={side: round(took, 2) for side, took in found.items()}
        )
        assert one.ingest.alive
        assert one.gateway.process.alive
    keep(account)
    keepalives = {"edge": EDGE_KEEPALIVE_S, "ingest": INGEST_KEEPALIVE_S}
    assert all(took <= WITHIN_KEEPALIVES + SEEN_S / keepalives[side] for side, took in found.items()), account
