"""Commands to a machine that speaks OPC UA: written with the server's type, called once, refused in the server's own words."""

import time
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua, uamethod
from command_harness import BareHost, CommandedGateway
from edge_harness import wait_for
from opcua_harness import points, source
from opcua_machine import PLANT, Machine
from source_harness import entered

from vigia.edge import EdgeError
from vigia.edge.samples import Value
from vigia.edge.sources import CommandRefusedError, SourceUnavailableError, Writable
from vigia.sparkplug.datatypes import DataType
from vigia.supervisor.broker import RunningBroker

pytestmark = pytest.mark.xdist_group("opcua")

KINDS: dict[str, tuple[ua.VariantType, Any, Value]] = {
    "bool": (ua.VariantType.Boolean, False, True),
    "byte": (ua.VariantType.Byte, 0, 200),
    "int": (ua.VariantType.Int32, 0, -70_000),
    "float": (ua.VariantType.Float, 0.0, 1.5),
    "double": (ua.VariantType.Double, 0.0, 61.25),
    "text": (ua.VariantType.String, "", "recipe 7"),
    "local": (ua.VariantType.LocalizedText, ua.LocalizedText("a"), "b"),
}


class Restarts:
    """A method of the machine's that counts its calls; it takes `takes_s`."""

    def __init__(self, machine: Machine, name: str) -> None:
        self.calls: list[object] = []
        self.takes_s = 0.0
        self.answer = ua.StatusCode()
        self._name = name
        machine.do(self._add, machine)

    async def _add(self, machine: Machine) -> None:
        objects = machine.server.nodes.objects
        node = await objects.add_object(ua.NodeId(f"{self._name} unit", machine.namespace), f"{self._name} unit")

        @uamethod  # type: ignore[untyped-decorator]
        def restart(_parent: ua.NodeId, *arguments: object) -> ua.StatusCode:
            self.calls.append(arguments)
            time.sleep(self.takes_s)
            return self.answer

        await node.add_method(ua.NodeId(self._name, machine.namespace), self._name, restart, [], [])

    def method(self, **settings: object) -> dict[str, object]:
        return {"name": self._name, "object": f"nsu={PLANT};s={self._name} unit", "node": f"nsu={PLANT};s={self._name}", **settings}


def test_a_target_changes_with_what_is_written_and_with_nothing_else() -> None:
    def target(address: str = "opc.tcp://127.0.0.1:1", **settings: object) -> str:
        return source(address, points("speed", **settings)).target("press", "speed")

    assert target(dead_band=1.0, documentation="of the spindle") == target()
    assert len({target(), target("opc.tcp://127.0.0.1:2"), target(high=9.0), target(index=None, node=f"nsu={PLANT};s=other")}) == 4


def commandable(machine: Machine, said: list[dict[str, object]], *methods: dict[str, object]) -> Any:  # noqa: ANN401
    device = {"device_id": "press", "serial": "SN-1", "model": "m", "point": said, "method": list(methods)}
    return source(machine.url, said, device=[device])


async def test_each_type_is_written_as_the_server_has_it(opcua_machine: Machine) -> None:
    for name, (kind, before, _) in KINDS.items():
        node = opcua_machine.add(f"w {name}", before, kind)
        opcua_machine.do(node.set_writable)
    one = commandable(opcua_machine, points(*(f"w {name}" for name in KINDS)))
    assert isinstance(one, Writable)
    async with entered(one):
        for name, (_, _, value) in KINDS.items():
            await one.write("press", f"w {name}", value)
    for name, (kind, _, value) in KINDS.items():
        data = opcua_machine.do(opcua_machine.nodes[f"w {name}"].read_data_value)
        told = data.Value.Value.Text if kind is ua.VariantType.LocalizedText else data.Value.Value
        assert (data.Value.VariantType, told) == (kind, value)


