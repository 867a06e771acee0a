"""A wrong table of a command is one sentence that says what to do; the examples that people copy are right."""

import re
from pathlib import Path

import pytest
from source_harness import load_sample

from vigia.edge.allowed import Allowed
from vigia.edge.config import EdgeConfig, load_config
from vigia.edge.samples import Device
from vigia.errors import ConfigError

DOCS = Path(__file__).parents[2] / "docs"
MODBUS = """
[broker]
url = "mqtt://127.0.0.1"
[buffer]
folder = "buffers"
[[node]]
group_id = "air"
node_id = "bcn"
[node.source]
type = "modbus"
host = "127.0.0.1"
[[node.source.device]]
device_id = "P-101"
serial = "s"
model = "m"
"""
POINT = '[[node.source.device.point]]\nname = "flow"\ntable = "holding_register"\naddress = 1\nlow = 0.0\nhigh = 9.0\nunit = "L/min"\n'
COMMAND = '[[node.command]]\ndevice = "P-101"\nname = "flow"\nacts_on = "flow"\n'


def load(folder: Path, text: str) -> EdgeConfig:
    file = folder / "edge.toml"
    file.write_text(text)
    return load_config(file)


@pytest.mark.parametrize(
    ("commands", "message"),
    [
        (COMMAND.replace('name = "flow"', 'name = "Flow"'), 'write "Device Control/Flow", or the name of the point that it acts on'),
        (COMMAND.replace('name = "flow"', 'name = "Device Control/"'), "or the name of the point that it acts on"),
        (COMMAND + "critical = true\nplain = true\n", "remove critical or plain"),
        (COMMAND + "low = 2.0\nhigh = 1.0\n", "low is above high"),
        (COMMAND + "max_age_s = 0\n", "node[0].command[0].max_age_s"),
        (COMMAND + COMMAND, "flow of device P-101 appears twice"),
        (COMMAND.replace("P-101", "P-102"), "node[0].command[0]: the source has no point flow of a device P-102"),
        (COMMAND.replace("flow", "flood"), "node[0].command[0]: the source has no point flood of a device P-101; correct the command"),
    ],
)
def test_a_fault_is_named_with_its_remedy(tmp_path: Path, commands: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, MODBUS + POINT + commands)
    assert message in str(caught.value)


def test_a_source_that_cannot_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "recording.txt").touch()
    replay = '[node.source]\ntype = "replay"\nlogbook = "logbook.jsonl"\ndata = "recording.txt"\ndevices = ["P-101"]\n'
    with pytest.raises(ConfigError, match=r"node\[0\]\.command\[0\]: this source cannot write to a machine; remove the table"):
        load(tmp_path, MODBUS[: MODBUS.index("[node.source]")] + replay + COMMAND)


def test_a_command_without_a_range_has_its_points(tmp_path: Path) -> None:
    config = load(tmp_path, MODBUS + POINT + COMMAND)
    (rule,) = Allowed(config.nodes[0].command, config.sources[0]).rules(Device("P-101", "s", "m", ())).values()
    assert (rule.low, rule.high, rule.unit, rule.critical, rule.plain, rule.max_age_ms) == (0.0, 9.0, "L/min", False, False, 60_000)


@pytest.mark.parametrize(("source", "device"), [("modbus", "P-101"), ("opcua", "press-1")])
def test_the_samples_allow_a_set_point_and_a_restart(source: str, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRESS_PASSWORD", "x")
    config = load_sample(source)
    rules = Allowed(config.nodes[0].command, config.sources[0]).rules(Device(device, "s", "m", ()))
    critical = {name.rsplit("_", 1)[-1].rsplit(" ", 1)[-1]: rule.critical for (_, name), rule in rules.items()}
    assert critical == {"setpoint": False, "Control/Restart": True}


def test_the_example_of_the_documentation_is_a_configuration(tmp_path: Path) -> None:
    example = re.findall(r"```toml\n(.*?)```", (DOCS / "commands.md").read_text(), re.DOTALL)[0]
    assert [one.name for one in load(tmp_path, MODBUS + example).nodes[0].command] == ["pressure_setpoint", "Device Control/Restart"]
