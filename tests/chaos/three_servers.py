"""An OPC UA, a Modbus and an MTConnect server in one thread, which speak and keep what they said, and the gateway's file for them."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import mtconnect_agent
import numpy as np
from asyncua import ua
from chaos_account import columns, query, readings
from chaos_fleet import GROUP, device_id, node_id
from modbus_machine import Machine as Modbus
from numpy.typing import NDArray
from opcua_machine import PLANT, moment
from opcua_machine import Machine as OpcUa

POINTS, HZ = 16, 10
OPCUA, MODBUS, MTCONNECT = (device_id(node, 0) for node in range(3))
NAMES = tuple(f"p{number}" for number in range(POINTS))
SLOWEST_MS = 2_000  # from a machine's answer to the time that the gateway gives it


@dataclass
class Servers:
    """`said` is what each device said: the point's number, milliseconds and value; of Modbus, which tells no time, when it answered.

    They speak `HZ` times a second while `speaking`; Modbus says something new each time it is asked.
    """

    opcua: OpcUa = field(default_factory=OpcUa)
    speaking: bool = False
    said: dict[str, list[tuple[int, int, float]]] = field(default_factory=lambda: {OPCUA: [], MODBUS: [], MTCONNECT: []})

    async def start(self) -> None:
        self.modbus = Modbus({1: {"holding_register": [[0, " ".join(["0000"] * 2 * POINTS)]]}}, measure=self._answer)
        self.agent = mtconnect_agent.Agent(
            items=dict.fromkeys(NAMES, ("SAMPLE", "LOAD", "PERCENT")), size=10_000, dated=lambda _: time.time_ns() // 1_000_000
        )
        await self.modbus.start()
        await self.agent.start()
        self.count = 0
        for name in NAMES:
            await self.opcua._add(name, self._measured(), ua.NodeId(ua.ObjectIds.Double))
        await self._tell()
        self._clock = asyncio.create_task(self._run())

    async def stop(self) -> None:
        self._clock.cancel()
        await self.agent.stop()
        await self.modbus.stop()

    async def _run(self) -> None:
        due = time.monotonic()
        while True:
            await asyncio.sleep(due - time.monotonic())
            if self.speaking:
                await self._tell()
            due += 1 / HZ

    async def _tell(self) -> None:
        self.count += 1
        for number, name in enumerate(NAMES):
            one = self.agent.observe(name, f"{self.count + number / 100:.2f}")
            self.said[MTCONNECT].append((number, one.ts, float(one.value)))
            data = self._measured(self.count + number / 100)
            self.said[OPCUA].append((number, self._ms, data.Value.Value))
            await self.opcua.nodes[name].write_attribute(ua.AttributeIds.Value, data)

    def _measured(self, value: float = 0.0) -> ua.DataValue:
        self._ms = time.time_ns() // 1_000_000
        return ua.DataValue(ua.Variant(value, ua.VariantType.Double), SourceTimestamp=moment(self._ms * 1000))

    def _answer(self, _unit: int, registers: list[int]) -> None:
        if self.speaking or not self.said[MODBUS]:
            count = len(self.said[MODBUS]) // POINTS + 1
            registers[: 2 * POINTS] = divmod(count, 1 << 16) * POINTS
            now = time.time_ns() // 1_000_000
            self.said[MODBUS] += [(number, now, float(count)) for number in range(POINTS)]

    @property
    def sent(self) -> int:
        return sum(map(len, self.said.values()))

    # ── what became of it ──

    def compared(self, dsn: str) -> tuple[NDArray[np.void], NDArray[np.void]]:
        """What was said, and what is stored. A Modbus reading that is dated when it was answered, or soon after, has the answer's time."""
        slots = {
            (serial, name): point
            for point, name, serial in query(dsn, "select point_id, name, serial_number from point join asset using (asset_id)")
        }
        truth, found = [], readings(dsn)
        for device, told in self.said.items():
            number, ts, value = (np.array(column) for column in zip(*told, strict=True))
            points = np.array([slots[f"SN-{device}", name] for name in NAMES])
            truth.append(columns(points[number], ts, value))
            if device == MODBUS:
                of_modbus = np.flatnonzero(np.isin(found["point"], points) & np.isin(found["value"], value))
                answered = ts[::POINTS][found["value"][of_modbus].astype(np.int64) - 1]
                soon = np.abs(found["ts"][of_modbus] - answered) <= SLOWEST_MS
                found["ts"][of_modbus[soon]] = answered[soon]
        return np.concatenate(truth), found

    def configuration(self, broker: str) -> str:
        """The gateway's file."""
        points = {
            OPCUA: "".join(f'[[node.source.device.point]]\nname = "{name}"\nnode = "nsu={PLANT};s={name}"\n' for name in NAMES),
            MODBUS: "".join(
                f'[[node.source.device.point]]\nname = "{name}"\ntable = "holding_register"\naddress = {2 * number}\ntype = "uint32"\n'
                for number, name in enumerate(NAMES)
            ),
        }
        sources = {
            OPCUA: f'type = "opcua"\nurl = "{self.opcua.url}"\nsecurity = "none"\nanonymous = true\nhistory = false\n'
            '[[node.source.group]]\nname = "default"\npublishing_s = 0.2\nsampling_s = 0\nqueue_size = 1000\n'
            f'[[node.source.device]]\ndevice_id = "{OPCUA}"\nserial = "SN-{OPCUA}"\nmodel = "m"\n{points[OPCUA]}',
            MODBUS: f'type = "modbus"\nhost = "127.0.0.1"\nport = {self.modbus.port}\ntimeout_s = 10.0\nretries = 0\n'
            f'[[node.source.device]]\ndevice_id = "{MODBUS}"\nserial = "SN-{MODBUS}"\nmodel = "m"\npoll_s = {1 / HZ}\n{points[MODBUS]}'
            "[[node.report]]\ndead_band = 0.0\n",
            MTCONNECT: f'type = "mtconnect"\nurl = "{self.agent.url}"\ninterval_s = 0.2\n'
            f'[[node.source.device]]\nname = "mill"\ndevice_id = "{MTCONNECT}"\nserial = "SN-{MTCONNECT}"\n',
        }
        nodes = "".join(
            f'[[node]]\ngroup_id = "{GROUP}"\nnode_id = "{node_id(number)}"\n[node.source]\n{source}'
            for number, source in enumerate(sources.values())
        )
        return f'[broker]\nurl = "{broker}"\n[buffer]\nfolder = "buffers"\n{nodes}'

    def buffers(self, folder: Path) -> list[Path]:
        return [folder / "buffers" / f"{GROUP}.{node_id(number)}.sqlite" for number in range(3)]


@contextmanager
def running_servers() -> Iterator[Servers]:
    """They run, and have said their first values."""
    servers = Servers()
    with servers.opcua:
        servers.opcua.do(servers.start)
        try:
            yield servers
        finally:
            servers.opcua.do(servers.stop)
