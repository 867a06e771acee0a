"""Dead letters go to the broker once more, when their cause is mended.

Only plain messages do: a Sparkplug message is numbered within a session that is over, a batch's number is explained, and its other
readings may be stored; what a gateway or a node still has it sends again by itself.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, Self
from uuid import uuid4

from paho.mqtt.client import Client, ConnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from vigia.ingest import BrokerUnavailableError
from vigia.ingest.config import BrokerConfig, Limits
from vigia.sparkplug.names import NAMESPACE
from vigia.store import dead_letters
from vigia.store.database import Database, Transaction
from vigia.store.dead_letters import DeadLetter

TIMEOUT_S: Final = 10.0
QOS: Final = 1
NO_SUBSCRIBERS: Final = 0x10
FRESH: Final = timedelta(seconds=Limits().same_letter_s)


@dataclass(frozen=True)
class Left:
    """A letter that stays where it is, and why."""

    dead_letter_id: int
    topic: str
    why: str


@dataclass
class Replayed:
    """The ids of the letters that were published and taken, and the letters that stay."""

    published: list[int] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)


@dataclass
class Rehearsed:
    """The ids of the letters that a replay would publish if somebody subscribes to their topics, and those that would stay."""

    would_publish: list[int] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)


class Publisher:
    """A connection that learns of each message whether somebody gets it, which is why it speaks MQTT 5.

    Entering connects. Raises BrokerUnavailableError when there is no broker, it does not speak MQTT 5, refuses us or falls silent.
    """

    def __init__(self, config: BrokerConfig) -> None:
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[ReasonCode] = self._loop.create_future()
        self._answers: dict[int, asyncio.Future[ReasonCode]] = {}
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"vigia-replay-{uuid4().hex[:12]}",
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        self._client.connect_timeout = TIMEOUT_S
        if config.user is not None:
            self._client.username_pw_set(config.user, config.password)
        if config.tls:
            context = ssl.create_default_context(cafile=config.ca)
            if config.cert is not None:
                context.load_cert_chain(config.cert, config.key)
            self._client.tls_set_context(context)
        self._client.on_connect = self._on_connect
        self._client.on_publish = self._on_publish

    async def __aenter__(self) -> Self:
        where = f"{self._config.host}:{self._config.port}"
        try:
            await asyncio.to_thread(self._client.connect, self._config.host, self._config.port, self._config.keepalive_s)
            self._client.loop_start()
            async with asyncio.timeout(TIMEOUT_S):
                reason = await self._ready
        except (OSError, ValueError) as error:  # TimeoutError is an OSError
            await self._close()
            message = (
                f"no broker that speaks MQTT 5 answers at {where} ({error or 'no answer'}); check that --broker (VIGIA_BROKER) names it"
            )
            raise BrokerUnavailableError(message) from None
        if reason.is_failure:
            await self._close()
            raise BrokerUnavailableError(f"the broker at {where} refuses us: {reason}")
        return self

    async def __aexit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        await self._close()

    async def _close(self) -> None:
        def end() -> None:
            self._client.disconnect()
            self._client.loop_stop()

        await asyncio.to_thread(end)

    async def publish(self, topic: str, payload: bytes) -> str | None:
        """Publish and wait until somebody is sure to get it: None, or why nobody does. Raises BrokerUnavailableError."""
        answer: asyncio.Future[ReasonCode] = self._loop.create_future()
        try:
            sent = self._client.publish(topic, payload, QOS)
        except ValueError as error:
            return f"it cannot be published ({error})"
        # The answer comes by the loop, so not before this line.
        self._answers[sent.mid] = answer
        try:
            async with asyncio.timeout(TIMEOUT_S):
                reason = await answer
        except TimeoutError:
            raise BrokerUnavailableError("the broker does not acknowledge; the letters that were not published are kept") from None
        if reason.value == NO_SUBSCRIBERS:
            return "nobody subscribes to its topic: start ingest, with the table that names it"
        return f"the broker refuses it: {reason}" if reason.is_failure else None

    # ── in paho's thread ──

    def _on_connect(self, _client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None) -> None:
        self._loop.call_soon_threadsafe(self._settle, self._ready, reason)

    def _on_publish(self, _client: Client, _data: object, mid: int, reason: ReasonCode, _properties: Properties) -> None:
        self._loop.call_soon_threadsafe(lambda: self._settle(self._answers.pop(mid), reason))

    @staticmethod
    def _settle(future: asyncio.Future[ReasonCode], reason: ReasonCode) -> None:
        if not future.done():
            future.set_result(reason)


async def replay(database: Database, publisher: Publisher, ids: Sequence[int], now: datetime) -> Replayed:
    """Publish the letters of `ids`, in their order, each on its topic, and take those that somebody gets.

    Two that run at once take each letter once. One that is killed between the broker's acknowledgement and the commit publishes that
    letter again the next time. Raises BrokerUnavailableError; what was published until then is taken.
    """
    done = Replayed()
    for dead_letter_id in ids:
        try:
            async with database.transaction() as tx:
                taken = await _publish(tx, publisher, dead_letter_id, now)
        except _StaysError as stays:
            done.left.append(stays.left)
        else:
            done.published += [dead_letter_id] if taken else []
    return done


async def rehearse(database: Database, ids: Sequence[int], now: datetime) -> Rehearsed:
    """What `replay` of `ids` would do, as far as the letters themselves tell; nothing is published and every letter stays."""
    found = Rehearsed()
    for dead_letter_id in ids:
        # Taken and given back at once: a letter that another replay is publishing right now is no longer counted.
        with contextlib.suppress(_GivenBackError):
            async with database.transaction() as tx:
                letter = await dead_letters.take(tx, dead_letter_id)
                raise _GivenBackError
        if letter is None:
            continue
        why = _unfit(letter, now)
        if why is None:
            found.would_publish.append(dead_letter_id)
        else:
            found.left.append(Left(dead_letter_id, letter.topic, why))
    return found


async def _publish(tx: Transaction, publisher: Publisher, dead_letter_id: int, now: datetime) -> bool:
    """Take the letter and publish it; False when it is gone already. Raises _StaysError."""
    letter = await dead_letters.take(tx, dead_letter_id)
    if letter is None:
        return False
    why = _unfit(letter, now) or await publisher.publish(letter.topic, letter.payload)
    if why is not None:
        raise _StaysError(Left(letter.dead_letter_id, letter.topic, why))
    return True


class _StaysError(Exception):
    """Rolls the transaction back, so that the letter stays."""

    def __init__(self, left: Left) -> None:
        super().__init__(left.why)
        self.left = left


class _GivenBackError(Exception):
    """Rolls the transaction of a rehearsal back."""


def _unfit(letter: DeadLetter, now: datetime) -> str | None:
    """Why this letter would be lost or do harm, None when it would not."""
    never = unfit_forever(letter)
    if never is not None:
        return never
    if now - letter.received_at < FRESH:
        # Ingest keeps one letter of the same message in so long: refused again, this one would be gone.
        return f"it was set aside less than {FRESH.total_seconds() / 60:.0f} minutes ago: try again later"
    return None


def unfit_forever(letter: DeadLetter) -> str | None:
    """Why this letter can never be published again, None when it can."""
    if letter.topic.split("/")[0] == NAMESPACE:
        return "a Sparkplug message belongs to its session: what was not acknowledged the gateway sends again by itself"
    if not letter.complete:
        return "only its beginning is kept"
    return None
