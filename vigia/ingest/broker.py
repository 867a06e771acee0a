"""The host application's session with the broker: a connection for data, one for STATE, both or none.

Data is subscribed to before STATE says online, for then the edges begin to send; the end of either connection is the end of both. Both
have the Will that says offline: without the one we do not hear the edges, without the other they do not hear of us.

Several workers are one host application: they share its host id and, with a `share`, its data messages. Births, deaths and heartbeats
reach every worker, so that each can decode any edge. A worker that stops leaves STATE as it is, for the others go on; when one is killed,
its Will says offline and the others contradict at once. So with a share, STATE stays online after the last worker was stopped in order:
what edges send meanwhile is not acknowledged, and they send it again.
"""

import asyncio
from collections.abc import Sequence

import structlog

from vigia.ingest import BrokerUnavailableError
from vigia.ingest.bulk import Inlet, Subscriber
from vigia.ingest.config import BrokerConfig
from vigia.ingest.control import Control, now_ms
from vigia.ingest.packets import Will, publish
from vigia.sparkplug.names import NAMESPACE
from vigia.sparkplug.session import HostState
from vigia.sparkplug.topics import MessageType, StateTopic

log = structlog.get_logger()

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
_EVERY_WORKERS = (MessageType.NBIRTH, MessageType.NDEATH, MessageType.NDATA, MessageType.DBIRTH, MessageType.DDEATH)


def filters(share: str | None = None, topics: Sequence[str] = ()) -> list[str]:
    """What to subscribe to. DDATA and `topics`, filters of other messages, are divided among the workers that have the same `share`."""
    own = [f"{NAMESPACE}/+/{kind}/+{'/+' if kind.of_device else ''}" for kind in _EVERY_WORKERS]
    divided = [f"{NAMESPACE}/+/{MessageType.DDATA}/+/+", *topics]
    return own + (divided if share is None else [f"$share/{share}/{one}" for one in divided])


class Host:
    """The connections that are kept while `run` runs. What arrives goes to `inlet`, from another thread."""

    def __init__(self, config: BrokerConfig, host_id: str, inlet: Inlet, *, share: str | None = None, topics: Sequence[str] = ()) -> None:
        self._config = config
        self._state_topic = str(StateTopic(host_id))
        self._inlet = inlet
        self._shared = share is not None
        self._filters = filters(share, topics)
        self._link: _Link | None = None
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._unwanted = asyncio.Event()
        self._sessions = 0

    @property
    def connected(self) -> bool:
        """Whether there is a broker."""
        return self._link is not None

    async def connect(self) -> "_Link":
        """Connect now, without trying again; `run` keeps the connection. Raises BrokerUnavailableError."""
        self._sessions += 1
        link = _Link(self._config, self._state_topic, self._sessions)
        await link.open(self._filters, self._inlet)
        self._link = link
        log.info("broker connected", session=link.session)
        return link

    async def leave(self) -> None:
        """Disconnect, and unless others go on say offline before; where `run` never ran."""
        if self._link is not None:
            await self._part(self._link)
            self._link = None

    async def run(self) -> None:
        """Connect and stay connected, with growing pauses while the broker is away, until cancelled. Leaves as `leave` does."""
        pause = FIRST_PAUSE_S
        while True:
            if self._link is None:  # one that is there already is left as any other
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
                await self._part(link)

    async def _until_lost(self, link: "_Link") -> None:
        lost = asyncio.create_task(link.lost.wait())
        paused = asyncio.create_task(self._unwanted.wait())
        try:
            await asyncio.wait((lost, paused), return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost.cancel()
            paused.cancel()
        log.warning("broker lost" if link.lost.is_set() else "broker left", session=link.session)

    async def _part(self, link: "_Link") -> None:
        try:
            # A pause is said aloud even among several: a worker that still works contradicts it.
            if not self._shared or self._unwanted.is_set():
                await link.say_offline()
        finally:
            await link.close()

    def pause(self) -> None:
        """Say offline and leave the broker: the edges keep their data until `resume`."""
        self._wanted.clear()
        self._unwanted.set()

    def resume(self) -> None:
        """Come back."""
        self._unwanted.clear()
        self._wanted.set()

    def publish(self, topic: str, payload: bytes) -> None:
        """Send a command, QoS 0; lost when the broker is away. From any thread."""
        self.send(publish(topic, payload))

    def send(self, packets: bytes) -> None:
        """Send a block of ready-made PUBLISH packets, QoS 0; lost when the broker is away. From any thread."""
        link = self._link
        if link is not None:
            link.send(packets)


class _Link:
    """Both connections, from their beginning to their end."""

    def __init__(self, config: BrokerConfig, state_topic: str, session: int) -> None:
        self._config = config
        self._state_topic = state_topic
        self.session = session
        self._timestamp = 0
        self.lost = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._data: Subscriber | None = None
        self._control: Control | None = None
        self._renewal: asyncio.Task[None] | None = None

    async def open(self, topic_filters: Sequence[str], inlet: Inlet) -> None:
        """Connect, subscribe, say online. Raises BrokerUnavailableError."""

        def lost() -> None:
            self._loop.call_soon_threadsafe(self.lost.set)

        self._data = Subscriber(self._config, topic_filters, inlet, self.session, lost)
        try:
            await asyncio.to_thread(self._data.open, self._make_will)
            self._control = await self._introduce()
        except (OSError, ValueError) as error:  # TimeoutError is an OSError
            await self.close()
            where = f"{self._config.host}:{self._config.port}"
            message = f"no broker answers at {where} ({error or 'no answer'}); check that it runs and that --broker (VIGIA_BROKER) names it"
            raise BrokerUnavailableError(message) from None
        except BaseException:
            await self.close()
            raise

    def _make_will(self) -> Will:
        """Both connections' Will and our word of being online tell the same time, that of the first connection."""
        self._timestamp = now_ms()
        return Will(self._state_topic, HostState(online=False, timestamp=self._timestamp).encode())

    async def _introduce(self) -> Control:
        control = Control(self._config, self._state_topic, self.lost.set, self._overtaken, self._timestamp)
        await control.open()
        return control

    def _overtaken(self, timestamp: int) -> None:
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew(timestamp))

    async def _renew(self, timestamp: int) -> None:
        """Say online with a newer timestamp, which a newer Will must have too."""
        self._timestamp = max(now_ms(), timestamp + 1)
        try:
            newer = await self._introduce()
        except (OSError, ValueError, BrokerUnavailableError):
            self.lost.set()
            return
        older, self._control = self._control, newer
        if older is not None:
            await older.close()

    def send(self, packets: bytes) -> None:
        if self._data is not None:
            self._data.send(packets)

    async def say_offline(self) -> None:
        """Say offline where that is still possible."""
        await self._settle_renewal()
        if self._control is not None:
            await self._control.say_offline()

    async def close(self) -> None:
        """Disconnect both, saying nothing. Whoever is cancelled meanwhile still leaves no connection behind."""
        closing = asyncio.create_task(self._close())
        try:
            await asyncio.shield(closing)
        finally:
            await asyncio.wait((closing,))

    async def _close(self) -> None:
        await self._settle_renewal()
        if self._control is not None:
            await self._control.close()
        if self._data is not None:
            await asyncio.to_thread(self._data.close)

    async def _settle_renewal(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait((self._renewal,))
            self._renewal = None
