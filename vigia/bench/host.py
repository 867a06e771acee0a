"""A host application that keeps nothing: it hears one edge node, counts what it says and acknowledges it."""

import threading
import time
from types import TracebackType
from typing import Self
from uuid import uuid4

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from vigia.bench import BenchError
from vigia.ingest import BrokerUnavailableError
from vigia.ingest.config import BrokerConfig
from vigia.sparkplug import names
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.payload import Metric, Payload, decode, encode
from vigia.sparkplug.session import HostState
from vigia.sparkplug.topics import MessageType, StateTopic, Topic, parse

ACKNOWLEDGE_EVERY_S = 0.05  # about as often as ingest commits
CONNECT_TIMEOUT_S = 10.0
_OWN = frozenset({names.EPOCH, names.BATCH, names.SERIAL_NUMBER})


class Host:
    """The host application of the edge node `node_id`, online while it is entered; it may be entered again.

    `samples` counts readings of batches heard for the first time, `repeats` batches heard again; `watermark` is the number up to which
    all was heard. `heard_at` tells, by the readings' time in milliseconds since 1970 UTC, when (monotonic, s) one of them was heard first.
    Entering raises BrokerUnavailableError.
    """

    def __init__(self, broker: BrokerConfig, group_id: str, node_id: str) -> None:
        self.samples = self.repeats = self.watermark = 0
        self.heard_at: dict[int, float] = {}
        self._broker = broker
        self._filter = f"{names.NAMESPACE}/{group_id}/+/{node_id}/#"
        self._command = str(Topic(group_id, MessageType.NCMD, node_id))
        self._state_topic = str(StateTopic(names.HOST_ID))
        self._names: dict[int, str] = {}
        self._epoch = self._acknowledged = 0
        self._early: set[int] = set()
        self._fault: str | None = None

    def __enter__(self) -> Self:
        self._timestamp = time.time_ns() // 1_000_000
        self._ready, self._left = threading.Event(), threading.Event()
        self._client = self._make_client()
        try:
            self._client.connect(self._broker.host, self._broker.port)
        except (OSError, ValueError) as error:
            raise BrokerUnavailableError(f"no broker answers at {self._broker.host}:{self._broker.port} ({error})") from None
        self._client.loop_start()
        if not self._ready.wait(CONNECT_TIMEOUT_S):
            self._client.loop_stop()
            raise BrokerUnavailableError
        self._say(online=True)
        self._acknowledging = threading.Thread(target=self._acknowledge, name="host")
        self._acknowledging.start()
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self._left.set()
        self._acknowledging.join()
        self._say(online=False)
        self._client.disconnect()
        self._client.loop_stop()

    def _make_client(self) -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, f"vigia-bench-{uuid4().hex[:12]}", protocol=mqtt.MQTTv311)
        if self._broker.user is not None:
            client.username_pw_set(self._broker.user, self._broker.password)
        if self._broker.tls:
            ca, cert, key = (None if file is None else str(file) for file in (self._broker.ca, self._broker.cert, self._broker.key))
            client.tls_set(ca, cert, key)
        client.will_set(self._state_topic, self._state(online=False), qos=1, retain=True)
        client.on_connect = lambda client, *_: client.subscribe(self._filter, 0)
        client.on_subscribe = lambda *_: self._ready.set()
        client.on_message = lambda _client, _data, message: self._take(message.topic, bytes(message.payload))
        return client

    def check(self) -> None:
        """Raises BenchError when something came that no gateway should say."""
        if self._fault is not None:
            raise BenchError(self._fault)

    def _say(self, *, online: bool) -> None:
        self._client.publish(self._state_topic, self._state(online=online), qos=1, retain=True).wait_for_publish(CONNECT_TIMEOUT_S)

    def _state(self, *, online: bool) -> bytes:
        return HostState(online, self._timestamp).encode()

    def _take(self, topic: str, data: bytes) -> None:
        try:
            where = parse(topic)
            if isinstance(where, Topic) and where.message_type is not MessageType.NCMD:
                self._hear(where.message_type, decode(data))
        except Exception as error:  # noqa: BLE001 - told by `check` to whoever measures
            self._fault = f"{topic}: {error!r}"

    def _hear(self, message_type: MessageType, payload: Payload) -> None:
        if message_type in (MessageType.NBIRTH, MessageType.DBIRTH):
            self._names |= {one.alias: one.name for one in payload.metrics if one.alias is not None and one.name in _OWN}
        if message_type is not MessageType.DDATA:
            return
        own = {self._names[one.alias]: one.value for one in payload.metrics if one.alias in self._names}
        epoch, number = own[names.EPOCH], own[names.BATCH]
        if not isinstance(epoch, int) or not isinstance(number, int):
            raise BenchError(f"a batch is numbered {epoch!r}, {number!r}")
        self._epoch = epoch
        if number <= self.watermark or number in self._early:
            self.repeats += 1
            return
        self.samples += len(payload.metrics) - len(own)
        self.heard_at.setdefault(payload.metrics[0].timestamp or 0, time.monotonic())
        self._early.add(number)
        while self.watermark + 1 in self._early:
            self._early.remove(self.watermark + 1)
            self.watermark += 1

    def _acknowledge(self) -> None:
        while not self._left.wait(ACKNOWLEDGE_EVERY_S):
            if self._acknowledged == self.watermark:
                continue
            self._acknowledged = self.watermark
            told = (
                Metric(names.EPOCH, datatype=DataType.INT64, value=self._epoch),
                Metric(names.ACKNOWLEDGED, datatype=DataType.INT64, value=self._acknowledged),
            )
            self._client.publish(self._command, encode(Payload(time.time_ns() // 1_000_000, told)), qos=0)
