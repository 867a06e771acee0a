"""The one queue between receiving and writing: bounded, filled by the broker's thread, emptied by the event loop."""

import asyncio
import threading
from collections import deque
from dataclasses import dataclass

from vigia.ingest.config import Limits


@dataclass(frozen=True, slots=True)
class Message:
    """What the broker delivered. `session` counts our connections to it: messages of an earlier one may have gaps before the next."""

    topic: str
    payload: bytes
    session: int


class Inbox:
    """Messages that wait to be written. `put` may be called from any thread, the rest from the event loop."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._messages: deque[Message] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._filled = asyncio.Event()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, message: Message) -> bool:
        """Queue `message`; False when there is no room and it is dropped."""
        with self._lock:
            full = len(self._messages) >= self._limits.queue_messages or self._bytes + len(message.payload) > self._limits.queue_bytes
            if full and self._messages:
                self.dropped += 1
                return False
            wake = not self._messages
            self._messages.append(message)
            self._bytes += len(message.payload)
        if wake:
            self._loop.call_soon_threadsafe(self._filled.set)
        return True

    async def wait(self, timeout_s: float) -> bool:
        """Wait until a message is there, at most `timeout_s`; whether one is."""
        if not self._messages:
            self._filled.clear()
            if not self._messages:
                try:
                    async with asyncio.timeout(timeout_s):
                        await self._filled.wait()
                except TimeoutError:
                    return bool(self._messages)
        return True

    def take(self) -> list[Message]:
        """The oldest messages, at most as many as one transaction may hold."""
        with self._lock:
            count = min(len(self._messages), self._limits.flush_messages)
            taken = [self._messages.popleft() for _ in range(count)]
            self._bytes -= sum(len(message.payload) for message in taken)
        return taken

    def clear(self) -> None:
        """Forget what waits: it was never acknowledged."""
        with self._lock:
            self._messages.clear()
            self._bytes = 0
