"""A TCP line between clients and a broker that writes down what passes, in a thread of its own."""

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Self

from conformance.packets import Connect, Stream
from conformance.transcript import Ended, Event, Passed, Transcript

LOOPBACK = "127.0.0.1"
CHUNK = 65_536
TIMEOUT_S = 10.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Record:
    """Where taps, observers and plays write, from any thread, in the order in which things happen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: list[Event] = []
        self.written_at = 0.0

    def write(self, make: Callable[[float], Event]) -> None:
        """Add the event that `make` makes of the time, in ms since 1970 UTC."""
        with self._lock:
            self.written_at = time.monotonic()
            self._events.append(make(time.time() * 1000))

    @property
    def events(self) -> list[Event]:
        """All so far."""
        with self._lock:
            return list(self._events)

    def transcript(self, **facts: Any) -> Transcript:  # noqa: ANN401 - whatever a check needs
        """What was seen so far."""
        return Transcript(tuple(self.events), facts)


@dataclass(eq=False)
class _Line:
    number: int
    client: asyncio.StreamWriter
    broker: asyncio.StreamWriter
    by: str = ""
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class Tap:
    """Listens on a free port and passes everything to the broker at `port`, known as `server` in the record."""

    _numbers = count(1)

    def __init__(self, server: str, port: int, record: Record) -> None:
        self.server = server
        self.upstream = port
        self._record = record
        self._lines: set[_Line] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"tap {server}")
        self.port = 0

    @property
    def url(self) -> str:
        """Where the subject connects."""
        return f"mqtt://{LOOPBACK}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(self, *_exc: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TIMEOUT_S)
        self._loop.close()

    def cut(self) -> None:
        """End every connection as a client that was killed would: the broker sees a reset, and publishes the Wills."""
        self._call(self._cut())

    # ── in the thread ──

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(TIMEOUT_S)

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._serve, LOOPBACK, 0)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._listener.close()
        tasks = [task for line in self._lines for task in line.tasks]
        await self._cut()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # aborted transports end in the next turn

    async def _cut(self) -> None:
        for line in list(self._lines):
            line.by = line.by or "cut"
            for writer in (line.client, line.broker):
                sock = writer.get_extra_info("socket")
                if sock is not None:
                    with contextlib.suppress(OSError):  # it was closed a moment ago
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                writer.transport.abort()

    async def _serve(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            from_broker, to_broker = await asyncio.open_connection(LOOPBACK, self.upstream)
        except OSError:
            to_client.transport.abort()
            return
        line = _Line(next(self._numbers), to_client, to_broker)
        self._lines.add(line)
        asked, answered = Stream(), Stream()
        line.tasks = [
            asyncio.create_task(self._pass(line, from_client, to_broker, (asked, answered))),
            asyncio.create_task(self._pass(line, from_broker, to_client, (answered, asked))),
        ]
        try:
            await asyncio.wait(line.tasks)
        finally:
            self._lines.discard(line)
            self._record.write(lambda at: Ended(at, self.server, line.number, line.by))
            for writer in (to_client, to_broker):
                writer.transport.abort()

    async def _pass(self, line: _Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, streams: tuple[Stream, Stream]) -> None:
        """One direction: what is read is written down before it passes, so nobody can answer what is not in the record yet."""
        sent = writer is line.broker
        try:
            while data := await reader.read(CHUNK):
                for packet in streams[0].feed(data):
                    if isinstance(packet, Connect):
                        streams[1].level = packet.level
                    self._record.write(lambda at, packet=packet: Passed(at, self.server, line.number, sent, packet))  # type: ignore[misc]
                writer.write(data)
                await writer.drain()
        except OSError:
            writer.transport.abort()
        line.by = line.by or ("client" if sent else "broker")
        with contextlib.suppress(OSError, RuntimeError):
            writer.write_eof()
