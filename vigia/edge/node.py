"""One Sparkplug edge node: its source fills the buffer, its session empties it towards the host.

Storing never waits for sending. A tick is on disk first and on the wire right after; whatever the line, the broker or the host
loses is still on disk and is sent again until the host has acknowledged it.
"""

import asyncio
import random
import time
from dataclasses import replace
from itertools import cycle

import structlog

from vigia.concurrency import together
from vigia.edge.allowed import Allowed
from vigia.edge.buffer import BufferUnavailableError, EdgeBuffer
from vigia.edge.clock import now_ms
from vigia.edge.commander import Commander
from vigia.edge.config import BrokerConfig, NodeConfig
from vigia.edge.connection import ConnectionLostError
from vigia.edge.messages import About, Messages
from vigia.edge.node_status import TELL_EVERY_S, NodeStatus, StatusFile
from vigia.edge.outbox import Outbox
from vigia.edge.report import ByException, Rule
from vigia.edge.samples import Tick
from vigia.edge.session import HostOfflineError, Mail, Server, Session
from vigia.edge.sources import Source
from vigia.edge.supervision import SourceStatus, Supervisor

log = structlog.get_logger()

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 3.0
DISK_PAUSE_S = 1.0
SETTLE_EVERY_S = 0.2
DROP_OLD_EVERY_S = 60.0


class EdgeNode:
    """Runs one node of the configuration; `source` and `buffer` are its own, `about` is what its births say of the gateway."""

    def __init__(self, config: NodeConfig, broker: BrokerConfig, buffer: EdgeBuffer, source: Source, about: About | None = None) -> None:
        self._config = config
        brokers = broker.each()
        self._servers = [Server(one, is_only=len(brokers) == 1) for one in brokers]
        self._buffer = buffer
        self._supervisor = Supervisor(config.name, source, buffer, self._collect)
        self._log = log.bind(node=config.name)
        self._report = ByException(
            [
                Rule(rule.device, rule.point, rule.dead_band, None if rule.max_silence_s is None else rule.max_silence_s * 1000)
                for rule in config.report
            ]
        )
        self._allowed = Allowed(config.command, source)
        self._about = about or About()
        self._messages = Messages(self._allowed.announced, self._about)
        self._storing = asyncio.Lock()
        self._commander = Commander(config.name, self._allowed, self._messages, buffer, self._store)
        self._mail = Mail(buffer, Outbox(config.window, config.ack_timeout_s), command=self._commander.hear)

    async def run(self) -> None:
        """Work until cancelled. Raises EdgeError when the source cannot be understood."""
        await together(self._supervisor.run(), self._talk(), self._commander.run(), self._settle(), self._drop_old(), self._tell_status())

    @property
    def name(self) -> str:
        """Group and node, for people."""
        return self._config.name

    @property
    def buffer(self) -> EdgeBuffer:
        """Where its samples wait."""
        return self._buffer

    @property
    def is_heard(self) -> bool:
        """Whether the host has acknowledged anything since the node was made."""
        return self._mail.heard

    @property
    def source(self) -> SourceStatus:
        """How the node's source is doing now."""
        return self._supervisor.status

    def status(self, samples_per_s: float) -> NodeStatus:
        """How the node is now; its samples a second are known to the caller."""
        source = self._supervisor.status
        return NodeStatus(
            now_ms(),
            self._about.agent_version,
            self._about.configuration,
            str(self._config.source.get("type")),
            source.state,
            source.since_ms,
            source.why,
            source.samples,
            samples_per_s,
            self._mail.broker,
            self._mail.connections,
            self._mail.outbox.resent,
            dict(self._buffer.drops),
            dict(self._commander.outcomes),
        )

    def reconnect(self) -> None:
        """End the session in order and begin another, with the credentials that are on disk now. What is not acknowledged comes again."""
        self._mail.anew = True
        self._mail.wake.set()

    async def _collect(self, tick: Tick) -> None:
        self._report.forget(device.device_id for device in tick.births)
        births = tuple(self._allowed.reporting(device) for device in tick.births)
        await self._store(replace(tick, samples=self._report.new(tick.samples), births=births))
        if births:
            self._commander.devices_came()

    async def _store(self, tick: Tick) -> None:
        """Put `tick` on disk, however long the disk refuses, and hand it to the session."""
        async with self._storing:  # batches are offered in the order of their numbers
            await self._store_next(tick)

    async def _store_next(self, tick: Tick) -> None:
        # Before it is on disk: the session must not find a new machine's birth there and give it the old one's values.
        for device in tick.births:
            self._messages.forget(device.device_id)
        self._messages.remember(tick.standing)
        refused = False
        while True:
            try:
                batches = await asyncio.to_thread(self._buffer.append, tick)
            except BufferUnavailableError as error:
                if not refused:
                    self._log.error("samples wait for the disk", why=str(error))
                refused = True
                await asyncio.sleep(DISK_PAUSE_S)
            else:
                break
        self._messages.remember(tick.samples)
        self._mail.outbox.offer(batches)
        self._mail.wake.set()

    async def _talk(self) -> None:
        """One session after another, each with the next server, with growing pauses while there is none to be had."""
        pause_s = FIRST_PAUSE_S
        last_words = ""
        for server in cycle(self._servers):
            session = Session(self._config, server, self._messages, self._mail)
            try:
                await session.run()
            except (ConnectionLostError, HostOfflineError, BufferUnavailableError) as error:
                if str(error) != last_words:
                    self._log.warning("not connected", why=str(error))
                last_words = str(error)
            if session.was_born:
                pause_s, last_words = FIRST_PAUSE_S, ""
            # Spread, so that a fleet does not come back in one moment.
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _settle(self) -> None:
        """Delete what was acknowledged, a few times a second at most: each time costs a disk flush."""
        while True:
            await self._mail.settle_wanted.wait()
            self._mail.settle_wanted.clear()
            try:
                await asyncio.to_thread(self._buffer.settle, self._mail.watermark, self._mail.epoch)
                while self._mail.earlier:
                    epoch, watermark = self._mail.earlier.popitem()
                    await asyncio.to_thread(self._buffer.settle, watermark, epoch)
            except BufferUnavailableError as error:
                self._log.warning("acknowledged batches are kept for now", why=str(error))
                self._mail.settle_wanted.set()
                await asyncio.sleep(DISK_PAUSE_S)
            await asyncio.sleep(SETTLE_EVERY_S)

    async def _tell_status(self) -> None:
        file = StatusFile(self._buffer.path)
        samples_per_s = 0.0
        try:
            while True:
                await asyncio.to_thread(file.write, self.status(samples_per_s))
                before, began = self._supervisor.status.samples, time.monotonic()
                await asyncio.sleep(TELL_EVERY_S)
                samples_per_s = round((self._supervisor.status.samples - before) / (time.monotonic() - began), 1)
        finally:
            file.remove()

    async def _drop_old(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._buffer.drop_old)
            except BufferUnavailableError as error:
                self._log.warning("old batches are kept for now", why=str(error))
            await asyncio.sleep(DROP_OLD_EVERY_S)
