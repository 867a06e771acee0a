"""What tests of sources share: taking ticks from one, and its configuration inside a gateway's."""

import contextlib
from collections.abc import AsyncIterator, Callable
from importlib import import_module
from pathlib import Path

from vigia.edge.config import EdgeConfig, load_config
from vigia.edge.samples import Sample, Tick
from vigia.edge.sources import Source

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


def golden(source: str) -> list[Path]:
    """The golden cases of a source."""
    return sorted((GOLDEN / source).iterdir())


def load_sample(source: str) -> EdgeConfig:
    """The sample configuration of a source, as it stands in its folder."""
    return load_config(Path(import_module(f"vigia.edge.sources.{source}").__file__ or "").parent / "sample.toml")
