"""Polls machines that speak Modbus TCP, or RTU frames over TCP behind a serial gateway."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar, Self

from pydantic import BaseModel

from vigia.edge.samples import Tick
from vigia.edge.sources import SourceUnavailableError
from vigia.edge.sources.modbus.config import ModbusConfig
from vigia.edge.sources.modbus.line import Line
from vigia.edge.sources.modbus.unit import Unit


class ModbusSource:
    """All devices behind one connection. A poll of a device is one tick.

    A device is born when it first answers, and dies when it answers nothing any more; the others go on. When all are silent, or
    the connection cannot be had, iterating raises SourceUnavailableError.
    """

    Config: ClassVar[type[BaseModel]] = ModbusConfig

    def __init__(self, config: ModbusConfig, folder: Path) -> None:  # noqa: ARG002 - it names no file
        self._config = config
        self._line = Line(config)
        self._units = [Unit(device, config.retries) for device in config.device]

    @property
    def overruns(self) -> int:
        """Polls that were left out because those before them took too long."""
        return sum(unit.overruns for unit in self._units)

    def resume(self, position: str | None) -> None:
        """A machine that is polled cannot go back: nothing to do."""

    async def __aenter__(self) -> Self:
        await self._line.open()
        now = asyncio.get_running_loop().time()
        for unit in self._units:
            unit.begin(now)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._line.close()

    async def __aiter__(self) -> AsyncIterator[Tick]:
        clock = asyncio.get_running_loop().time
        asked: set[Unit] = set()
        while True:
            unit = min(self._units, key=lambda one: one.due)
            await asyncio.sleep(unit.due - clock())
            tick = await unit.poll(self._line)
            unit.schedule(clock())
            asked.add(unit)
            if len(asked) == len(self._units) and not any(one.alive for one in self._units):
                raise SourceUnavailableError(f"nobody answers at {self._config.host}:{self._config.port}")
            if tick is not None:
                yield tick
