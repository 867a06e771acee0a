"""One connection to the broker, from CONNECT to its end: paho's network thread on one side, the event loop on the other.

A connection is never mended: its Will carries the bdSeq of this connection, so the next one is a new object.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from vigia.edge import EdgeError
from vigia.edge.config import BrokerConfig

CONNECT_TIMEOUT_S = 5.0
FAREWELL_TIMEOUT_S = 1.0
REFUSED = 0x80
# The client sends a ping after one of its keep-alives and gives up after a second one: together 1.5 of the configured one.
PAHO_KEEPALIVE_SHARE = 0.75

OnMessage = Callable[[str, bytes], None]


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes when the connection breaks. `on_use` is called, in a worker thread, right before it is handed over."""

    topic: str
    payload: bytes
    on_use: Callable[[], None]


class ConnectionLostError(EdgeError):
    """The connection to the broker is lost."""


class Connection:
    """`on_message` and `on_lost` are called in the event loop that opened the connection."""

    def __init__(self, broker: BrokerConfig, client_id: str, will: Will, on_message: OnMessage, on_lost: Callable[[], None]) -> None:
        self._broker = broker
        self._will = will
        self._on_message = on_message
        self._on_lost = on_lost
        self._ready: asyncio.Future[None] | None = None
        self._filters: list[tuple[str, int]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self.lost = False
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id, clean_session=True, protocol=mqtt.MQTTv311, reconnect_on_failure=False)
        client.will_set(will.topic, will.payload, qos=1, retain=False)
        if broker.user is not None:
            client.username_pw_set(broker.user, broker.password)
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_message = self._received
        client.on_disconnect = self._disconnected
        client.on_socket_open = self._reached
        self._client = client

    async def open(self, filters: Sequence[str]) -> None:
        """Connect and subscribe to `filters` at QoS 1. Raises ConnectionLostError with the reason, and what the Will's `on_use` raises."""
        self._loop = asyncio.get_running_loop()
        self._ready = self._loop.create_future()
        self._filters = [(topic_filter, 1) for topic_filter in filters]
        keepalive = max(2, int(self._broker.keepalive_s * PAHO_KEEPALIVE_SHARE))
        try:
            if self._broker.tls:
                ca, cert, key = (None if file is None else str(file) for file in (self._broker.ca, self._broker.cert, self._broker.key))
                self._client.tls_set(ca, cert, key)
            await asyncio.to_thread(self._client.connect, self._broker.host, self._broker.port, keepalive)
            self._client.loop_start()
            async with asyncio.timeout(2 * CONNECT_TIMEOUT_S):
                await self._ready
        except (OSError, ValueError) as error:  # TimeoutError is an OSError
            await self._stop()
            address = f"{self._broker.host}:{self._broker.port}"
            raise ConnectionLostError(f"no connection to the broker {address}: {error or 'it does not answer'}") from None
        except BaseException:
            await self._stop()
            raise

    def check(self) -> None:
        """Raises ConnectionLostError when the connection is no more."""
        if self.lost:
            raise ConnectionLostError

    def publish(self, topic: str, payload: bytes) -> None:
        """Hand a message to the connection at QoS 0. Raises ConnectionLostError when it was not taken."""
        if self.lost or self._client.publish(topic, payload, qos=0).rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise ConnectionLostError

    async def close(self, farewell: tuple[str, bytes] | None = None) -> None:
        """End the connection; with a `farewell`, publish that at QoS 1 first. Never raises."""
        if farewell is not None and not self.lost:
            info = self._client.publish(*farewell, qos=1)
            with contextlib.suppress(RuntimeError, ValueError):
                await asyncio.to_thread(info.wait_for_publish, FAREWELL_TIMEOUT_S)
        await self._stop()

    async def _stop(self) -> None:
        if self._ready is not None:
            self._ready.cancel()  # if it waits yet, nobody does: why it failed would be complained of as overlooked
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def _reached(self, _client: mqtt.Client, _data: object, sock: Any) -> None:  # noqa: ANN401 - a socket, or TLS around one
        """The broker's machine answers; CONNECT comes next. Called in the worker thread that connects."""
        with contextlib.suppress(OSError, AttributeError):
            # Small messages must not wait for the acknowledgement of earlier ones.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._will.on_use()

    # ── called in paho's network thread ──

    def _connected(self, client: mqtt.Client, _data: object, _flags: object, code: ReasonCode, _properties: object) -> None:
        if code.is_failure:
            self._tell(self._fail, str(code))
        else:
            client.subscribe(list(self._filters))

    def _subscribed(self, _client: mqtt.Client, _data: object, _mid: int, codes: list[ReasonCode], _properties: object) -> None:
        refused = any(code.value >= REFUSED for code in codes)
        self._tell(self._fail, "subscription refused") if refused else self._tell(self._succeed)

    def _received(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        self._tell(self._on_message, message.topic, bytes(message.payload))

    def _disconnected(self, _client: mqtt.Client, _data: object, _flags: object, code: ReasonCode, _properties: object) -> None:
        self._tell(self._lose, str(code))

    def _tell(self, callback: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401 - passed on as they are
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                self._loop.call_soon_threadsafe(callback, *arguments)

    # ── called in the event loop ──

    def _succeed(self) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    def _fail(self, reason: str) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(ConnectionRefusedError(reason))

    def _lose(self, reason: str) -> None:
        self._fail(reason)
        if not self.lost:
            self.lost = True
            self._on_lost()
