"""What the sources of a configuration tell when they are read once: nothing is published, and nothing stored."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vigia.edge import EdgeError
from vigia.edge.config import EdgeConfig
from vigia.edge.samples import Device, Point, Sample, Tick, Value
from vigia.edge.sources import Source
from vigia.sparkplug.names import QUALITY_BAD, QUALITY_GOOD, QUALITY_STALE

QUALITIES = {QUALITY_GOOD: "good", QUALITY_BAD: "bad", QUALITY_STALE: "stale"}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a point told; `unit` is a UCUM code, `at_ms` the source's time in milliseconds since 1970 UTC.

    Without a `quality` it told nothing in time.
    """

    device: str
    point: str
    unit: str
    value: Value | None = None
    quality: str | None = None
    at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SourceReadings:
    """What the source of `node` told. `problem` is a sentence: why it, or some of its devices, could not be read."""

    node: str
    source: str
    readings: tuple[Reading, ...]
    problem: str | None


async def read_once(config: EdgeConfig, patience_s: float) -> Sequence[SourceReadings]:
    """Read every source, all at the same time, until each point of its devices has told something; `patience_s` at most."""
    return await asyncio.gather(
        *(_read(node.name, node.source, source, patience_s) for node, source in zip(config.nodes, config.sources, strict=True))
    )


async def _read(node: str, table: Mapping[str, Any], source: Source, patience_s: float) -> SourceReadings:
    kind = str(table["type"])
    heard = _Heard(_named(table))
    problem = None
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await heard.listen(source)
        if not heard.reached:
            problem = f"did not answer within {patience_s:g} s"
        elif missing := sorted(heard.wanted - heard.devices.keys()):
            problem = f"told nothing of {', '.join(missing)} within {patience_s:g} s"
    except EdgeError as error:
        problem = f"cannot be read: {error}"
    return SourceReadings(node, kind, tuple(heard.readings()), None if problem is None else f"{node}: the {kind} source {problem}")


@dataclass
class _Heard:
    """What was heard so far; `wanted` are the devices that the configuration names."""

    wanted: frozenset[str]
    reached: bool = False
    devices: dict[str, Device] = field(default_factory=dict)
    newest: dict[tuple[str, str], Sample] = field(default_factory=dict)

    async def listen(self, source: Source) -> None:
        """Until all was heard that can be. Raises EdgeError."""
        source.resume(None)
        async with source:
            self.reached = True
            async with _ticks(source) as ticks:
                async for tick in ticks:
                    self._take(tick)
                    if self._is_all:
                        return

    def _take(self, tick: Tick) -> None:
        self.devices |= {device.device_id: device for device in tick.births}
        self.newest |= {(sample.device, sample.point): sample for sample in (*tick.standing, *tick.samples)}

    @property
    def _is_all(self) -> bool:
        return self.wanted <= self.devices.keys() and all(
            (device.device_id, point.name) in self.newest for device in self.devices.values() for point in device.points
        )

    def readings(self) -> list[Reading]:
        """A line for each point."""
        return [
            _reading(device.device_id, point, self.newest.get((device.device_id, point.name)))
            for device in self.devices.values()
            for point in device.points
        ]


def _reading(device_id: str, point: Point, sample: Sample | None) -> Reading:
    if sample is None:
        return Reading(device_id, point.name, point.unit)
    return Reading(device_id, point.name, point.unit, sample.value, QUALITIES.get(sample.quality, "uncertain"), sample.ts)


@contextlib.asynccontextmanager
async def _ticks(source: Source) -> AsyncIterator[AsyncIterator[Tick]]:
    """What the source tells; it is done with before the source is left."""
    ticks = aiter(source)
    try:
        yield ticks
    finally:
        if isinstance(ticks, AsyncGenerator):
            await ticks.aclose()


def _named(table: Mapping[str, Any]) -> frozenset[str]:
    """The devices that a source's table names."""
    named = [one.get("device_id") for one in table.get("device", ()) if isinstance(one, dict)]
    return frozenset(one for one in (*named, *table.get("devices", ())) if isinstance(one, str))
