"""The connection on which we say who we are: STATE, and the Will that says offline when we cannot.

One paho client a connection: the Will's timestamp must be the one of the STATE that follows it, so a client never reconnects by itself.
"""

import asyncio
import contextlib
import os
import socket
import ssl
import time
from collections.abc import Callable
from uuid import uuid4

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from vigia.ingest import BrokerUnavailableError
from vigia.ingest.config import BrokerConfig
from vigia.sparkplug import SparkplugError
from vigia.sparkplug.session import HostState

CONNECT_TIMEOUT_S = 10.0
FAREWELL_TIMEOUT_S = 1.0
_UNREAD_BYTES = 65_536
QOS = 1


def now_ms() -> int:
    """Milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


class Control:
    """`lost` and `overtaken` are called in the event loop. `timestamp` is when we came online, in milliseconds since 1970 UTC.

    While it is open, it contradicts whoever says that we are offline. The word of a later session of this host id (another worker that
    died) outweighs what this one may say: `overtaken` is then told its timestamp, and a connection with a later one has to follow.
    """

    def __init__(
        self,
        config: BrokerConfig,
        state_topic: str,
        lost: Callable[[], None],
        overtaken: Callable[[int], None],
        timestamp: int,
    ) -> None:
        self._config = config
        self._state_topic = state_topic
        self._lost = lost
        self._overtaken = overtaken
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._timestamp = timestamp
        self._leaving = False
        self._client = self._make_client()

    def _make_client(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"vigia-ingest-{uuid4().hex[:12]}",
            protocol=MQTTProtocolVersion.MQTTv311,
            clean_session=True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        if self._config.user is not None:
            client.username_pw_set(self._config.user, self._config.password)
        if self._config.tls:
            context = ssl.create_default_context(cafile=self._config.ca)
            if self._config.cert is not None:
                context.load_cert_chain(self._config.cert, self._config.key)
            client.tls_set_context(context)
        client.will_set(self._state_topic, HostState(online=False, timestamp=self._timestamp).encode(), qos=QOS, retain=True)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        return client

    async def open(self) -> None:
        """Connect and say online. Raises BrokerUnavailableError when the broker refuses us, OSError or ValueError when there is none."""
        try:
            await asyncio.to_thread(self._client.connect, self._config.host, self._config.port, self._config.keepalive_s)
            self._client.loop_start()
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._ready
        except BaseException:
            await self.close()
            raise

    async def say_offline(self) -> None:
        """Say offline, as an intended end must, and say nothing else afterwards; nothing happens when the connection is no more.

        It is said with the time at which it is: later than the Will's, for an edge ignores what is older than our last word.
        """
        self._leaving = True
        state = HostState(online=False, timestamp=max(now_ms(), self._timestamp))
        if self._client.is_connected():
            with contextlib.suppress(ValueError, RuntimeError):
                sent = self._client.publish(self._state_topic, state.encode(), qos=QOS, retain=True)
                await asyncio.shield(asyncio.to_thread(sent.wait_for_publish, FAREWELL_TIMEOUT_S))

    async def close(self) -> None:
        """Disconnect, without the Will's being published."""
        self._leaving = True
        self._ready.cancel()  # if it waits yet, nobody does: why it failed would be complained of as overlooked
        await asyncio.shield(asyncio.to_thread(self._end))

    def _end(self) -> None:
        """Let the broker close first: what it is just sending would void our DISCONNECT, and it would publish the Will.

        The client closes at once; a second descriptor keeps the line open until the broker has closed it.
        """
        connection = self._client.socket()
        line: socket.socket | None = None
        if connection is not None:
            with contextlib.suppress(OSError):  # closed meanwhile
                line = socket.socket(fileno=os.dup(connection.fileno()))
        self._client.disconnect()
        self._client.loop_stop()
        if line is not None:
            with line, contextlib.suppress(OSError):
                line.settimeout(FAREWELL_TIMEOUT_S)
                line.shutdown(socket.SHUT_WR)
                until = time.monotonic() + FAREWELL_TIMEOUT_S
                while line.recv(_UNREAD_BYTES) and time.monotonic() < until:
                    pass

    # ── in paho's thread ──

    def _on_connect(self, client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None) -> None:
        if reason.is_failure:
            self._settle(BrokerUnavailableError(f"the broker refuses us: {reason}"))
            return
        client.subscribe(self._state_topic, QOS)

    def _on_subscribe(self, client: Client, _data: object, _mid: int, reasons: list[ReasonCode], _properties: Properties | None) -> None:
        if any(reason.is_failure for reason in reasons):
            self._settle(BrokerUnavailableError("the broker does not let us subscribe to Sparkplug's topics; see its access list"))
            return
        self._say_online(client)
        self._settle(None)

    def _say_online(self, client: Client) -> None:
        client.publish(self._state_topic, HostState(online=True, timestamp=self._timestamp).encode(), qos=QOS, retain=True)

    def _on_message(self, client: Client, _data: object, message: MQTTMessage) -> None:
        """Someone, perhaps an earlier Will of ours, says that we are offline: contradict."""
        try:
            state = HostState.decode(bytes(message.payload))
        except SparkplugError:
            state = HostState(online=False, timestamp=0)
        if state.online or self._leaving:
            return
        if state.timestamp > self._timestamp:
            self._loop.call_soon_threadsafe(self._overtaken, state.timestamp)
        else:
            self._say_online(client)

    def _on_disconnect(
        self, _client: Client, _data: object, _flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._settle(BrokerUnavailableError(f"the broker ended the connection: {reason}"))
        if not self._leaving:
            self._loop.call_soon_threadsafe(self._lost)

    def _settle(self, error: BrokerUnavailableError | None) -> None:
        def settle() -> None:
            if self._ready.done():
                return
            if error is None:
                self._ready.set_result(None)
            else:
                self._ready.set_exception(error)

        self._loop.call_soon_threadsafe(settle)
