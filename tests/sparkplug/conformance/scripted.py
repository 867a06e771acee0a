"""A source that does what a replay never does: every data type, bad and stale readings, times out of order, a point that can be written."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import BaseModel

from vigia.edge.samples import Device, Point, Sample, Tick, Value
from vigia.sparkplug.datatypes import DataType

DEVICE = "M"
VALUES: dict[DataType, Value] = {
    DataType.INT8: -8,
    DataType.INT16: -16,
    DataType.INT32: -32,
    DataType.INT64: -64,
    DataType.UINT8: 8,
    DataType.UINT16: 16,
    DataType.UINT32: 32,
    DataType.UINT64: 64,
    DataType.FLOAT: 0.5,
    DataType.DOUBLE: 0.25,
    DataType.BOOLEAN: True,
    DataType.STRING: "on",
    DataType.DATE_TIME: 1_767_225_600_000,
    DataType.TEXT: "text",
}
NOT_GOOD = ((0, None), (500, -1), (64, -2))


class ScriptedConfig(BaseModel):
    """The table `[node.source]` with `type = "scripted"`."""

    type: Literal["scripted"]


class ScriptedSource:
    """One machine that is there at once, tells everything as soon as the file `go` is in its folder, and then nothing more."""

    Config: ClassVar[type[BaseModel]] = ScriptedConfig

    def __init__(self, _config: ScriptedConfig, folder: Path) -> None:
        self._go = folder / "go"
        self._told = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return

    async def __aiter__(self) -> AsyncIterator[Tick]:
        if not self._told:
            birth, *told = ticks()
            yield birth
            while not self._go.exists():
                await asyncio.sleep(0.005)
            for tick in told:
                yield tick
        await asyncio.Event().wait()

    def resume(self, position: str | None) -> None:
        self._told = position is not None

    def writable(self, _device: str, name: str) -> Point:
        return Point(name, DataType[name])

    def target(self, device: str, name: str) -> str:
        return f"{device}/{name}"

    async def write(self, device: str, point: str, value: Value) -> None:
        """Every machine of this kind takes everything."""


def ticks() -> list[Tick]:
    """A birth, then what the machine tells: times go back within the first tick."""
    device = Device(DEVICE, "SN-M", "scripted", tuple(Point(kind.name, kind) for kind in VALUES))
    first = 1_767_225_600_000
    readings = [Sample(DEVICE, kind.name, first - index, value) for index, (kind, value) in enumerate(VALUES.items())]
    odd = [Tick((Sample(DEVICE, "INT32", first + index + 1, value, quality),)) for index, (quality, value) in enumerate(NOT_GOOD)]
    return [Tick(births=(device,)), Tick(tuple(readings)), *odd, Tick((Sample(DEVICE, "INT32", first + 10, -3),), position="end")]
