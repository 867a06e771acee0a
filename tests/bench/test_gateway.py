"""The gateway's measurement tells what it costs, and says so when a sample is missing."""

import json
from pathlib import Path

import pytest

from vigia.bench import gateway
from vigia.bench.gateway import ENGINES, ROWS_A_TICK, GatewayBench
from vigia.bench.host import Host
from vigia.ingest import BrokerUnavailableError
from vigia.ingest.config import BrokerConfig
from vigia.sparkplug.payload import Payload
from vigia.sparkplug.topics import MessageType
from vigia.supervisor.broker import RunningBroker

FIGURES = (
    *("samples_per_s", "cpu_share", "cpu_us_per_sample", "rss_mb", "lag_p50_ms", "lag_p95_ms", "outage_samples_per_s"),
    *("drained_samples_per_s", "bytes_per_sample", "hours_500_samples_in_2gb", "noise_bytes_per_sample", "noise_hours_500_samples_in_2gb"),
)


def bench(home: Path, broker: RunningBroker) -> GatewayBench:
    return GatewayBench(home, samples_per_s=5_200, seconds=1, outage_samples=5_200, stored_samples=20_000, broker=broker.url)


def test_every_sample_is_heard_and_every_figure_told(tmp_path: Path, broker: RunningBroker) -> None:
    found = gateway.measure(bench(tmp_path / "home", broker))
    assert "fault" not in found
    assert found["samples_told"] == found["samples_heard"]
    assert int(str(found["samples_told"])) >= 3 * 10 * ROWS_A_TICK
    for figure in FIGURES:
        assert float(str(found[figure])) > 0, figure
    assert json.loads(json.dumps(found)) == found
    assert not (tmp_path / "home").exists()


def test_a_sample_that_is_missing_ends_it(tmp_path: Path, broker: RunningBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    hear = Host._hear

    def hear_less(self: Host, message_type: MessageType, payload: Payload) -> None:
        hear(self, message_type, payload)
        if self.watermark == 10 * ENGINES:
            self.samples -= 1
            monkeypatch.undo()

    monkeypatch.setattr(Host, "_hear", hear_less)
    monkeypatch.setattr(gateway, "PATIENCE_S", 3.0)
    with pytest.raises(gateway.BenchError, match="the gateway sends nothing more"):
        gateway.measure(bench(tmp_path, broker))


def test_without_a_broker_one_sentence_says_so() -> None:
    with pytest.raises(BrokerUnavailableError, match=r"no broker answers at 127\.0\.0\.1:1 "), Host(BrokerConfig("127.0.0.1", 1), "g", "n"):
        pass
