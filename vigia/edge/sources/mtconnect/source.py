"""Follows the machines of an MTConnect agent: nothing missed while its buffer still has it, and loudly told when it has not."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Self

import structlog
from pydantic import BaseModel

from vigia.edge.clock import now_ms
from vigia.edge.samples import Sample, Tick
from vigia.edge.sources import SourceUnavailableError
from vigia.edge.sources.mtconnect.agent import Agent, OutOfRangeError
from vigia.edge.sources.mtconnect.config import MTConnectConfig
from vigia.edge.sources.mtconnect.documents import DocumentError, Observation, Streams, header_of
from vigia.edge.sources.mtconnect.model import model_of
from vigia.edge.sources.mtconnect.readings import Readings

log = structlog.get_logger()


MOST_FRUITLESS = 3


class _RestartedError(Exception):
    """Another life of the agent speaks: its numbers begin anew."""


class _StrangersError(Exception):
    """The agent speaks of data items that its probe did not have."""

    def __init__(self, items: set[str]) -> None:
        super().__init__(", ".join(sorted(items)))
        self.items = items


class MTConnectSource:
    """The devices of one agent. A document's observations are one tick; the position is the agent's life and the next number.

    After a restart of the gateway the agent's buffer is read from the position on. After one of the agent, all is read anew.
    """

    Config: ClassVar[type[BaseModel]] = MTConnectConfig

    def __init__(self, config: MTConnectConfig, folder: Path) -> None:
        self._config = config
        self._agent = Agent(config, folder)
        self._log = log.bind(agent=config.url)
        self._instance: int | None = None
        self._next = 0
        self._chasing = False
        self._strangers: set[str] = set()

    def resume(self, position: str | None) -> None:
        """Go on after `position`: the agent's instance id and the next sequence number."""
        self._instance, self._next = (None, 0) if position is None else json.loads(position)

    async def __aenter__(self) -> Self:
        await self._agent.__aenter__()
        try:
            await self._probe()
        except BaseException:
            await self._agent.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._agent.__aexit__(*exc)

    async def __aiter__(self) -> AsyncIterator[Tick]:
        while True:
            try:
                async with contextlib.aclosing(self._follow(Readings(self._model))) as ticks:
                    async for tick in ticks:
                        yield tick
            except _RestartedError:
                self._log.warning("agent restarted; everything is read anew")
            except _StrangersError as error:
                self._log.info("the agent has new data items and is asked what they are", items=str(error)[:200])
                self._strangers |= error.items
            await self._probe()

    async def _probe(self) -> None:
        root = await self._agent.probe()
        try:
            self._model = model_of(root, self._config)
            header = header_of(root)
        except DocumentError as error:
            raise SourceUnavailableError(f"{self._config.url}/probe: {error}") from None
        self._life = header.instance
        self._count = min(self._config.count, header.buffer_size or self._config.count)
        if self._model.left_out:
            self._log.warning("data sets and tables are left out", items=", ".join(self._model.left_out)[:200])

    async def _follow(self, readings: Readings) -> AsyncGenerator[Tick, None]:
        """Births, and what the agent says from the position on. Raises _RestartedError, _StrangersError."""
        births = self._model.devices
        fruitless = 0
        while fruitless < MOST_FRUITLESS:
            fruitless += 1
            now = await self._agent.current()
            self._check(now)
            told, standing = await self._take_up(now, readings)
            if births or told:
                yield replace(self._tick(told, readings, received=None), births=births, standing=standing if births else ())
            births = ()
            with contextlib.suppress(OutOfRangeError):
                async with contextlib.aclosing(self._documents()) as documents:
                    async for streams, received in documents:
                        self._check(streams)
                        if streams.header.first > self._next:
                            break
                        fruitless, self._chasing = 0, False
                        fresh = [one for one in streams.observations if one.sequence >= self._next]
                        self._next = max(self._next, streams.header.next)
                        if fresh:
                            yield self._tick(fresh, readings, received)
        raise SourceUnavailableError(f"{self._config.url}: the agent refuses numbers that its buffer should have; lower count")

    async def _take_up(self, now: Streams, readings: Readings) -> tuple[Sequence[Observation], tuple[Sample, ...]]:
        """Find out where to go on and set `_next` so; what has to be told because of it, and what was told earlier and still stands."""
        header, stored = now.header, self._next
        if self._instance != header.instance or stored > header.next:
            self._instance, self._next = header.instance, header.next
            return now.observations, ()
        if stored < header.first:
            self._next = header.next if self._chasing else header.first
            self._chasing = True
            self._log.error("readings lost: they left the agent's buffer before they were read", first=stored, last=self._next - 1)
        lost = [one for one in now.observations if stored <= one.sequence < self._next]
        return lost, readings.recall((await self._then(now)).observations, now_ms(), stored)

    async def _then(self, now: Streams) -> Streams:
        """How things were before the position, or at it when all before it has left the buffer: the answer to current, as of there."""
        first, last = now.header.first, now.header.next - 1
        if first <= last:
            with contextlib.suppress(OutOfRangeError):
                return await self._agent.current(at=min(max(first, self._next - 1), last))
        return now

    async def _documents(self) -> AsyncGenerator[tuple[Streams, int | None], None]:
        """Documents from the position on, each with the time of its arrival when what it says is fresh. Raises OutOfRangeError."""
        behind = True
        while behind:
            first = self._next
            streams = await self._agent.sample(first, self._count)
            yield streams, None
            behind = first < streams.header.next <= streams.header.last
        while True:
            async with contextlib.aclosing(self._agent.stream(self._next, self._count)) as stream:
                async for streams in stream:
                    yield streams, now_ms()
            await asyncio.sleep(self._config.interval_s)

    def _check(self, streams: Streams) -> None:
        """Raise _RestartedError, _StrangersError if the model does not fit any more."""
        if streams.header.instance != self._life:
            raise _RestartedError
        if strangers := {one.item for one in streams.observations} - self._model.known - self._strangers:
            raise _StrangersError(strangers)

    def _tick(self, observations: Sequence[Observation], readings: Readings, received: int | None) -> Tick:
        samples = tuple(readings.samples(observations, now_ms(), received))
        return Tick(samples=samples, position=json.dumps([self._instance, self._next]))
