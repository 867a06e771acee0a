"""Edge nodes that send as fast as ingest acknowledges, or at a steady pace, over one connection to the broker.

They keep the gateway's promise: a batch stays until it is acknowledged, and is sent again when that takes too long.
"""

import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from vigia.bench import BenchError
from vigia.bench.load import DEVICE, GROUP, Batch, device_birth, node_birth, node_id
from vigia.errors import ConfigError
from vigia.ingest import BrokerUnavailableError
from vigia.ingest.config import BrokerConfig
from vigia.sparkplug import names
from vigia.sparkplug.names import NAMESPACE
from vigia.sparkplug.payload import decode
from vigia.sparkplug.session import HostState, next_seq
from vigia.sparkplug.topics import MessageType, StateTopic, Topic, parse

CONNECT_TIMEOUT_S = 10.0
ACK_TIMEOUT_S = 5.0
STALLED_S = 60.0
PATIENCE_S = 0.1
RETAINED_WAIT_S = 0.3  # a retained message comes with the subscription
MOST_ROWS_UNDERWAY = 100_000
MOST_MESSAGES_UNDERWAY = 10_000
_STATE = str(StateTopic(names.HOST_ID))


@dataclass(slots=True)
class _Underway:
    batch: Batch
    read_at: float
    sent_at: float


@dataclass
class _Edge:
    data_topic: str
    seq: int = 0
    newest: int = 0
    welcomed: bool = False
    asked: bool = False
    underway: deque[_Underway] = field(default_factory=deque)


@dataclass(frozen=True)
class Sent:
    """What `send` came to: seconds from the first message to the last acknowledgement, and from each reading to its acknowledgement."""

    seconds: float
    lags_s: list[float]
    resent: int


