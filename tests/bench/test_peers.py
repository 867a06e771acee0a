"""What people do by hand really stores what it is sent."""

import asyncio
from pathlib import Path

import pytest

from vigia.bench import peers
from vigia.bench.load import Load
from vigia.bench.stage import Servers
from vigia.errors import ConfigError
from vigia.ingest.config import BrokerConfig
from vigia.supervisor.broker import RunningBroker


def test_each_way_stores_all_and_has_its_rate(server_dsn: str, broker: RunningBroker, tmp_path: Path) -> None:
    for library in peers.LIBRARIES:
        pytest.importorskip(library)
    config = BrokerConfig.from_url(broker.url)
    servers = Servers(tmp_path, server_dsn, broker.url, config, embedded_database=False, broker_pid=None)
    ways = asyncio.run(peers.measure(servers, Load(rows=1_000, metrics=100, edges=4), 100))
    assert {way.name for way in ways} >= {"aiomqtt_asyncpg_copy", "aiomqtt_asyncpg_executemany", "aiomqtt_asyncpg_copy_single"}
    assert all(way.rows_per_s > 0 for way in ways), ways


def test_without_the_libraries_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "LIBRARIES", ("no_such_library",))
    with pytest.raises(ConfigError, match=r"pip install vigia\[bench\]"):
        peers.check()
