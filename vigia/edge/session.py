"""One Sparkplug session of an edge node: from CONNECT, over its births, to its death.

Everything is sent from one task, so a message's `seq` follows from its place in that task; it is taken only when the connection
took the message.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from vigia.edge import EdgeError
from vigia.edge.buffer import EdgeBuffer
from vigia.edge.buffer_records import Batch, Birth
from vigia.edge.clock import clock, now_ms
from vigia.edge.config import BrokerConfig, NodeConfig
from vigia.edge.connection import Connection, Will
from vigia.edge.messages import Messages
from vigia.edge.outbox import Outbox
from vigia.sparkplug import SparkplugError
from vigia.sparkplug.payload import Payload, encode
from vigia.sparkplug.session import HostState, PrimaryHost, next_seq, node_death
from vigia.sparkplug.topics import MessageType, StateTopic, Topic, device_command_filter, node_command_filter

log = structlog.get_logger()

LIVE_AT_ONCE = 64
BACKLOG_AT_ONCE = 32
BIRTH_EVERY_S = 0.5
HOST_PATIENCE_S = 2.0


class HostOfflineError(EdgeError):
    """The primary host application is offline."""


@dataclass
class Mail:
    """What a node's tasks share.

    `watermark` is the host's word in the buffer's epoch; `wake` says that there is something to do; `anew` that the session is to end and
    another to begin; `heard` that the host has acknowledged, be it nothing new. `broker` is the address of the
    one that there is a connection to, `connections` how many there were.
    """

    buffer: EdgeBuffer
    outbox: Outbox
    watermark: int = 0
    epoch: int = 0
    earlier: dict[int, int] = field(default_factory=dict)  # the host's word in epochs gone by
    anew: bool = False
    heard: bool = False
    broker: str | None = None
    connections: int = 0
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    settle_wanted: asyncio.Event = field(default_factory=asyncio.Event)
    command: Callable[[str, bytes], None] = lambda _device_id, _data: None  # takes each DCMD

    def open_epoch(self) -> None:
        """Follow the buffer into a new epoch, in which nothing is acknowledged yet."""
        if self.epoch != self.buffer.epoch:
            self.epoch, self.watermark = self.buffer.epoch, 0
        self.watermark = max(self.watermark, self.buffer.acknowledged)


@dataclass
class Server:
    """A broker of the node's list, and the newest word heard there of the primary host. `is_only`: there is no other to turn to."""

    broker: BrokerConfig
    is_only: bool
    host: PrimaryHost = field(default_factory=PrimaryHost)


