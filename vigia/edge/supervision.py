"""A node's source kept running: left, buried and entered again when its machine or server goes away."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Literal

import structlog

from vigia.edge.buffer import EdgeBuffer
from vigia.edge.clock import MachineClocks, clock, now_ms
from vigia.edge.samples import Tick
from vigia.edge.sources import Source, SourceUnavailableError

log = structlog.get_logger()

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0

SourceState = Literal["connecting", "running", "unavailable"]


@dataclass(slots=True)
class SourceStatus:
    """How a source is doing. `since_ms` is when `state` began, `why` the reason of the last `unavailable`, `samples` its count so far.

    `skew_ms` is how far the machine's clock, of several the worst, is behind the gateway's; None before the first reading that tells.
    """

    state: SourceState = "connecting"
    since_ms: int = 0
    why: str = ""
    samples: int = 0
    skew_ms: int | None = None


class Supervisor:
    """Runs `source` for as long as the node runs; `store` takes each of its ticks."""

    def __init__(self, name: str, source: Source, buffer: EdgeBuffer, store: Callable[[Tick], Awaitable[None]]) -> None:
        self.status = SourceStatus(since_ms=now_ms())
        self._source = source
        self._buffer = buffer
        self._store = store
        self._log = log.bind(node=name)
        self._clocks = MachineClocks(name, lambda: clock.is_sure)

    async def run(self) -> None:
        """Work until cancelled, or until the source has told everything. Raises EdgeError when the source cannot be understood."""
        pause_s = FIRST_PAUSE_S
        while True:
            started = time.monotonic()
            try:
                await self._follow()
            except SourceUnavailableError as error:
                await self._bury(str(error))
            else:
                return
            # One that came back for longer than it was waited for starts with the shortest pause again.
            if time.monotonic() - started > pause_s:
                pause_s = FIRST_PAUSE_S
            # Spread, so that many gateways do not come back to one server in one moment.
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            self._enter("connecting")

    async def _follow(self) -> None:
        """Enter the source and store what it tells until it ends."""
        self._source.resume(self._buffer.position)
        async with self._source as source:
            async for tick in source:
                if self.status.state != "running":
                    self._log.info("source runs", devices=len(tick.births))
                    self._enter("running")
                await self._store(replace(tick, samples=self._clocks.correct(tick.samples)))
                self.status.samples += len(tick.samples)
                self.status.skew_ms = self._clocks.worst_ms

    async def _bury(self, why: str) -> None:
        """The machines are out of sight: say so, once for each reason, and let their devices die."""
        if why != self.status.why or self.status.state == "running":
            self._log.warning("source unavailable", why=why)
        self._enter("unavailable")
        self.status.why = why
        alive = tuple(birth.device.device_id for birth in self._buffer.births().values() if birth.alive)
        if alive:
            await self._store(Tick(deaths=alive))

    def _enter(self, state: SourceState) -> None:
        self.status.state, self.status.since_ms = state, now_ms()
