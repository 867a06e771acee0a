"""The one queue between receiving and writing: bounded in bytes, filled by the broker's thread, emptied by the event loop.

Messages travel as they came, many in one block of bytes; only the slow path looks at one of them alone.
"""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vigia.ingest.config import Limits

_OBJECTS_BYTES = 1024  # what Python keeps beside the bytes and columns of a delivery


@dataclass(frozen=True, slots=True)
class Message:
    """What the broker delivered. `session` counts our connections to it: messages of an earlier one may have gaps before the next."""

    topic: str
    payload: bytes
    session: int


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """Messages that arrived together, in their order, all in the same session.

    data : uint8[any], what was received; between the messages' topics and payloads lies what framed them
    topic_start, topic_length, payload_start, payload_length : int64[n], positions in `data`
    """

    data: NDArray[np.uint8]
    topic_start: NDArray[np.int64]
    topic_length: NDArray[np.int64]
    payload_start: NDArray[np.int64]
    payload_length: NDArray[np.int64]
    session: int

    def __len__(self) -> int:
        return len(self.topic_start)

    @property
    def nbytes(self) -> int:
        """Memory it takes, columns and objects included."""
        return int(self.data.nbytes) + 4 * int(self.topic_start.nbytes) + _OBJECTS_BYTES

    def topic(self, index: int) -> str:
        """A message's topic; one that is no UTF-8 shows replacement characters."""
        topic = self.topic_start[index]
        return self.data[topic : topic + self.topic_length[index]].tobytes().decode("utf-8", "replace")

    def message(self, index: int) -> Message:
        """One of the messages."""
        payload = self.payload_start[index]
        return Message(self.topic(index), self.data[payload : payload + self.payload_length[index]].tobytes(), self.session)

    def messages(self) -> Iterator[Message]:
        """All of them, in their order."""
        return (self.message(index) for index in range(len(self)))


def pack(messages: Sequence[Message]) -> Delivery:
    """The `messages`, at least one and all of one session, as a delivery. Raises ValueError."""
    if len({message.session for message in messages}) != 1:
        raise ValueError("a delivery is of one session")
    pieces = [piece for message in messages for piece in (message.topic.encode("utf-8", "replace"), message.payload)]
    lengths = np.array([len(piece) for piece in pieces], np.int64)
    starts = np.cumsum(lengths) - lengths
    data = np.array(bytearray(b"".join(pieces)), np.uint8)
    topic_start, payload_start = np.ascontiguousarray(starts.reshape(-1, 2).T)
    topic_length, payload_length = np.ascontiguousarray(lengths.reshape(-1, 2).T)
    return Delivery(data, topic_start, topic_length, payload_start, payload_length, messages[0].session)


def merge(deliveries: Sequence[Delivery]) -> Delivery:
    """The messages of all, at least one and all of one session, as one delivery. Raises ValueError."""
    if len({delivery.session for delivery in deliveries}) != 1:
        raise ValueError("a delivery is of one session")
    if len(deliveries) == 1:
        return deliveries[0]
    sizes = np.array([len(delivery.data) for delivery in deliveries], np.int64)
    shift = np.repeat(np.cumsum(sizes) - sizes, [len(delivery) for delivery in deliveries])
    return Delivery(
        np.concatenate([delivery.data for delivery in deliveries]),
        np.concatenate([delivery.topic_start for delivery in deliveries]) + shift,
        np.concatenate([delivery.topic_length for delivery in deliveries]),
        np.concatenate([delivery.payload_start for delivery in deliveries]) + shift,
        np.concatenate([delivery.payload_length for delivery in deliveries]),
        deliveries[0].session,
    )


class Inbox:
    """Deliveries that wait to be written. `put` and `room` may be called from any thread, the rest from the event loop.

    Nothing is ever dropped: whoever fills it asks for `room` first and stops reading while there is none, so that the broker, and
    behind it the edges, keep what is theirs.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: deque[tuple[float, Delivery]] = deque()
        self._bytes = 0
        self._messages = 0
        self._lock = threading.Condition()
        self._loop = asyncio.get_running_loop()
        self._filled = asyncio.Event()
        self._plenty = asyncio.Event()

    def __len__(self) -> int:
        """Messages that wait."""
        return self._messages

    @property
    def nbytes(self) -> int:
        """Memory that what waits takes."""
        return self._bytes

    @property
    def oldest_age_s(self) -> float:
        """How long the oldest delivery has waited; 0.0 when none waits."""
        with self._lock:
            return time.monotonic() - self._waiting[0][0] if self._waiting else 0.0

    def room(self, timeout_s: float) -> bool:
        """Whether a delivery may be put, after waiting for that at most `timeout_s`."""
        with self._lock:
            return self._lock.wait_for(lambda: self._bytes < self._limits.queue_bytes, timeout_s)

    def put(self, arrived: Delivery | Message) -> bool:
        """Queue it, room or not: True. A single message is for tests and other small sources."""
        delivery = arrived if isinstance(arrived, Delivery) else pack([arrived])
        with self._lock:
            wake = not self._waiting
            plenty = self._bytes < self._limits.enough_bytes <= self._bytes + delivery.nbytes
            self._waiting.append((time.monotonic(), delivery))
            self._bytes += delivery.nbytes
            self._messages += len(delivery)
        if wake:
            self._loop.call_soon_threadsafe(self._filled.set)
        if plenty:
            self._loop.call_soon_threadsafe(self._plenty.set)
        return True

    async def wait(self, timeout_s: float) -> bool:
        """Wait until a delivery is there, at most `timeout_s`; whether one is."""
        if not self._waiting:
            self._filled.clear()
            if not self._waiting:
                try:
                    async with asyncio.timeout(timeout_s):
                        await self._filled.wait()
                except TimeoutError:
                    return bool(self._waiting)
        return True

    async def plenty(self, timeout_s: float) -> None:
        """Wait until enough waits for a transaction under load, at most `timeout_s`."""
        if self._bytes < self._limits.enough_bytes:
            self._plenty.clear()
            if self._bytes < self._limits.enough_bytes:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(timeout_s):
                        await self._plenty.wait()

    def take(self) -> list[Delivery]:
        """The oldest deliveries, as many as one transaction may hold; at least one if any waits."""
        taken: list[Delivery] = []
        size = 0
        with self._lock:
            while self._waiting and (not taken or size + self._waiting[0][1].nbytes <= self._limits.flush_bytes):
                _, delivery = self._waiting.popleft()
                taken.append(delivery)
                size += delivery.nbytes
                self._messages -= len(delivery)
            self._bytes -= size
            self._lock.notify_all()
        return taken

    def clear(self) -> None:
        """Forget what waits: it was never acknowledged."""
        with self._lock:
            self._waiting.clear()
            self._bytes = self._messages = 0
            self._lock.notify_all()