class Session:
    """A session that `run` opens and ends; `was_born` tells whether it got as far as its births."""

    def __init__(self, config: NodeConfig, server: Server, messages: Messages, mail: Mail) -> None:
        self.was_born = False
        self._config = config
        self._messages = messages
        self._mail = mail
        self._buffer = mail.buffer
        self._outbox = mail.outbox
        self._bd_seq = self._buffer.next_bd_seq
        self._server = server
        self._host = server.host
        self._host_spoke = False
        self._host_topic = str(StateTopic(config.primary_host)) if config.primary_host else None
        self._device_commands = device_command_filter(config.group_id, config.node_id)
        self._death_topic = self._topic(MessageType.NDEATH)
        self._born: dict[str, Birth] = {}
        self._told_at: dict[str, float] = {}
        self._seq = 0
        self._rebirth_wanted = False
        self._tombstones_due = True
        self._dropped_told = 0
        self._newest_told_at = 0.0
        self._born_at = 0.0
        self._log = log.bind(node=config.name)
        death = encode(node_death(self._bd_seq, now_ms()))
        will = Will(self._death_topic, death, partial(self._buffer.use_bd_seq, self._bd_seq))
        self._connection = Connection(server.broker, f"{config.group_id}.{config.node_id}", will, self._hear, mail.wake.set)

    async def run(self) -> None:
        """Publish until another session is wanted, or the connection or the host is lost.

        Raises ConnectionLostError, HostOfflineError, BufferUnavailableError.
        """
        self._mail.anew = False
        self._host.online = False  # until it says so here again
        filters = [node_command_filter(self._config.group_id, self._config.node_id), self._device_commands]
        await self._connection.open(filters if self._host_topic is None else [*filters, self._host_topic])
        self._mail.broker = self._server.broker.address
        self._mail.connections += 1
        try:
            await self._wait_for_host()
            self._begin()
            while not self._mail.anew:
                await self._work()
                await self._rest()
        finally:
            self._mail.broker = None
            self._outbox.end()
            farewell = (self._death_topic, encode(node_death(self._bd_seq, now_ms()))) if self.was_born else None
            await self._connection.close(farewell)

    # ── what is heard ──

    def _hear(self, topic: str, data: bytes) -> None:
        try:
            if topic == self._host_topic:
                self._host.hears(HostState.decode(data))
                self._host_spoke = True
            elif topic.startswith(self._device_commands.removesuffix("+")):
                self._mail.command(topic.rpartition("/")[2], data)
            else:
                self._obey(data)
        except SparkplugError as error:
            self._log.warning("message ignored", topic=topic, why=str(error))
        self._mail.wake.set()

    def _obey(self, data: bytes) -> None:
        command = self._messages.command(data)
        self._rebirth_wanted |= command.rebirth
        if command.acknowledged is None:
            return
        epoch, watermark = command.acknowledged
        if command.sent_ms is not None:
            clock.hear(command.sent_ms)
        if epoch != self._mail.epoch or epoch != self._buffer.epoch or not self.was_born:
            if epoch < self._mail.epoch:
                self._mail.earlier[epoch] = watermark
                self._mail.settle_wanted.set()
            return
        if watermark > self._buffer.newest:
            self._log.error(
                "the host acknowledges batches that were never made; ignored", acknowledged=watermark, newest=self._buffer.newest
            )
            return
        self._mail.heard = True
        self._outbox.acknowledge(watermark, time.monotonic())
        if watermark > self._mail.watermark:
            self._mail.watermark = watermark
            self._mail.settle_wanted.set()

    async def _wait_for_host(self) -> None:
        """Until the host is online; raises HostOfflineError when it is not and may be at another server."""
        if self._host_topic is None:
            return
        patient_until, told = time.monotonic() + HOST_PATIENCE_S, False
        while not self._host.online:
            self._connection.check()
            left_s = patient_until - time.monotonic()
            if not self._server.is_only and (self._host_spoke or left_s <= 0):
                raise HostOfflineError
            if not told and left_s <= 0:
                self._log.info("waiting for the primary host", host=self._config.primary_host)
                told = True
            await self._woken(None if told else left_s)

    # ── what is sent ──

    def _begin(self) -> None:
        self._mail.open_epoch()
        self._outbox.begin(self._mail.watermark + 1, self._buffer.newest, time.monotonic())
        self._bear_all()
        self.was_born = True
        self._log.info(
            "online", broker=self._server.broker.address, bd_seq=self._bd_seq, devices=len(self._born), waiting=len(self._outbox.backlog)
        )

    async def _work(self) -> None:
        """Send what may be sent now."""
        self._connection.check()
        if self._host_topic is not None and not self._host.online:
            raise HostOfflineError
        if self._mail.epoch != self._buffer.epoch:
            self._log.warning("new epoch", epoch=self._buffer.epoch)
            self._tombstones_due = True
            self._begin()
        now = time.monotonic()
        if self._rebirth_wanted:
            if now < self._born_at + BIRTH_EVERY_S:
                return  # who asks for births understands no data until they come
            # What the host missed may be data as well as births.
            self._outbox.retry()
            self._bear_all()
        if self._outbox.overdue(now):
            self._tombstones_due = True
        self._send_live(now)
        if not self._outbox.live:
            self._bear_new()
            await self._send_backlog()
        if self._tombstones_due or self._dropped_told != self._buffer.dropped:
            await self._send_tombstones()
        self._send_heartbeat(now)

    async def _rest(self) -> None:
        """Wait until there is something to do again."""
        if self._rebirth_wanted:
            await self._woken(max(self._born_at + BIRTH_EVERY_S - time.monotonic(), 0.0))
            return
        if self._outbox.live_ready or self._outbox.next_backlog() is not None:
            await asyncio.sleep(0)
            return
        deadlines = [self._newest_told_at + self._config.heartbeat_s]
        if (deadline := self._outbox.deadline()) is not None:
            deadlines.append(deadline)
        await self._woken(max(min(deadlines) - time.monotonic(), 0.0))

    async def _woken(self, timeout_s: float | None) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self._mail.wake.wait()
        except TimeoutError:
            return False
        self._mail.wake.clear()
        return True

    def _send_live(self, now: float) -> None:
        for _ in range(LIVE_AT_ONCE):
            batch = self._outbox.next_live()
            if batch is None:
                return
            self._send_batch(batch, now, historical=False)

    async def _send_backlog(self) -> None:
        due = self._outbox.next_backlog()
        if due is None:
            self._bury(time.monotonic())
            return
        first, last, room = due
        batches = await asyncio.to_thread(self._buffer.take, first, last, min(room, BACKLOG_AT_ONCE))
        now = time.monotonic()
        for batch in batches:
            # Acknowledged or sent while the disk was read, or of a new epoch: not this one any more.
            if self._outbox.is_backlog(batch.eseq) and batch.epoch == self._mail.epoch:
                self._send_batch(batch, now, historical=True)
        # Numbers of the span that are not on disk were dropped; their tombstone says so.
        reached = batches[-1].eseq if len(batches) == min(room, BACKLOG_AT_ONCE) else last
        self._outbox.skip_to(reached)

    def _send_batch(self, batch: Batch, now: float, *, historical: bool) -> None:
        birth = self._buffer.births().get(batch.birth_id)
        if birth is None:  # acknowledged meanwhile, so its birth is forgotten
            return
        born = self._born_for(birth)
        other_serial = born.device.serial != birth.device.serial
        payload = self._messages.device_data(batch, birth, now_ms(), historical=historical, other_serial=other_serial)
        self._publish(self._topic(MessageType.DDATA, batch.device_id), payload)
        self._outbox.sent(batch.eseq, now)
        self._told_at[batch.device_id] = now

    def _born_for(self, birth: Birth) -> Birth:
        """The device's birth in this session, made now if need be, under which samples of `birth` can be sent."""
        device_id = birth.device.device_id
        if birth.alive and self._born.get(device_id, birth).birth_id != birth.birth_id:
            self._bear(birth)
        elif device_id not in self._born:
            self._bear(self._living().get(device_id, birth))
        return self._born[device_id]

    def _living(self) -> dict[str, Birth]:
        return {birth.device.device_id: birth for birth in self._buffer.births().values() if birth.alive}

    def _bear_all(self) -> None:
        """The whole birth sequence, from seq 0."""
        self._rebirth_wanted = False
        self._born.clear()
        self._seq = 0
        self._born_at = time.monotonic()
        newest = self._buffer.newest
        self._publish(
            self._topic(MessageType.NBIRTH),
            self._messages.node_birth(self._bd_seq, self._mail.epoch, newest, self._mail.watermark, now_ms()),
        )
        self._newest_told_at = self._born_at
        self._bear_new()

    def _bear_new(self) -> None:
        for device_id, birth in self._living().items():
            if device_id not in self._born or self._born[device_id].birth_id != birth.birth_id:
                self._bear(birth)

    def _bear(self, birth: Birth) -> None:
        device_id = birth.device.device_id
        if device_id in self._born and self._born[device_id].device.serial != birth.device.serial:
            self._publish(self._topic(MessageType.DDEATH, device_id), Payload(now_ms()))
        earlier = [one for one in self._buffer.births().values() if one.device.device_id == device_id and one.birth_id != birth.birth_id]
        self._publish(
            self._topic(MessageType.DBIRTH, device_id),
            self._messages.device_birth(birth, earlier, self._mail.epoch, self._buffer.newest, now_ms()),
        )
        self._born[device_id] = birth

    def _bury(self, now: float) -> None:
        """Devices that went, and were kept for their last batches, die.

        They do so as soon as nothing waits; or, for a host may never acknowledge, when none of their batches was sent for a while.
        """
        living, late = self._living(), now - self._config.ack_timeout_s / 2 if self._outbox.backlog else now
        for device_id in [device_id for device_id in self._born if device_id not in living]:
            if self._told_at.get(device_id, 0.0) <= late:
                self._publish(self._topic(MessageType.DDEATH, device_id), Payload(now_ms()))
                del self._born[device_id]

    async def _send_tombstones(self) -> None:
        self._tombstones_due = False
        self._dropped_told = self._buffer.dropped
        for tombstone in await asyncio.to_thread(self._buffer.tombstones):
            self._publish(self._topic(MessageType.NDATA), self._messages.tombstone(tombstone, now_ms()))

    def _send_heartbeat(self, now: float) -> None:
        if now >= self._newest_told_at + self._config.heartbeat_s:
            self._newest_told_at = now
            # All was sent, yet something is missing at the host: perhaps it does not know what was dropped.
            self._tombstones_due = self._outbox.idle and (self._mail.watermark < self._buffer.newest or self._buffer.mourns)
            self._publish(self._topic(MessageType.NDATA), self._messages.heartbeat(self._buffer.newest, now_ms()))

    def _publish(self, topic: str, payload: Payload) -> None:
        self._connection.publish(topic, encode(replace(payload, seq=self._seq)))
        self._seq = next_seq(self._seq)

    def _topic(self, message_type: MessageType, device_id: str | None = None) -> str:
        return str(Topic(self._config.group_id, message_type, self._config.node_id, device_id))
