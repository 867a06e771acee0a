"""Polls machines that speak Modbus TCP, or RTU frames over TCP behind a serial gateway; writes what commands want written."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar, Self

from pydantic import BaseModel

from vigia.edge import EdgeError
from vigia.edge.samples import Point, Tick, Value
from vigia.edge.sources import CommandRefusedError, SourceUnavailableError
from vigia.edge.sources.modbus.config import DeviceConfig, ModbusConfig, PointConfig
from vigia.edge.sources.modbus.line import STILL_AT_IT, UNREADABLE, Line, RefusedError, SilentError
from vigia.edge.sources.modbus.unit import Unit
from vigia.edge.sources.modbus.values import UnwritableValueError, words_of


class ModbusSource:
    """All devices behind one connection. A poll of a device is one tick.

    A device is born when it first answers, and dies when it answers nothing any more; the others go on. When all are silent, or
    the connection cannot be had, iterating raises SourceUnavailableError.
    """

    Config: ClassVar[type[BaseModel]] = ModbusConfig

    def __init__(self, config: ModbusConfig, folder: Path) -> None:  # noqa: ARG002 - it names no file
        self._config = config
        self._line = Line(config)
        self._entered = False
        self._units = [Unit(device, config.retries) for device in config.device]

    @property
    def overruns(self) -> int:
        """Polls that were left out because those before them took too long."""
        return sum(unit.overruns for unit in self._units)

    def resume(self, position: str | None) -> None:
        """A machine that is polled cannot go back: nothing to do."""

    async def __aenter__(self) -> Self:
        await self._line.open()
        self._entered = True
        now = asyncio.get_running_loop().time()
        for unit in self._units:
            unit.begin(now)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._entered = False
        self._line.close()

    def writable(self, device: str, name: str) -> Point:
        """The coil or holding register called `name`. Raises EdgeError when there is none."""
        return self._writable(device, name)[1].point

    def target(self, device: str, name: str) -> str:
        """Which register of which unit, and how it is written. Raises EdgeError."""
        unit, place = self._writable(device, name)
        where = (self._config.host, self._config.port, self._config.framing, unit.unit_id, unit.word_order, unit.byte_order)
        return repr((*where, place.model_dump(exclude={"documentation", "separate"})))

    async def write(self, device: str, point: str, value: Value) -> None:
        """Write once, between two polls. Raises CommandRefusedError, SourceUnavailableError."""
        unit, place = self._writable(device, point)
        if not self._entered:
            raise SourceUnavailableError(f"no connection to {self._config.host}:{self._config.port}")
        try:
            await self._line.write(unit.unit_id, place, words_of(place, unit, value))
        except UnwritableValueError as error:
            raise CommandRefusedError(str(error)) from None
        except RefusedError as error:
            if error.code in (UNREADABLE, STILL_AT_IT):
                raise SourceUnavailableError(f"{error}; whether the machine acted is not known") from None
            raise CommandRefusedError(f"the machine refuses: {error} (exception code {error.code})") from None
        except SilentError:
            raise SourceUnavailableError("the machine did not answer; whether it acted is not known") from None

    def _writable(self, device: str, name: str) -> tuple[DeviceConfig, PointConfig]:
        for unit in self._config.device:
            for point in unit.point if unit.device_id == device else ():
                if point.name == name:
                    if why := point.why_read_only:
                        raise EdgeError(f"point {name} of {device} cannot be written: {why}")
                    return unit, point
        raise EdgeError(f"the source has no point {name} of a device {device}; correct the command, or add the point")

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
