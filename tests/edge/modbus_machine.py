"""A machine that speaks Modbus: pymodbus' own server on a free port, with a memory to set and manners to lose."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from pymodbus import FramerType
from pymodbus.constants import ExcCodes
from pymodbus.pdu import ModbusPDU
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

TABLES = {1: "coil", 2: "discrete_input", 3: "holding_register", 4: "input_register", 5: "write", 6: "write", 16: "write"}
BITS = 256

Memory = Mapping[str, list[object]]
Request = tuple[str, int, int]


@dataclass
class Machine:
    """`units` is the memory by unit id. A unit that is in `silent` does not answer; `manners` may refuse or delay a request.

    `measure` may change a unit's table, from its first address on, before a request that succeeds is answered.
    """

    units: Mapping[int, Memory]
    framer: FramerType = FramerType.SOCKET
    port: int = 0
    silent: set[int] = field(default_factory=set)
    manners: Callable[[int, Request], ExcCodes | float | None] = lambda _unit, _request: None
    measure: Callable[[int, list[int]], None] = lambda _unit, _registers: None
    requests: list[tuple[int, Request]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    connections: int = 0
    together: int = 0  # requests that it had to answer at once, at most

    async def start(self) -> None:
        self._open = 0
        devices = [SimDevice(id=unit, simdata=_blocks(memory), action=self._action(unit)) for unit, memory in self.units.items()]
        self._server = ModbusTcpServer(
            devices, framer=self.framer, address=("127.0.0.1", self.port), trace_pdu=self._trace, trace_connect=self._count
        )
        await self._server.serve_forever(background=True)
        self.port = self._server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]

    async def stop(self) -> None:
        await self._server.shutdown()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _trace(self, sending: bool, pdu: ModbusPDU) -> ModbusPDU:  # noqa: FBT001 - the library's hook
        self._open = self._open + 1 if not sending else 0
        self.together = max(self.together, self._open)
        if not sending:
            self._asked = (TABLES[pdu.function_code], pdu.address, pdu.count)
            self.requests.append((pdu.dev_id, self._asked))
            self.times.append(asyncio.get_running_loop().time())
        return pdu

    def _count(self, connected: bool) -> None:  # noqa: FBT001 - the library's hook
        self.connections += connected

    def _action(self, unit: int) -> Callable[..., object]:
        async def action(_code: int, _first: int, _at: int, _count: int, registers: list[int], _told: object) -> ExcCodes | None:
            if unit in self.silent:
                await asyncio.Event().wait()
            said = self.manners(unit, self._asked)
            if isinstance(said, float):
                await asyncio.sleep(said)
            elif said is not None:
                return said
            self.measure(unit, registers)
            return None

        return action


class Pump:
    """A Modbus machine, unit 1, in a thread of its own. `writes` are the addresses of the requests that wrote."""

    def __init__(self, memory: Memory) -> None:
        self.machine = Machine({1: memory})
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.machine.start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.machine.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def writes(self) -> list[int]:
        return [address for _, (table, address, _) in list(self.machine.requests) if table == "write"]


def _blocks(memory: Memory) -> tuple[list[SimData], list[SimData], list[SimData], list[SimData]]:
    coils, inputs = [_bits(memory.get(table, [])) for table in ("coil", "discrete_input")]
    holding, input_ = [_registers(memory.get(table, [])) for table in ("holding_register", "input_register")]
    return coils, inputs, holding, input_


def _bits(on: list[object]) -> list[SimData]:
    return [SimData(0, values=[bit in on for bit in range(BITS)], datatype=DataType.BITS)]


def _registers(runs: list[object]) -> list[SimData]:
    """Each run: first address and words in hexadecimal, apart by blanks."""
    made = []
    for first, words in runs:  # type: ignore[misc]
        made.append(SimData(first, values=[int(word, 16) for word in words.split()], datatype=DataType.REGISTERS))  # type: ignore[has-type]
    return made or [SimData(60_000, datatype=DataType.REGISTERS, values=[0])]