class Edges:
    """The edge nodes of a load. Entering connects; `birth`, then `send`. Raises BrokerUnavailableError."""

    def __init__(self, config: BrokerConfig, edges: int, points: int) -> None:
        self._config = config
        self._points = points
        self._edges = [_Edge(str(Topic(GROUP, MessageType.DDATA, node_id(i), DEVICE))) for i in range(edges)]
        self._number = {node_id(i): i for i in range(edges)}
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        self._rows = 0
        self._messages = 0
        self._resent = 0
        self._lags: list[float] = []
        self._heard_at = time.perf_counter()
        self._left = False
        self.host_online = False
        self.state_heard = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311, reconnect_on_failure=False)

    def __enter__(self) -> Self:
        client, config = self._client, self._config
        if config.user is not None:
            client.username_pw_set(config.user, config.password)
        if config.tls:
            context = ssl.create_default_context(cafile=config.ca)
            if config.cert is not None:
                context.load_cert_chain(config.cert, config.key)
            client.tls_set_context(context)
        client.on_connect = self._on_connect
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.on_message = self._on_message
        try:
            client.connect(config.host, config.port)
        except (OSError, ValueError):
            raise BrokerUnavailableError from None
        client.loop_start()
        if not self._subscribed.wait(CONNECT_TIMEOUT_S):
            self._leave()
            raise BrokerUnavailableError
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self._leave()

    def _leave(self) -> None:
        with self._changed:
            self._left = True
            self._changed.notify_all()
        self._client.disconnect()
        self._client.loop_stop()

    def expect_no_host(self) -> None:
        """Raise ConfigError when the broker already serves a host application: its data and this measurement's would mix."""
        if self.state_heard.wait(RETAINED_WAIT_S) and self.host_online:
            raise ConfigError(
                "a Vigía already works at this broker; leave --broker (VIGIA_BROKER) out, or name a broker that nothing else uses"
            )

    # ── sending: one thread ──

    def birth(self) -> None:
        """Announce every edge node and its machine, and wait until ingest knows them all."""
        for edge in range(len(self._edges)):
            self._be_born(edge)
        self._wait_while(lambda: not all(edge.welcomed for edge in self._edges))

    def send(self, batches: Iterable[Batch], messages_per_s: float | None = None) -> Sent:
        """Send all and wait for the last acknowledgement. Without a pace: as fast as what is underway leaves room.

        Raises BenchError when nothing is acknowledged for a minute.
        """
        self._lags, self._resent = [], 0
        begun = time.perf_counter()
        for number, batch in enumerate(batches):
            read_at = begun
            if messages_per_s is not None:
                read_at = begun + number / messages_per_s  # a message that is late is late from when it was due
                time.sleep(max(0.0, read_at - time.perf_counter()))
            self._wait_while(lambda: self._rows >= MOST_ROWS_UNDERWAY or self._messages >= MOST_MESSAGES_UNDERWAY)
            sent_at = time.perf_counter()
            edge = self._edges[batch.edge]
            with self._changed:
                self._rows += batch.rows
                self._messages += 1
                edge.newest = batch.eseq
                edge.underway.append(_Underway(batch, sent_at if messages_per_s is None else read_at, sent_at))
            self._publish(edge, batch)
        self._wait_while(lambda: self._messages > 0)
        return Sent(self._heard_at - begun, self._lags, self._resent)

    def _wait_while(self, unready: Callable[[], bool]) -> None:
        begun = time.perf_counter()
        while True:
            with self._changed:
                if not unready():
                    return
                if self._left:
                    raise BenchError("the measurement was interrupted")
                self._changed.wait(PATIENCE_S)
            now = time.perf_counter()
            if now - max(begun, self._heard_at) > STALLED_S:
                raise BenchError(f"ingest has acknowledged nothing for {STALLED_S:.0f} s")
            self._repair(now)

    def _repair(self, now: float) -> None:
        """Be born again where ingest asks for it, and send again what was not acknowledged in time."""
        for number, edge in enumerate(self._edges):
            with self._changed:
                waiting = list(edge.underway)
            if edge.asked:
                edge.asked = False
                self._be_born(number)
            elif not waiting or now - waiting[0].sent_at < ACK_TIMEOUT_S:
                continue
            for one in waiting:
                one.sent_at = now
                self._resent += 1
                self._publish(edge, one.batch)

    def _be_born(self, number: int) -> None:
        edge, name = self._edges[number], node_id(number)
        self._client.publish(str(Topic(GROUP, MessageType.NBIRTH, name)), node_birth(edge.newest))
        self._client.publish(str(Topic(GROUP, MessageType.DBIRTH, name, DEVICE)), device_birth(number, self._points, edge.newest))
        edge.seq = 2

    def _publish(self, edge: _Edge, batch: Batch) -> None:
        self._client.publish(edge.data_topic, batch.numbered(edge.seq))  # QoS 0, as Sparkplug wants it
        edge.seq = next_seq(edge.seq)

    # ── in paho's thread ──

    def _on_connect(self, client: Client, _data: object, _flags: ConnectFlags, _reason: ReasonCode, _properties: Properties | None) -> None:
        client.subscribe([(_STATE, 1), (f"{NAMESPACE}/{GROUP}/{MessageType.NCMD}/+", 1)])

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        if message.topic == _STATE:
            self.host_online = HostState.decode(bytes(message.payload)).online
            self.state_heard.set()
            return
        topic = parse(message.topic)
        number = self._number.get(topic.node_id) if isinstance(topic, Topic) else None
        if number is None:
            return
        payload = decode(bytes(message.payload))
        acknowledged = payload.metric(names.ACKNOWLEDGED)
        edge = self._edges[number]
        if payload.metric(names.REBIRTH) is not None:
            edge.asked = True
        if acknowledged is not None and isinstance(acknowledged.value, int):
            self._acknowledged(edge, acknowledged.value)

    def _acknowledged(self, edge: _Edge, watermark: int) -> None:
        with self._changed:
            self._heard_at = time.perf_counter()
            edge.welcomed = True
            while edge.underway and edge.underway[0].batch.eseq <= watermark:
                one = edge.underway.popleft()
                self._rows -= one.batch.rows
                self._messages -= 1
                self._lags.append(self._heard_at - one.read_at)
            self._changed.notify_all()
