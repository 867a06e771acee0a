"""The host application's session with the broker: STATE, subscriptions, messages in, commands out.

One paho client a connection: the Will's timestamp must be the one of the STATE that follows it, so a client never reconnects by itself.
paho's network thread only queues and answers; everything else runs in the event loop.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable
from uuid import uuid4

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from vigia.ingest import BrokerUnavailableError
from vigia.ingest.config import BrokerConfig
from vigia.ingest.inbox import Message
from vigia.sparkplug import SparkplugError
from vigia.sparkplug.names import NAMESPACE
from vigia.sparkplug.session import HostState
from vigia.sparkplug.topics import MessageType, StateTopic

log = structlog.get_logger()

CONNECT_TIMEOUT_S = 10.0
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
STATE_QOS = 1
_TYPES = (MessageType.NBIRTH, MessageType.NDEATH, MessageType.NDATA, MessageType.DBIRTH, MessageType.DDEATH, MessageType.DDATA)


def _filters() -> list[str]:
    return [f"{NAMESPACE}/+/{kind}/+{'/+' if kind.of_device else ''}" for kind in _TYPES]


class Host:
    """The connection that is kept while `run` runs. Messages go to `receive`, from another thread."""

    def __init__(self, config: BrokerConfig, host_id: str, receive: Callable[[Message], object]) -> None:
        self._config = config
        self._state_topic = str(StateTopic(host_id))
        self._receive = receive
        self._link: _Link | None = None
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._unwanted = asyncio.Event()
        self._sessions = 0

    async def connect(self) -> "_Link":
        """Connect now, without trying again; `run` keeps the connection. Raises BrokerUnavailableError."""
        self._sessions += 1
        link = _Link(self._config, self._state_topic, self._receive, self._sessions)
        await link.open()
        self._link = link
        log.info("broker connected", session=link.session)
        return link

    async def leave(self) -> None:
        """Say offline and disconnect, where `run` never ran."""
        if self._link is not None:
            await self._link.close()
            self._link = None

    async def run(self) -> None:
        """Connect and stay connected, with growing pauses while the broker is away, until cancelled. Leaves with STATE offline."""
        pause = FIRST_PAUSE_S
        while True:
            await self._wanted.wait()
            try:
                link = self._link or await self.connect()
            except BrokerUnavailableError as error:
                if pause == FIRST_PAUSE_S:
                    log.warning("broker away", reason=str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_S)
                continue
            pause = FIRST_PAUSE_S
            try:
                await self._until_lost(link)
            finally:
                self._link = None
                await link.close()

    async def _until_lost(self, link: "_Link") -> None:
        lost = asyncio.create_task(link.lost.wait())
        paused = asyncio.create_task(self._unwanted.wait())
        try:
            await asyncio.wait((lost, paused), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (lost, paused):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        log.warning("broker lost" if link.lost.is_set() else "broker left", session=link.session)

    def pause(self) -> None:
        """Say offline and leave the broker: the edges keep their data until `resume`."""
        self._wanted.clear()
        self._unwanted.set()

    def resume(self) -> None:
        """Come back."""
        self._unwanted.clear()
        self._wanted.set()

    def publish(self, topic: str, payload: bytes) -> None:
        """Send a command, QoS 0; lost when the broker is away."""
        link = self._link
        if link is not None:
            link.publish(topic, payload)


class _Link:
    """One connection, from CONNECT to its end."""

    def __init__(self, config: BrokerConfig, state_topic: str, receive: Callable[[Message], object], session: int) -> None:
        self._config = config
        self._state_topic = state_topic
        self._receive = receive
        self.session = session
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self.lost = asyncio.Event()
        self._timestamp = int(time.time() * 1000)
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
        client.will_set(self._state_topic, self._state(online=False), qos=STATE_QOS, retain=True)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        return client

    def _state(self, *, online: bool) -> bytes:
        return HostState(online, self._timestamp).encode()

    async def open(self) -> None:
        """Connect, subscribe, say online. Raises BrokerUnavailableError."""
        try:
            await asyncio.to_thread(self._client.connect, self._config.host, self._config.port, self._config.keepalive_s)
            self._client.loop_start()
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._ready
        except (OSError, ValueError, TimeoutError) as error:
            await self._end()
            where = f"{self._config.host}:{self._config.port}"
            message = f"no broker answers at {where} ({error or 'no answer'}); check that it runs and that --broker (VIGIA_BROKER) names it"
            raise BrokerUnavailableError(message) from None
        except BaseException:
            await self._end()
            raise

    async def close(self) -> None:
        """Say offline, as an intended end must, and disconnect."""
        self._leaving = True
        if not self.lost.is_set():
            with contextlib.suppress(ValueError, RuntimeError):
                sent = self._client.publish(self._state_topic, self._state(online=False), qos=STATE_QOS, retain=True)
                await asyncio.shield(asyncio.to_thread(sent.wait_for_publish, 1.0))
        await self._end()

    async def _end(self) -> None:
        def end() -> None:
            self._client.disconnect()
            self._client.loop_stop()

        await asyncio.shield(asyncio.to_thread(end))

    def publish(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, qos=0)

    # ── in paho's thread ──

    def _on_connect(self, client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None) -> None:
        if reason.is_failure:
            self._settle(BrokerUnavailableError(f"the broker refuses us: {reason}"))
            return
        client.subscribe([(self._state_topic, STATE_QOS), *((one, 1) for one in _filters())])

    def _on_subscribe(self, client: Client, _data: object, _mid: int, reasons: list[ReasonCode], _properties: Properties | None) -> None:
        refused = [reason for reason in reasons if reason.is_failure]
        if refused:
            self._settle(BrokerUnavailableError("the broker does not let us subscribe to Sparkplug's topics; see its access list"))
            return
        client.publish(self._state_topic, self._state(online=True), qos=STATE_QOS, retain=True)
        self._settle(None)

    def _on_message(self, client: Client, _data: object, message: MQTTMessage) -> None:
        payload = bytes(message.payload)
        if message.topic == self._state_topic:
            self._hear_state(client, payload)
        else:
            self._receive(Message(message.topic, payload, self.session))

    def _hear_state(self, client: Client, payload: bytes) -> None:
        """Someone, perhaps our own earlier Will, says that we are offline: contradict."""
        try:
            state = HostState.decode(payload)
        except SparkplugError:
            state = HostState(online=False, timestamp=0)
        if not state.online and not self._leaving:
            client.publish(self._state_topic, self._state(online=True), qos=STATE_QOS, retain=True)

    def _on_disconnect(
        self, _client: Client, _data: object, _flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._settle(BrokerUnavailableError(f"the broker ended the connection: {reason}"))
        self._loop.call_soon_threadsafe(self.lost.set)

    def _settle(self, error: BrokerUnavailableError | None) -> None:
        def settle() -> None:
            if self._ready.done():
                return
            if error is None:
                self._ready.set_result(None)
            else:
                self._ready.set_exception(error)

        self._loop.call_soon_threadsafe(settle)
