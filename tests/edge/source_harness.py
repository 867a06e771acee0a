"""What tests of sources share: taking ticks from one, and its configuration inside a gateway's."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from importlib import import_module
from pathlib import Path

from vigia.edge.config import EdgeConfig, load_config
from vigia.edge.samples import Device, Sample, Tick
from vigia.edge.sources import Source
from vigia.sparkplug.datatypes import write_value

GOLDEN = Path(__file__).parents[1] / "golden"


@contextlib.asynccontextmanager
async def entered(source: Source) -> AsyncIterator[AsyncIterator[Tick]]:
    """The ticks of `source` while it is entered."""
    async with source:
        stream = aiter(source)
        try:
            yield stream
        finally:
            await stream.aclose()  # type: ignore[attr-defined]


async def until(stream: AsyncIterator[Tick], enough: Callable[[list[Tick]], bool]) -> list[Tick]:
    """The ticks up to the one with which there are enough."""
    got: list[Tick] = []
    async for tick in stream:
        got.append(tick)
        if enough(got):
            break
    return got


def samples(ticks: list[Tick]) -> list[Sample]:
    """The samples of all ticks, in their order."""
    return [sample for tick in ticks for sample in tick.samples]


def travels(devices: Iterable[Device], taken: Iterable[Sample]) -> bool:
    """Whether each sample's value can be sent as the data type that its point was announced with. Raises PayloadError."""
    datatypes = {(device.device_id, point.name): point.datatype for device in devices for point in device.points}
    for one in taken:
        if one.value is not None:
            write_value(datatypes[one.device, one.point], one.value)
    return True


def golden(source: str) -> list[Path]:
    """The golden cases of a source."""
    return sorted((GOLDEN / source).iterdir())


def load_sample(source: str) -> EdgeConfig:
    """The sample configuration of a source, as it stands in its folder."""
    return load_config(Path(import_module(f"vigia.edge.sources.{source}").__file__ or "").parent / "sample.toml")
