"""An MTConnect agent: probe, current and sample over HTTP from a buffer that forgets, with numbers, streams, restarts and bad manners."""

import asyncio
import contextlib
import math
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Self
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import quoteattr

START = datetime(2026, 3, 1, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)
GROUPS = {"SAMPLE": "Samples", "EVENT": "Events", "CONDITION": "Condition"}
ITEMS = {
    "avail": ("EVENT", "AVAILABILITY", ""),
    "load": ("SAMPLE", "LOAD", "PERCENT"),
    "speed": ("SAMPLE", "ROTARY_VELOCITY", "REVOLUTION/MINUTE"),
    "exec": ("EVENT", "EXECUTION", ""),
    "logic": ("CONDITION", "LOGIC_PROGRAM", ""),
}

Answer = tuple[str, bytes]
"""Content type and body."""


@dataclass
class Observed:
    """An observation: `ts` in milliseconds since 1970 UTC."""

    item: str
    sequence: int
    ts: int
    value: str
    code: str = ""


@dataclass
class Agent:
    """`instance` is its life, `size` its buffer's. `log` is the truth: all that was ever observed. `manners` may answer in its place.

    `dated` is when it observes something, by how much it did before.
    """

    instance: int = 1
    size: int = 100
    port: int = 0
    items: dict[str, tuple[str, str, str]] = field(default_factory=lambda: dict(ITEMS))
    streams: bool = True
    lengths: bool = True
    silent: bool = False
    tls: ssl.SSLContext | None = None
    manners: Callable[[str], bytes | None] = lambda _path: None
    dated: Callable[[int], int] = lambda before: START_MS + before * 10
    asked: list[str] = field(default_factory=list)
    log: list[Observed] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """A new life: numbers from 1, everything unavailable."""
        self.next = 1
        self.buffer: deque[Observed] = deque(maxlen=self.size)
        self.newest: dict[str, list[Observed]] = {}
        self.news = asyncio.Event()
        for item in self.items:
            self.observe(item, "UNAVAILABLE")

    @property
    def first(self) -> int:
        return self.buffer[0].sequence

    def observe(self, item: str, value: str, code: str = "") -> Observed:
        one = Observed(item, self.next, self.dated(len(self.log)), value, code)
        self.next += 1
        self.buffer.append(one)
        self.log.append(one)
        kept = [] if value == "Normal" and not code else [old for old in self.newest.get(item, []) if old.code != code]
        is_fault = self.items[item][0] == "CONDITION" and value in ("Fault", "Warning")
        self.newest[item] = [old for old in kept if old.value in ("Fault", "Warning")] + [one] if is_fault else [one]
        self.news.set()
        self.news = asyncio.Event()
        return one

    def restart(self, instance: int) -> None:
        self.instance = instance
        self.begin()

    async def start(self) -> None:
        self.streaming = asyncio.Event()
        self._talks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for talk in list(self._talks):
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        try:
            # Cancelled when the agent stops: that is no error of the talk's.
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                head = await reader.readuntil(b"\r\n\r\n")
                await self._answer(head.split()[1].decode(), writer)
                await writer.drain()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            self._talks.discard(task)

    async def _answer(self, path: str, writer: asyncio.StreamWriter) -> None:
        self.asked.append(path)
        if (said := self.manners(path)) is not None:
            writer.write(said)
            return
        parts = urlsplit(path)
        question = {name: int(values[0]) for name, values in parse_qs(parts.query).items()}
        if parts.path == "/sample" and "interval" in question and self.streams and self._fits(question):
            await self._stream(question, writer)
            return
        ask = {"/probe": self._probe, "/current": self._current, "/sample": self._sample}[parts.path]
        writer.write(answered(ask(question)))

    async def _stream(self, question: dict[str, int], writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=xYzZy\r\nTransfer-Encoding: chunked\r\n\r\n")
        following = question["from"]
        while True:
            news = self.news
            body = self._sample({**question, "from": following}).encode()
            following = min(following + question["count"], self.next)
            length = f"Content-length: {len(body)}\r\n".encode() if self.lengths else b""
            part = b"--xYzZy\r\nContent-type: text/xml\r\n" + length + b"\r\n" + body + b"\r\n"
            writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            await writer.drain()
            if following < self.next:
                continue
            self.streaming.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(math.inf if self.silent else question["heartbeat"] / 1000):
                    await news.wait()

    def _fits(self, question: dict[str, int]) -> bool:
        return self.first <= question.get("from", self.first) <= self.next

    def _probe(self, _question: dict[str, int]) -> str:
        items = "".join(
            f'<DataItem category="{category}" id="{item}" type="{kind}"' + (f' units="{units}"' if units else "") + "/>"
            for item, (category, kind, units) in self.items.items()
        )
        return (
            f'<MTConnectDevices xmlns="urn:mtconnect.org:MTConnectDevices:2.0">{self._header()}<Devices>'
            f'<Device id="d" name="mill" uuid="u-1"><DataItems>{items}</DataItems></Device></Devices></MTConnectDevices>'
        )

    def _current(self, question: dict[str, int]) -> str:
        if "at" not in question:
            return self._said([one for kept in self.newest.values() for one in kept], self.next)
        if not self.first <= question["at"] < self.next:
            return self._refusal("at")
        then = Agent(self.instance, 1 << 30, items=self.items)
        then.log.clear()
        for one in self.log[-(self.next - 1) :][: question["at"]]:
            again = then.observe(one.item, one.value, one.code)
            again.sequence, again.ts = one.sequence, one.ts
        return self._said([one for kept in then.newest.values() for one in kept], self.next)

    def _sample(self, question: dict[str, int]) -> str:
        if not self._fits(question):
            return self._refusal("from")
        if not 0 < question["count"] <= self.size:
            return self._refusal("count")
        chosen = [one for one in self.buffer if one.sequence >= question["from"]][: question["count"]]
        return self._said(chosen, chosen[-1].sequence + 1 if chosen else self.next)

    def _header(self, following: int | None = None) -> str:
        streams = "" if following is None else f' nextSequence="{following}" firstSequence="{self.first}" lastSequence="{self.next - 1}"'
        return f'<Header creationTime="2026-03-01T00:00:00Z" instanceId="{self.instance}" bufferSize="{self.size}"{streams}/>'

    def _refusal(self, what: str) -> str:
        return (
            f'<MTConnectError xmlns="urn:mtconnect.org:MTConnectError:2.0">{self._header()}<Errors>'
            f"<Error errorCode=\"OUT_OF_RANGE\">'{what}' is out of range</Error></Errors></MTConnectError>"
        )

    def _said(self, observations: list[Observed], following: int) -> str:
        groups = "".join(
            f"<{group}>{''.join(self._element(one) for one in observations if self.items[one.item][0] == category)}</{group}>"
            for category, group in GROUPS.items()
        )
        return (
            f'<MTConnectStreams xmlns="urn:mtconnect.org:MTConnectStreams:2.0">{self._header(following)}<Streams>'
            f'<DeviceStream name="mill" uuid="u-1"><ComponentStream component="Device" componentId="d">{groups}</ComponentStream>'
            "</DeviceStream></Streams></MTConnectStreams>"
        )

    def _element(self, one: Observed) -> str:
        category, kind, _ = self.items[one.item]
        moment = (START + timedelta(milliseconds=one.ts - START_MS)).isoformat().replace("+00:00", "Z")
        said = f"dataItemId={quoteattr(one.item)} timestamp={quoteattr(moment)} sequence={quoteattr(str(one.sequence))}"
        if category == "CONDITION":
            tag = "Unavailable" if one.value == "UNAVAILABLE" else one.value
            code = f" nativeCode={quoteattr(one.code)}" if one.code else ""
            return f"<{tag} {said} type={quoteattr(kind)}{code}/>"
        tag = "".join(word.capitalize() for word in kind.split("_"))
        return f"<{tag} {said}>{one.value}</{tag}>"


def answered(body: str | bytes, status: str = "200 OK", extra: str = "") -> bytes:
    """An HTTP answer."""
    data = body.encode() if isinstance(body, str) else body
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/xml\r\nContent-Length: {len(data)}\r\nConnection: close\r\n{extra}\r\n"
    return head.encode() + data
