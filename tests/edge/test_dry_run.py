"""`vigia edge run --check` reads each source once: real servers, a file, recorded engines, and one server that is not there."""

import json
import socket
from pathlib import Path

import pytest
from edge_harness import Gateway
from three_servers import MODBUS, MTCONNECT, NAMES, OPCUA, running_servers
from typer.testing import CliRunner

from vigia import cli

runner = CliRunner()
FILES = """
[[node]]
group_id = "acme"
node_id = "oven"
[node.source]
type = "files"
path = "oven.csv"
[node.source.time]
column = "time"
[[node.source.device]]
device_id = "F1"
serial = "1"
model = "m"
[[node.source.device.point]]
column = "t"
unit = "Cel"
[[node.source.device.point]]
column = "door"
type = "string"
"""
AWAY = """
[[node]]
group_id = "acme"
node_id = "away"
[node.source]
type = "mtconnect"
url = "{url}"
"""


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIGIA_BROKER", raising=False)


def test_each_source_is_read_and_what_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "oven.csv").write_text("time,t,door\n2026-03-01T10:00:00Z,840.5,closed\n")
    config = tmp_path / "edge.toml"
    with socket.socket() as nobody, running_servers() as servers:
        nobody.bind(("127.0.0.1", 0))
        away_url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        config.write_text(servers.configuration("mqtt://127.0.0.1:1") + FILES + AWAY.format(url=away_url))
        answer = runner.invoke(cli.app, ["edge", "run", "--config", str(config), "--check", "--json"])
        assert servers.said[MODBUS] == [(number, servers.said[MODBUS][0][1], 1.0) for number in range(len(NAMES))]
    assert str(answer.exception).startswith(f"acme/away: the mtconnect source cannot be read: no answer from {away_url}/probe")
    assert "acme/node" not in str(answer.exception)
    told = {one["node"]: one for one in json.loads(answer.stdout)["sources"]}
    assert told["acme/away"]["problem"] == str(answer.exception)
    by_device = {reading["device"]: {} for one in told.values() for reading in one["readings"]}
    for reading in (reading for one in told.values() for reading in one["readings"]):
        by_device[reading["device"]][reading["point"]] = reading
    assert {name: one["value"] for name, one in by_device[MODBUS].items()} == dict.fromkeys(NAMES, 1)
    for device in (OPCUA, MTCONNECT):
        assert {name: one["value"] for name, one in by_device[device].items()} == {
            name: pytest.approx(1 + number / 100) for number, name in enumerate(NAMES)
        }
    assert {one["quality"] for points in by_device.values() for one in points.values()} == {"good"}
    assert by_device["F1"]["t"] == {
        "device": "F1", "point": "t", "value": 840.5, "unit": "Cel", "quality": "good", "source_time": "2026-03-01T10:00:00.000Z",
    }  # fmt: skip
    assert by_device[MTCONNECT]["p0"]["unit"] == "%"
    assert [path.name for path in (tmp_path / "buffers").iterdir()] == []


def test_people_get_a_table(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, "mqtt://127.0.0.1:1")
    for role, unit in (("L", 2), ("R", 3)):
        gateway.install(role, f"ESN-{unit}", unit, 0)
    gateway.clock(1)
    answer = runner.invoke(cli.app, ["edge", "run", "--config", str(gateway.config), "--check"])
    assert answer.exit_code == 0
    lines = answer.stdout.splitlines()
    assert lines[0] == f"air/bcn: replay -> {tmp_path}/buffers/air.bcn.sqlite -> mqtt://127.0.0.1:1"
    assert lines[1].split() == ["device", "point", "value", "unit", "quality", "source", "time"]
    assert ["R", "T24", "3001.04", "[degR]", "good", "2026-01-01T01:00:00.000Z"] in [line.split() for line in lines]
    assert len({line.index("good") for line in lines[2:]}) == 1


def test_devices_of_which_nothing_is_heard_are_named(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, "mqtt://127.0.0.1:1")
    gateway.install("L", "ESN-2", 2, 0)
    answer = runner.invoke(cli.app, ["edge", "run", "--config", str(gateway.config), "--check", "--patience", "0.3"])
    assert str(answer.exception) == "air/bcn: the replay source told nothing of R within 0.3 s"
    assert ["L", "state", "-", "1", "nothing", "told", "-"] in [line.split() for line in answer.stdout.splitlines()]