async def test_a_refusal_names_the_servers_status(opcua_machine: Machine) -> None:
    opcua_machine.add("w locked", 1.0)
    restarts = Restarts(opcua_machine, "w refusing")
    restarts.answer = ua.StatusCode(ua.StatusCodes.BadInvalidState)
    ghost = {"name": "ghost", "object": "nsu=http://nowhere;s=o", "node": "i=1"}
    said = points("w locked", "w missing")
    one = commandable(opcua_machine, said, restarts.method(), ghost)
    async with entered(one):
        for name, why in (
            ("w locked", r"BadUserAccessDenied|BadNotWritable"),
            ("w missing", "no such node"),
            ("w refusing", r"BadInvalidState \(0x80AF0000\)"),
            ("ghost", "no namespace http://nowhere"),
        ):
            with pytest.raises(CommandRefusedError, match=why):
                await one.write("press", name, value=True)
        with pytest.raises(CommandRefusedError, match="write true"):
            await one.write("press", "w refusing", value=False)
    with pytest.raises(SourceUnavailableError, match="not connected"):
        await one.write("press", "w locked", 1.0)
    with pytest.raises(EdgeError, match="no point or method x"):
        one.writable("press", "x")


async def test_a_method_takes_its_argument(opcua_machine: Machine) -> None:
    restarts = Restarts(opcua_machine, "w dosing")
    one = commandable(opcua_machine, points("w double"), restarts.method(argument="Float", unit="mL"))
    assert (one.writable("press", "w dosing").datatype, one.writable("press", "w dosing").unit) == (DataType.FLOAT, "mL")
    async with entered(one):
        await one.write("press", "w dosing", 2.5)
    assert restarts.calls == [(2.5,)]


NODE = """
[node.source]
type = "opcua"
url = "{url}"
security = "none"
anonymous = true
[[node.source.device]]
device_id = "press"
serial = "SN-1"
model = "m"
[[node.source.device.point]]
name = "speed"
node = "nsu={plant};s=w set speed"
unit = "Hz"
[[node.source.device.method]]
name = "restart"
object = "nsu={plant};s=w restart unit"
node = "nsu={plant};s=w restart"
[[node.command]]
device = "press"
name = "speed"
acts_on = "speed"
low = 0.0
high = 60.0
[[node.command]]
device = "press"
name = "Device Control/Restart"
acts_on = "restart"
critical = true
"""


def test_a_restart_happens_once_whatever_ends_the_gateway(
    broker: RunningBroker, bare_host: BareHost, opcua_machine: Machine, tmp_path: Path
) -> None:
    opcua_machine.do(opcua_machine.add("w set speed", 10.0).set_writable)
    restarts = Restarts(opcua_machine, "w restart")
    gateway = CommandedGateway(tmp_path / "edge", broker.url, NODE.format(url=opcua_machine.url, plant=PLANT))
    restart = ("press", "Device Control/Restart", True, DataType.BOOLEAN)
    both = {"approved_by": ["ben", "eva"]}
    gateway.start()
    try:
        wait_for(lambda: "press" in bare_host.births)
        assert bare_host.order("press", "speed", 42.0, DataType.DOUBLE, id_="s-1")["outcome"] == "done"
        assert opcua_machine.do(opcua_machine.nodes["w set speed"].read_value) == 42.0
        assert bare_host.order(*restart, id_="r-1", approved_by=["ben"])["reason"].startswith("too few approvers")
        assert bare_host.order(*restart, id_="r-1", **both)["outcome"] == "done"
        assert len(restarts.calls) == 1

        gateway.kill()
        bare_host.births.clear()
        gateway.start()
        wait_for(lambda: "press" in bare_host.births)
        assert bare_host.order(*restart, id_="r-1", **both)["reason"].startswith("used before")
        assert len(restarts.calls) == 1

        # Killed while the machine is at it: it acted, and nobody heard whether.
        restarts.takes_s = 1.0
        before = len(bare_host.results)
        bare_host.command(*restart, id_="r-2", **both)
        wait_for(lambda: len(restarts.calls) == 2)
        gateway.kill()
        bare_host.births.clear()
        gateway.start()
        told = bare_host.next_result(before)
        assert (told["id"], told["outcome"]) == ("r-2", "failed")
        assert "not known" in told["reason"]
        assert bare_host.order(*restart, id_="r-2", **both)["reason"].startswith("used before")
        assert len(restarts.calls) == 2
    finally:
        gateway.stop()
