"""A gateway follows an OPC UA, a Modbus and an MTConnect server at once: all that they say is stored once, and nothing else."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from chaos_account import Account, query
from chaos_fleet import prepare
from chaos_processes import Memory, Process, ingest, running, wait_for
from three_servers import HZ, POINTS, Servers, running_servers

from vigia.edge.buffer import buffer_status
from vigia.supervisor.broker import RunningBroker

HOUR_S = 3600
SHARE = 0.8  # of what they would say at their pace: less, and the machine here was too slow for it to tell anything


@pytest.mark.timeout(HOUR_S + 900)
@pytest.mark.xdist_group("chaos")
@pytest.mark.parametrize("speaking_s", [pytest.param(5, id="short"), pytest.param(HOUR_S, id="hour", marks=pytest.mark.chaos)])
def test_what_three_servers_say_is_stored_once_and_nothing_else(
    dsn: str, broker: RunningBroker, tmp_path: Path, keep: Callable[[Account], None], speaking_s: int
) -> None:
    prepare(dsn, nodes=3, devices=1)
    receiver = ingest(tmp_path, dsn, broker.url)
    with running_servers() as servers:
        config = tmp_path / "edge.toml"
        config.write_text(servers.configuration(broker.url))
        gateway = Process(["edge", "run", "--config", str(config)], tmp_path / "edge.log")
        with running(receiver, gateway):
            wait_for(lambda: _stored(dsn) >= 3 * POINTS, "the first values")
            with Memory(gateway) as gateways, Memory(receiver) as ingests:
                _speak_for(servers, speaking_s)
            wait_for(lambda: _stored(dsn) >= servers.sent and _is_settled(servers, tmp_path), f"the rest; gateway: {gateway.words[-2000:]}")
        truth, found = servers.compared(dsn)
    right = np.isin(found, truth)
    unique = np.unique(found[right])
    holes, letters = (query(dsn, f"select count(*) from {table}")[0][0] for table in ("ledger_hole", "dead_letter"))  # noqa: S608
    account = Account(
        0,
        f"no fault, three servers for {speaking_s} s",
        sent=len(truth),
        stored=len(found),
        lost=len(truth) - len(unique),
        recovered=0,
        unexpected=int((~right).sum()),
        duplicated=len(found) - len(np.unique(found)),
        more={
            "holes": holes,
            "dead letters": letters,
            "a second": round(servers.sent / speaking_s),
            "rss_mib": f"{gateways.most / 2**20:.0f} gateway, {ingests.most / 2**20:.0f} ingest",
        },
    )
    keep(account)
    assert (holes, letters) == (0, 0), account
    assert "source unavailable" not in gateway.words
    assert servers.sent >= SHARE * 3 * POINTS * HZ * speaking_s, account


def _speak_for(servers: Servers, seconds: float) -> None:
    """Let them speak for so long."""
    servers.speaking = True
    until = time.monotonic() + seconds
    wait_for(lambda: time.monotonic() >= until, "time", seconds + 60)
    servers.speaking = False


def _stored(dsn: str) -> int:
    return int(query(dsn, "select count(*) from telemetry")[0][0])


def _is_settled(servers: Servers, folder: Path) -> bool:
    """Whether the gateway has nothing that was not acknowledged."""
    found = [buffer_status(path) for path in servers.buffers(folder)]
    return all(one is not None and one.acknowledged == one.newest > 0 for one in found)
