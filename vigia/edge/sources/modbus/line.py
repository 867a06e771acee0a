"""One connection to a machine or gateway: one question at a time, each answered in bounded time."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from pymodbus import FramerType, ModbusException
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU

from vigia.edge.sources import SourceUnavailableError
from vigia.edge.sources.modbus.config import ModbusConfig, PointConfig, Table
from vigia.edge.sources.modbus.plan import Block

Told = TypeVar("Told")

UNREADABLE = 0
STILL_AT_IT = 5
ILLEGAL_ADDRESS, ILLEGAL_VALUE = 2, 3
_NOT_NOW = (STILL_AT_IT, 6)
_NOT_NOW_PAUSE_S = 0.1
_NOBODY_THERE = (10, 11)

_FUNCTIONS: dict[Table, int] = {"coil": 1, "discrete_input": 2, "holding_register": 3, "input_register": 4}

REASONS = {
    UNREADABLE: "the answer does not fit the question",
    1: "illegal function",
    ILLEGAL_ADDRESS: "illegal data address",
    ILLEGAL_VALUE: "illegal data value",
    4: "server device failure",
    STILL_AT_IT: "acknowledge: the device is not ready yet",
    6: "server device busy",
    8: "memory parity error",
}
"""What an exception code means; UNREADABLE is ours."""


class SilentError(Exception):
    """The unit did not answer."""


class RefusedError(Exception):
    """The unit answered with an exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(REASONS.get(code, "an exception code that the standard does not know"))
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer:
    """What a block holds: bits as 0 and 1, or registers. `at` is when it arrived, in milliseconds since 1970 UTC."""

    words: Sequence[int]
    at: int


class _Decoder(DecodePDU):
    """Makes a refusal of what it cannot decode: the library raises that in the event loop, where nobody would hear it."""

    def decode(self, frame: bytes) -> ModbusPDU:
        return super().decode(frame) or ExceptionResponse(frame[0] & 0x7F, UNREADABLE)


class Line:
    """The connection, opened anew when it was lost."""

    def __init__(self, config: ModbusConfig) -> None:
        self._config = config
        self._client: AsyncModbusTcpClient | None = None
        self._free_at = 0.0
        self._turn = asyncio.Lock()
        # What matters of its warnings is said here, with the device's name and not every time.
        logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)

    async def open(self) -> None:
        """Connect. Raises SourceUnavailableError."""
        self._client = await self._connect()

    async def _connect(self) -> AsyncModbusTcpClient:
        config = self._config
        self.close()
        client = AsyncModbusTcpClient(
            config.host,
            port=config.port,
            framer=FramerType.SOCKET if config.framing == "tcp" else FramerType.RTU,
            timeout=config.timeout_s,
            retries=0,
            reconnect_delay=0,
        )
        client.ctx.framer.decoder = _Decoder(is_server=False)
        if not await client.connect():
            raise SourceUnavailableError(f"no connection to {config.host}:{config.port} in {config.timeout_s:g} s")
        return client

    def close(self) -> None:
        """Hang up."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def read(self, unit_id: int, block: Block, attempts: int) -> Answer:
        """Ask `unit_id` for `block`, up to `attempts` times. Raises SilentError, RefusedError, SourceUnavailableError."""
        refused: RefusedError | None = None
        for _ in range(attempts):
            try:
                return await self._ask(unit_id, block)
            except RefusedError as error:
                refused = error
                if error.code not in _NOT_NOW:
                    break
            except SilentError:
                refused = None
        raise refused or SilentError

    async def write(self, unit_id: int, point: PointConfig, words: Sequence[int]) -> None:
        """Write the bit or the registers of `point`, once. Raises SilentError, RefusedError, SourceUnavailableError."""

        async def ask(client: AsyncModbusTcpClient) -> ModbusPDU:
            if point.is_bit_table:
                return await client.write_coil(point.address, bool(words[0]), device_id=unit_id)
            if len(words) == 1:
                return await client.write_register(point.address, words[0], device_id=unit_id)
            return await client.write_registers(point.address, list(words), device_id=unit_id)

        await self._exchange(ask, _said)

    async def _ask(self, unit_id: int, block: Block) -> Answer:
        words = await self._exchange(partial(_request, unit_id, block), partial(_words, block))
        return Answer(words, time.time_ns() // 1_000_000)

    async def _exchange(self, ask: Callable[[AsyncModbusTcpClient], Awaitable[ModbusPDU]], read: Callable[[ModbusPDU], Told]) -> Told:
        """One question and what `read` makes of its answer, when the line is free."""
        async with self._turn:
            await asyncio.sleep(self._free_at - time.monotonic())
            client = await self._connected()
            pause_s = self._config.pause_s
            try:
                return read(await ask(client))
            except (ModbusException, SilentError):
                self._distrust()
                raise SilentError from None
            except RefusedError as error:
                if error.code == UNREADABLE:
                    self._distrust()
                if error.code in _NOT_NOW:
                    pause_s = max(pause_s, _NOT_NOW_PAUSE_S)
                raise
            finally:
                self._free_at = time.monotonic() + pause_s

    async def _connected(self) -> AsyncModbusTcpClient:
        if self._client is None or not self._client.connected:
            self._client = await self._connect()
        return self._client

    def _distrust(self) -> None:
        """An RTU frame has no number: what comes late on this connection would be taken for the answer to the next question."""
        if self._config.framing == "rtu":
            self.close()


async def _request(unit_id: int, block: Block, client: AsyncModbusTcpClient) -> ModbusPDU:
    read = {
        "coil": client.read_coils,
        "discrete_input": client.read_discrete_inputs,
        "input_register": client.read_input_registers,
        "holding_register": client.read_holding_registers,
    }[block.table]
    return await read(block.address, count=block.count, device_id=unit_id)


def _said(response: ModbusPDU) -> ModbusPDU:
    """`response` if it is no refusal. Raises RefusedError; SilentError when a gateway says that nobody answers."""
    if isinstance(response, ExceptionResponse):
        if response.exception_code in _NOBODY_THERE:
            raise SilentError
        raise RefusedError(response.exception_code)
    return response


def _words(block: Block, response: ModbusPDU) -> Sequence[int]:
    """What the answer says about `block`. Raises RefusedError, SilentError."""
    _said(response)
    is_bits = block.points[0].is_bit_table
    words: Sequence[int] = response.bits if is_bits else response.registers
    fits = len(words) >= block.count if is_bits else len(words) == block.count
    if response.function_code != _FUNCTIONS[block.table] or not fits:
        raise RefusedError(UNREADABLE)
    return words[: block.count]
