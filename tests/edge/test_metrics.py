"""A gateway's metrics: of a running one in HTTP, of drops, and every one that the docs name."""

import json
import re
import urllib.request
from pathlib import Path

import pytest
from buffer_harness import device, noise
from edge_harness import GatewayProcess, wait_for
from prometheus_client.parser import text_string_to_metric_families

from vigia.edge.agent import opened, telling
from vigia.edge.config import MetricsConfig, load_config
from vigia.edge.metrics import Gateway
from vigia.edge.samples import Tick
from vigia.errors import ConfigError

REPOSITORY = Path(__file__).parents[2]
DOCS = (REPOSITORY / "docs" / "operations.md").read_text()
ANYWHERE = MetricsConfig("127.0.0.1", 0)


def scraped(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {
        f"{one.name}[{','.join(one.labels.values())}]": one.value for family in families for one in family.samples if "vigia" in one.name
    }


def told_names() -> set[str]:
    return {family.name for family in Gateway(lambda: (), None).collect()} | {"vigia_edge_certificate_seconds"}


@pytest.mark.usefixtures("host")
def test_a_running_gateway_tells_them(gateway_process: GatewayProcess) -> None:
    gateway_process.more = ("--metrics-port", "0")
    gateway_process.install("L", "ESN-2", 2, 0)
    gateway_process.start()
    gateway_process.clock(20)
    wait_for(lambda: gateway_process.settled)
    found = re.search(r"event=\"metrics told\" host=127.0.0.1 port=(\d+)", gateway_process.log.read_text())
    assert found is not None
    told = scraped(int(found[1]))
    node = "air/bcn"
    expected = {
        f"samples_read_total[{node},replay]": 520,
        f"source_up[{node},replay]": 1,
        f"broker_connected[{node}]": 1,
        f"reconnects_total[{node}]": 0,
        f"samples_stored_total[{node}]": 520,
        f"samples_acknowledged_total[{node}]": 520,
        f"samples_dropped_total[{node}]": 0,
        f"waiting_samples[{node}]": 0,
        f"waiting_batches[{node}]": 0,
        f"waiting_oldest_seconds[{node}]": 0,
        f"buffer_limit_bytes[{node}]": 256 * 1024 * 1024,
    }
    assert {name: told[f"vigia_edge_{name}"] for name in expected} == expected
    assert 0 < told[f"vigia_edge_buffer_bytes[{node}]"] < told[f"vigia_edge_disk_free_bytes[{node}]"]


def test_drops_are_counted_by_reason(gateway_process: GatewayProcess) -> None:
    config = gateway_process.config
    config.write_text(config.read_text().replace("[[node]]", f"max_bytes = {64 * 1024}\n[[node]]"))
    with opened(load_config(config)) as nodes, telling(ANYWHERE, lambda: nodes, None) as port:
        nodes[0].buffer.append(Tick(births=(device(),)))
        for ts in range(300):
            nodes[0].buffer.append(noise(ts))
        told = scraped(int(str(port)))
        dropped = nodes[0].buffer.dropped
    assert told["vigia_edge_samples_dropped_total[air/bcn]"] == dropped > 0
    assert told[f"vigia_edge_dropped_batches_total[air/bcn,the buffer's limit of {64 * 1024} bytes]"] == dropped / 50


def test_the_docs_name_them_all_and_no_other() -> None:
    named = {re.sub("_total$", "", name) for name in re.findall(r"`(vigia_edge_\w+)", DOCS)}
    assert named == told_names()


def test_the_dashboard_shows_them_all_and_no_other() -> None:
    dashboard = json.loads((REPOSITORY / "deploy" / "grafana" / "gateway.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    shown = {re.sub("_total$", "", name) for query in queries for name in re.findall(r"\bvigia_\w+", query)}
    assert shown == told_names()


def test_an_address_that_is_taken_is_one_sentence() -> None:
    with (
        telling(ANYWHERE, lambda: (), None) as port,
        pytest.raises(ConfigError, match="choose another with --metrics-port"),
        telling(MetricsConfig("127.0.0.1", int(str(port))), lambda: (), None),
    ):
        pass
