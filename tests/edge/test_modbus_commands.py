"""Commands from a Sparkplug host to a Modbus machine: what is allowed acts, once; all else is refused with its reason."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_harness import BareHost, CommandedGateway, now_ms
from edge_harness import wait_for
from modbus_machine import Pump

from vigia.sparkplug import names
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.payload import Metric
from vigia.supervisor.broker import RunningBroker

SOURCE = """
[node.source]
type = "modbus"
host = "127.0.0.1"
port = {port}
[[node.source.device]]
device_id = "P-101"
serial = "SN-1"
model = "pump"
poll_s = 0.05
[[node.source.device.point]]
name = "setpoint"
table = "holding_register"
address = 1
type = "int16"
factor = 0.1
unit = "bar"
kind = "setting"
[[node.source.device.point]]
name = "restart"
table = "coil"
address = 7
"""
COMMANDS = """
[[node.command]]
device = "P-101"
name = "setpoint"
acts_on = "setpoint"
low = 2.0
high = 8.0
[[node.command]]
device = "P-101"
name = "Device Control/Restart"
acts_on = "restart"
allowed = [true]
critical = true
[[node.command]]
device = "P-101"
name = "Device Control/Trim"
acts_on = "setpoint"
low = 0.0
high = 1.0
plain = true
max_age_s = 5.0
"""


@pytest.fixture
def pump() -> Iterator[Pump]:
    with Pump({"holding_register": [[0, "0000 001e"]]}) as running:
        yield running


@contextlib.contextmanager
def commanded(folder: Path, broker: RunningBroker, node: str) -> Iterator[CommandedGateway]:
    one = CommandedGateway(folder, broker.url, node)
    one.start()
    try:
        yield one
    finally:
        one.stop()


REFUSED: list[tuple[str, Any, DataType, dict[str, Any], str]] = [
    ("setpoint", 8.5, DataType.DOUBLE, {}, "out of range: 8.5 is above 8 bar"),
    ("setpoint", "high", DataType.STRING, {}, "wrong type"),
    ("setpoint", 4.0, DataType.DOUBLE, {"expires_at": 1}, "expired"),
    ("setpoint", 4.0, DataType.DOUBLE, {"issued_at": 1}, "expired"),
    ("setpoint", 4.0, DataType.DOUBLE, {"issued_at": 1 << 50, "expires_at": 1 << 51}, "clock skew"),
    ("setpoint", 4.0, DataType.DOUBLE, {"requested_by": ""}, "Vigia/Command has no requested_by"),
    ("restart", True, DataType.BOOLEAN, {"approved_by": ["ben", "eva"]}, "not allowed"),
    ("unheard of", True, DataType.BOOLEAN, {}, "not allowed"),
    ("Device Control/Restart", True, DataType.BOOLEAN, {"approved_by": ["ben"]}, "too few approvers"),
    ("Device Control/Restart", False, DataType.BOOLEAN, {"approved_by": ["ben", "eva"]}, "out of range"),
]


def test_commands_act_as_they_are_allowed(broker: RunningBroker, bare_host: BareHost, pump: Pump, tmp_path: Path) -> None:
    with commanded(tmp_path / "edge", broker, SOURCE.format(port=pump.machine.port) + COMMANDS) as gateway:
        wait_for(lambda: "P-101" in bare_host.births)
        writable = {metric.name for metric in bare_host.births["P-101"].metrics if metric.properties.get(names.WRITABLE) is True}
        assert writable == {"setpoint", "Device Control/Restart", "Device Control/Trim"}
        trim = bare_host.metric("P-101", "Device Control/Trim")
        assert (trim.datatype, trim.value, trim.properties[names.ENG_UNIT]) == (DataType.DOUBLE, None, "bar")
        setpoint, restart = (bare_host.metric("P-101", name).properties for name in ("setpoint", "Device Control/Restart"))
        assert (setpoint[names.WRITE_LOW], setpoint[names.WRITE_HIGH], names.CRITICAL in setpoint) == (2.0, 8.0, False)
        assert (restart[names.WRITE_ALLOWED], restart[names.CRITICAL]) == ("[true]", True)
        assert bare_host.metric("P-101", names.COMMAND).datatype is DataType.STRING

        for at, (name, value, datatype, words, reason) in enumerate(REFUSED):
            result = bare_host.order("P-101", name, value, datatype, id_=f"no-{at}", **words)
            assert (result["id"], result["outcome"]) == (f"no-{at}", "refused")
            assert result["reason"].startswith(reason)
        assert pump.writes == []

        result = bare_host.order("P-101", "setpoint", 4.5, DataType.DOUBLE, id_="s-1")
        assert (result["id"], result["command"], result["outcome"]) == ("s-1", "setpoint", "done")
        again = bare_host.order("P-101", "setpoint", 5.0, DataType.DOUBLE, id_="s-1")
        assert (again["outcome"], again["reason"].split(":")[0]) == ("refused", "used before")
        restarted = bare_host.order("P-101", "Device Control/Restart", True, DataType.BOOLEAN, id_="r-1", approved_by=["ben", "eva"])  # noqa: FBT003
        assert restarted["outcome"] == "done"
        assert pump.writes == [1, 7]

        before, sent = len(bare_host.results), now_ms()
        for _ in range(2):
            bare_host.send("P-101", Metric(alias=trim.alias, value=0.5, datatype=DataType.DOUBLE), sent=sent)
        bare_host.send("P-101", Metric("setpoint", value=4.0, datatype=DataType.DOUBLE), sent=sent)
        bare_host.send("P-101", Metric(alias=trim.alias, value=0.5, datatype=DataType.DOUBLE), sent=sent - 6000)
        wait_for(lambda: len(bare_host.results) == before + 4)
        plain = list(bare_host.results.values())[before:]
        assert [one["outcome"] for one in plain] == ["done", "refused", "refused", "refused"]
        assert [one["reason"].split(" ")[0] for one in plain] == ["", "used", "not", "expired:"]
        assert pump.writes == [1, 7, 1]
    told = gateway.log.read_text()
    for step in ("command received", "command refused", "command accepted", "command executed", "command result"):
        assert step in told, step


def test_without_a_table_nothing_acts(broker: RunningBroker, bare_host: BareHost, pump: Pump, tmp_path: Path) -> None:
    with commanded(tmp_path / "edge", broker, SOURCE.format(port=pump.machine.port)) as gateway:
        wait_for(lambda: "P-101" in bare_host.births)
        assert not any(metric.properties.get(names.WRITABLE) for metric in bare_host.births["P-101"].metrics)
        bare_host.send("P-101", Metric("setpoint", value=4.0, datatype=DataType.DOUBLE))
        wait_for(lambda: "command refused" in gateway.log.read_text())
    assert pump.writes == []
    assert "allows no command" in gateway.log.read_text()
