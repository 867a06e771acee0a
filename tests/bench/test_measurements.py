"""A measurement ends with its figures, and nothing of it stays."""

import json
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
import structlog
from bench_harness import check_nothing_stays, databases
from paho.mqtt.enums import CallbackAPIVersion

from vigia import cli
from vigia.bench import decode, ingest, poisoned
from vigia.bench.ingest import IngestBench
from vigia.bench.load import Load
from vigia.bench.stage import Servers
from vigia.errors import ConfigError
from vigia.ingest.config import BrokerConfig
from vigia.sparkplug.session import HostState
from vigia.store.database import StoreError
from vigia.store.temporary import temporary_database
from vigia.supervisor.broker import RunningBroker


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_decoding_is_measured_beside_the_bare_parse() -> None:
    found = decode.measure(rounds=1)
    single = found["single_metric"]
    assert isinstance(single, dict)
    for figures in (found, single):
        ours, bare = figures["vigia_metrics_per_s"], figures["protobuf_metrics_per_s"]
        assert ours > 0
        assert figures["ratio"] == pytest.approx(ours / bare, rel=0.05, abs=0.001)


def test_ingest_is_measured_with_every_row_accounted_for(server_dsn: str, broker: RunningBroker, tmp_path: Path) -> None:
    before = databases(server_dsn)
    load = Load(rows=5_250, metrics=100, edges=4, points=5)
    found = ingest.measure(IngestBench(load, tmp_path / "home", server_dsn, broker.url, single_messages=300, steady_s=1, minutes=0.03))
    sent = 5_250 + 525 + 300 + 30 + 2_000
    assert found["rows_stored"] == found["rows_sent"]
    assert int(str(found["rows_sent"])) > sent  # and what went on for two seconds
    assert (found["exact"], found["holes"], found["rows_missing"], found["rows_duplicated"], found["dead_letters"]) == (True, 0, 0, 0, 0)
    assert found["database"] == "plain"
    figures = ("rows_per_s", "raw_copy_rows_per_s", "ratio", "lag_p50_ms", "lag_p95_ms", "rss_mb", "bytes_per_row")
    for figure in (*figures, "single_metric_messages_per_s", "endurance_rows_per_s", "rss_start_mb"):
        assert float(str(found[figure])) > 0, figure
    assert float(str(found["cpu_s_per_million"])) >= 0  # a process's clock ticks every 10 ms, and so few rows may take less
    assert json.loads(json.dumps(found)) == found
    check_nothing_stays(server_dsn, before)
    assert not (tmp_path / "home").exists()


async def test_poison_is_measured_in_pairs_with_every_row_and_letter_accounted_for(
    server_dsn: str, broker: RunningBroker, tmp_path: Path
) -> None:
    before = databases(server_dsn)
    config = BrokerConfig.from_url(broker.url)
    servers = Servers(tmp_path, server_dsn, broker.url, config, embedded_database=False, broker_pid=None)
    pairs = await poisoned.measure(servers, Load(rows=4_000, metrics=10, edges=4, points=10), 0.1, rounds=2)
    assert len(pairs.clean) == len(pairs.poisoned) == 2
    assert pairs.letters > 50
    figures = pairs.figures("poison")
    assert figures["poison_letters"] == pairs.letters
    for figure in ("poison_ratio", "poison_cpu_ratio", "poison_rows_per_s"):
        assert float(str(figures[figure])) > 0, figure
    check_nothing_stays(server_dsn, before)


def test_a_broker_that_serves_a_vigia_is_left_alone(server_dsn: str, broker: RunningBroker, tmp_path: Path) -> None:
    before = databases(server_dsn)
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    client.publish("spBv1.0/STATE/vigia", HostState(online=True, timestamp=1).encode(), qos=1, retain=True).wait_for_publish(10)
    with pytest.raises(ConfigError, match="already works at this broker"):
        ingest.measure(IngestBench(Load(rows=10), tmp_path, server_dsn, broker.url))
    client.disconnect()
    client.loop_stop()
    check_nothing_stays(server_dsn, before)
    assert list(tmp_path.glob("bench-*")) == []


async def test_a_temporary_database_goes_even_when_the_work_fails(server_dsn: str) -> None:
    before = databases(server_dsn)
    with pytest.raises(RuntimeError):
        async with temporary_database(server_dsn) as dsn:
            assert databases(dsn) - before
            raise RuntimeError
    check_nothing_stays(server_dsn, before)


async def test_a_temporary_database_needs_a_user_who_may_make_one(server_dsn: str, template: str) -> None:
    assert template
    with pytest.raises(StoreError, match="may not create a database"):
        async with temporary_database(f"{server_dsn} options='-c role=vigia_app'"):
            pass


def test_the_command_prints_one_json_object(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(decode, "ROUNDS", 1)
    monkeypatch.setattr("sys.argv", ["vigia", "bench", "decode", "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    found = json.loads(capsys.readouterr().out)
    assert {"vigia_metrics_per_s", "protobuf_metrics_per_s", "ratio", "seed", "machine", "versions"} <= set(found)
