"""A TCP line that breaks when a test says so: the kernel here has no netem."""

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

LOOPBACK = "127.0.0.1"
CHUNK = 16_384
MOST_CHUNKS = 64
STOP_TIMEOUT_S = 10.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Upstream = tuple[str, int] | Path
"""Host and port, or the path of a unix socket."""


@dataclass(eq=False)
class _Line:
    """One client's connection and ours to the server. `dead`: nothing passes any more, and nobody is told."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    dead: bool = False
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def reset(self) -> None:
        for writer in (self.client, self.server):
            sock = writer.get_extra_info("socket")
            if sock is not None and sock.family != socket.AF_UNIX:
                with contextlib.suppress(OSError):  # it was closed a moment ago
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()


class FaultProxy:
    """Listens on a free port of this machine and passes everything to `upstream`, in a thread of its own.

    `accepted` holds the moments (time.monotonic) at which clients connected. The faults may be combined; each lasts until it is ended.
    """

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._lines: set[_Line] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy")
        self._whole = asyncio.Event()
        self._latency_s = 0.0
        self._bytes_per_s = 0.0
        self.accepted: list[float] = []
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(self, *_exc: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_TIMEOUT_S)
        self._loop.close()

    # ── the faults ──

    def cut(self) -> None:
        """Nothing passes, in old and in new connections; nobody is told. What was under way passes after `mend`, as TCP would repeat it."""
        self._soon(self._whole.clear)

    def mend(self) -> None:
        """End `cut`."""
        self._soon(self._whole.set)

    def half_open(self) -> None:
        """The connections that exist now never pass a byte again and are not closed; new ones work."""
        self._soon(self._kill_lines)

    def reset(self) -> None:
        """Every connection ends with a TCP reset; new ones work."""
        self._soon(self._reset_lines)

    def slow(self, latency_s: float = 0.0, bytes_per_s: float = 0.0) -> None:
        """Answers of the server come `latency_s` later; each direction of a connection takes `bytes_per_s` at most (0: any)."""
        self._latency_s, self._bytes_per_s = latency_s, bytes_per_s

    def fast(self) -> None:
        """End `slow`."""
        self.slow()

    # ── in the thread ──

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(STOP_TIMEOUT_S)

    def _soon(self, work: Callable[[], None]) -> None:
        async def do() -> None:
            work()

        self._call(do())

    async def _listen(self) -> None:
        self._whole.set()
        self._listener = await asyncio.start_server(self._serve, LOOPBACK, 0)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._listener.close()
        tasks = [task for line in self._lines for task in line.tasks]
        self._reset_lines()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # aborted transports end in the next turn

    def _kill_lines(self) -> None:
        for line in self._lines:
            line.dead = True

    def _reset_lines(self) -> None:
        for line in list(self._lines):
            line.reset()

    async def _serve(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        self.accepted.append(time.monotonic())
        try:
            if isinstance(self._upstream, Path):
                from_server, to_server = await asyncio.open_unix_connection(self._upstream)
            else:
                from_server, to_server = await asyncio.open_connection(*self._upstream)
        except OSError:
            to_client.transport.abort()
            return
        line = _Line(to_client, to_server)
        self._lines.add(line)
        line.tasks = [
            asyncio.create_task(self._pass(line, from_client, to_server, answers=False)),
            asyncio.create_task(self._pass(line, from_server, to_client, answers=True)),
        ]
        try:
            await asyncio.wait(line.tasks)
        finally:
            self._lines.discard(line)
            for writer in (to_client, to_server):
                writer.transport.abort()

    async def _pass(self, line: _Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        """One direction: read at once, write when it is due."""
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(MOST_CHUNKS)
        deliver = asyncio.create_task(self._deliver(line, waiting, writer))
        try:
            while not deliver.done():
                data = await reader.read(CHUNK)
                await waiting.put((time.monotonic() + (self._latency_s if answers else 0.0), data))
                if not data:
                    await deliver
        except OSError:
            if not line.dead:  # the other side learns of it, unless the line is dead
                writer.transport.abort()
        finally:
            deliver.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await deliver

    async def _deliver(self, line: _Line, waiting: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter) -> None:
        while True:
            due, data = await waiting.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await self._whole.wait()
            if line.dead:
                continue
            if not data:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            if self._bytes_per_s:
                await asyncio.sleep(len(data) / self._bytes_per_s)
            writer.write(data)
            await writer.drain()
