"""`vigia edge status` beside a running gateway: its source, its broker, and what it runs."""

import json
from pathlib import Path
from typing import Any

import pytest
from edge_harness import Gateway, wait_for
from typer.testing import CliRunner

from vigia import cli
from vigia.edge import node_status
from vigia.edge.clock import now_ms
from vigia.edge.node_status import OLD_MS, NodeStatus, StatusFile

runner = CliRunner()


def status(gateway: Gateway, *more: str) -> str:
    return runner.invoke(cli.app, ["edge", "status", "--config", str(gateway.config), *more]).stdout


def seen(gateway: Gateway) -> dict[str, Any]:
    return json.loads(status(gateway, "--json"))["air/bcn"]


@pytest.mark.usefixtures("host")
def test_a_running_gateway_is_seen(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vigia.edge.node.TELL_EVERY_S", 0.05)
    monkeypatch.delenv("VIGIA_BROKER", raising=False)
    gateway.install("L", "ESN-2", 2, 0)
    gateway.start()
    gateway.clock(20)
    wait_for(lambda: gateway.settled)
    wait_for(lambda: (running := seen(gateway)["running"]) and running["samples"] == 20 * 26)
    wait_for(lambda: seen(gateway)["waiting_samples"] == 0)  # the last batch is acknowledged a moment after it is published
    node = seen(gateway)
    running = node["running"]
    assert (running["source"], running["state"], running["last_error"], running["connections"]) == ("replay", "running", "", 1)
    assert f"mqtt://{running['broker']}" == gateway.url
    assert (node["waiting_samples"], node["oldest_waiting_s"]) == (0, None)
    gateway.config.write_text(gateway.config.read_text() + "# changed\n")
    words = status(gateway)
    assert "  source        replay, running since 20" in words
    assert f"  broker        {running['broker']}, 0 reconnects\n" in words
    assert f"  configuration ANOTHER one runs, SHA-256 {running['configuration']}: start the gateway again\n" in words
    gateway.stop()
    assert "no gateway runs this node" in status(gateway)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"at_ms": 1}'])
def test_a_file_that_makes_no_sense_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "b.sqlite.status.json").write_text(text)
    assert StatusFile(tmp_path / "b.sqlite").read() is None


def test_one_of_a_gateway_that_was_killed_is_none(tmp_path: Path) -> None:
    file = StatusFile(tmp_path / "b.sqlite")
    for age_ms, there in ((0, True), (2 * OLD_MS, False)):
        file.write(NodeStatus(now_ms() - age_ms, "1", "", "modbus", "unavailable", 1, "nobody answers", 0, 0.0, None, 0, 0, {}, {}))
        assert (file.read() is not None) == there
    assert node_status.OLD_MS > 3 * 1000 * node_status.TELL_EVERY_S


def test_a_folder_that_is_not_there_is_no_reason_to_fail(tmp_path: Path) -> None:
    file = StatusFile(tmp_path / "away" / "b.sqlite")
    file.write(NodeStatus(now_ms(), "1", "", "modbus", "running", 1, "", 0, 0.0, None, 0, 0, {}, {}))
    file.remove()
    assert file.read() is None
