"""What tests of the OPC UA source share: its configuration for a machine, and what it told as rows."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from opcua_machine import PLANT, Row
from source_harness import entered

from vigia.edge.samples import Sample, Tick
from vigia.edge.sources import SourceUnavailableError
from vigia.edge.sources.opcua.config import OpcUaConfig
from vigia.edge.sources.opcua.source import OpcUaSource

PUBLISHING_S = 0.05


def points(*names: str, **settings: object) -> list[dict[str, object]]:
    return [{"name": name, "node": f"nsu={PLANT};s={name}", **settings} for name in names]


def table(address: str, said: Sequence[dict[str, object]], /, **settings: object) -> dict[str, Any]:
    """The source's table for one device with the points `said`."""
    group = {"name": "default", "publishing_s": PUBLISHING_S, "sampling_s": 0, "queue_size": 1000}
    device = {"device_id": "press", "serial": "SN-1", "model": "m", "point": list(said)}
    return {
        "type": "opcua",
        "url": address,
        "security": "none",
        "anonymous": True,
        "keepalive_s": 2.0,
        "timeout_s": 5.0,
        "group": [group],
        "device": [device],
        **settings,
    }


def source(address: str, said: Sequence[dict[str, object]], folder: Path | None = None, /, **settings: object) -> OpcUaSource:
    one = OpcUaSource(OpcUaConfig.model_validate(table(address, said, **settings)), folder or Path())
    one.resume(None)
    return one


def count(ticks: list[Tick], point: str | None = None) -> int:
    return sum(point in (None, sample.point) for tick in ticks for sample in tick.samples)


def rows(samples: Sequence[Sample]) -> list[Row]:
    """As the machine's record has them, to the millisecond."""
    return [(sample.point, sample.ts, sample.value) for sample in samples]


def to_the_ms(record: Sequence[Row]) -> list[Row]:
    return [(name, us // 1000, value) for name, us, value in record]


def last_position(ticks: list[Tick]) -> str | None:
    return next((tick.position for tick in reversed(ticks) if tick.position is not None), None)


class Collector:
    """Keeps a source running as a node does, in memory: ticks on disk are ticks in the list.

    `lives` counts how often the source was entered; what the last entering said is in `why`.
    """

    def __init__(self, make: Callable[[], OpcUaSource]) -> None:
        self._make = make
        self._source = make()
        self.samples: list[Sample] = []
        self.position: str | None = None
        self.lives = 0
        self.why: list[str] = []

    async def run(self) -> None:
        while True:
            self._source.resume(self.position)
            self.lives += 1
            try:
                async with entered(self._source) as stream:
                    async for tick in stream:
                        self.samples += tick.samples
                        self.position = tick.position or self.position
            except SourceUnavailableError as error:
                self.why.append(str(error))
            await asyncio.sleep(0.02)

    def kill(self) -> None:
        """The gateway is started anew: what it knew is gone, what was stored is there."""
        self._source = self._make()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self._work = asyncio.create_task(self.run())
        try:
            yield
        finally:
            self._work.cancel()
            await asyncio.wait([self._work])

    @property
    def heard(self) -> tuple[int, int]:
        """Grows with whatever happens."""
        return self.lives, len(self.samples)

    @property
    def failed(self) -> BaseException | None:
        """What ended it, if it ended."""
        return self._work.exception() if self._work.done() else None


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)
