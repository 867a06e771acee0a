"""A small fleet: one customer, one site, two edge nodes, two roles each."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from vigia.supervisor.broker import RunningBroker, running_broker

sys.path.insert(0, str(Path(__file__).parent))

from ingest_harness import Edge, Line, line, seed


@pytest.fixture
def seeded(dsn: str) -> str:
    asyncio.run(seed(dsn))
    return dsn


@pytest.fixture
def either_seeded(either_dsn: str) -> str:
    asyncio.run(seed(either_dsn))
    return either_dsn


@pytest.fixture
async def wire(seeded: str) -> AsyncIterator[Line]:
    async with line(seeded) as one:
        yield one


@pytest.fixture
def edge() -> Edge:
    return Edge()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RunningBroker]:
    with running_broker(tmp_path / "broker", "mosquitto") as running:
        yield running
