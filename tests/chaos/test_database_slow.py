"""Row 13: each answer of the database takes half a second longer; what waits stays bounded, and all of it is stored."""

from collections.abc import Callable
from pathlib import Path

import pytest
from chaos_account import Account
from chaos_fleet import HZ
from chaos_plant import plant
from chaos_processes import Memory, socket_of, wait_for
from fault_proxy import LOOPBACK, FaultProxy
from psycopg.conninfo import make_conninfo

from vigia.ingest.config import Limits
from vigia.supervisor.broker import RunningBroker

STATEMENT_S = 0.5


@pytest.mark.timeout(900)
@pytest.mark.parametrize("slow_s", [pytest.param(3, id="short"), pytest.param(120, id="full", marks=pytest.mark.chaos)])
def test_a_slow_database_bounds_what_waits_and_loses_nothing(
    chaos_dsn: str, broker: RunningBroker, tmp_path: Path, keep: Callable[[Account], None], slow_s: int
) -> None:
    with FaultProxy(socket_of(chaos_dsn)) as line:
        through = make_conninfo(chaos_dsn, host=LOOPBACK, port=line.port, sslmode="disable", gssencmode="disable")
        with plant(tmp_path, chaos_dsn, broker.url, ingest_dsn=through, hours=HZ * (slow_s + 300)) as one:
            steady = one.ingest.rss
            with Memory(one.ingest) as memory, one.fault():
                line.slow(STATEMENT_S)
                until = one.gateway.hour + slow_s * HZ
                wait_for(lambda: one.gateway.hour >= until, "time", slow_s + 60)
                behind = one.gateway.hour - one.stored_hour
                line.fast()
            one.all_stored()
            grown = memory.most - steady
            account = one.account(
                13,
                f"{STATEMENT_S * 1000:.0f} ms a statement more for {slow_s} s",
                behind_s=behind / HZ,
                memory_grew_mib=f"{grown / 2**20:.0f}",
            )
            assert one.ingest.alive
            assert one.gateway.process.alive
    keep(account)
    assert grown < Limits().queue_bytes, account
