"""Asks an MTConnect agent over HTTP."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path
from typing import Self
from xml.etree.ElementTree import Element

import httpx

from vigia.edge import EdgeError
from vigia.edge.sources import SourceUnavailableError
from vigia.edge.sources.mtconnect.config import MTConnectConfig
from vigia.edge.sources.mtconnect.documents import OUT_OF_RANGE, AgentErrors, DocumentError, Streams, errors_of, parse, streams_of
from vigia.edge.sources.mtconnect.multipart import Parts, boundary_of


class OutOfRangeError(SourceUnavailableError):
    """The agent's buffer does not hold that number, or not any more."""


class Agent:
    """The connection. Every question raises SourceUnavailableError when the agent is away, refuses or breaks the protocol."""

    def __init__(self, config: MTConnectConfig, folder: Path) -> None:
        """Raises EdgeError when the CA's certificate cannot be read."""
        self._config = config
        self._timeout = httpx.Timeout(config.timeout_s)
        ca = None if config.ca is None else folder / config.ca
        try:
            # Believes the system's authorities when none is named.
            self._tls = ssl.create_default_context(cafile=ca) if config.url.startswith("https:") else None
        except OSError as error:
            raise EdgeError(f"{ca}: {error.strerror or error}; set ca to a certificate file (PEM)") from None

    async def __aenter__(self) -> Self:
        # Nothing is decompressed, so that no small answer becomes a large document. `verify` counts for https only.
        self._client = httpx.AsyncClient(
            timeout=self._timeout, trust_env=False, verify=self._tls or False, headers={"Accept-Encoding": "identity"}
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._client.aclose()

    async def probe(self) -> Element:
        """The document that describes the agent's devices."""
        async with self._answer("probe", {}) as answer:
            return await self._read(answer)

    async def current(self, at: int | None = None) -> Streams:
        """The newest observation of every data item; `at` the number `at` instead of now. Raises OutOfRangeError."""
        async with self._answer("current", {} if at is None else {"at": at}) as answer:
            return streams_of(await self._read(answer))

    async def sample(self, first: int, count: int) -> Streams:
        """Up to `count` observations from number `first` on. Raises OutOfRangeError."""
        async with self._answer("sample", {"from": first, "count": count}) as answer:
            return streams_of(await self._read(answer))

    async def stream(self, first: int, count: int) -> AsyncGenerator[Streams, None]:
        """What comes from number `first` on, as it happens, until the agent ends it. Raises OutOfRangeError."""
        interval_ms, heartbeat_ms = (max(1, round(seconds * 1000)) for seconds in (self._config.interval_s, self._config.heartbeat_s))
        question = {"from": first, "count": count, "interval": interval_ms, "heartbeat": heartbeat_ms}
        patience_s = max(self._config.heartbeat_s, self._config.interval_s) + self._config.timeout_s
        async with self._answer("sample", question, patience_s) as answer:
            boundary = boundary_of(answer.headers.get("Content-Type", ""))
            if boundary is None:
                yield streams_of(await self._read(answer))
                return
            parts = Parts(boundary, self._config.max_document_bytes)
            async for data in answer.aiter_raw():
                for body in parts.feed(data):
                    yield streams_of(await _parsed(body))

    @contextlib.asynccontextmanager
    async def _answer(self, request: str, question: Mapping[str, int], patience_s: float | None = None) -> AsyncIterator[httpx.Response]:
        """The answer to `request`, not yet read; what goes wrong until it is read becomes SourceUnavailableError or OutOfRangeError."""
        url = f"{self._config.url}/{request}"
        timeout = self._timeout if patience_s is None else httpx.Timeout(self._config.timeout_s, read=patience_s)
        try:
            async with self._client.stream("GET", url, params=dict(question), timeout=timeout) as answer:
                if answer.headers.get("Content-Encoding", "identity") != "identity":
                    raise SourceUnavailableError(f"the agent compresses its answer to {url}, unasked")
                yield answer
        except httpx.TimeoutException:
            raise SourceUnavailableError(f"no answer from {url} in {timeout.read:g} s") from None
        except httpx.HTTPError as error:
            raise SourceUnavailableError(f"no answer from {url}: {error or type(error).__name__}") from None
        except DocumentError as error:
            raise SourceUnavailableError(f"{url}: {error}") from None
        except _RefusedError as error:
            raise (OutOfRangeError if OUT_OF_RANGE in error.said.codes else SourceUnavailableError)(
                f"{url}: the agent refuses: {error.said.text[:200]}"
            ) from None

    async def _read(self, answer: httpx.Response) -> Element:
        """The document of the answer. Raises DocumentError, _RefusedError."""
        data = bytearray()
        async for piece in answer.aiter_raw():
            data += piece
            if len(data) > self._config.max_document_bytes:
                raise DocumentError(f"a document of more than {self._config.max_document_bytes} bytes; raise max_document_bytes")
        try:
            return await _parsed(bytes(data))
        except DocumentError:
            if answer.is_success:
                raise
            raise DocumentError(f"the answer is {answer.status_code} {answer.reason_phrase}") from None


class _RefusedError(Exception):
    def __init__(self, said: AgentErrors) -> None:
        super().__init__(said.text)
        self.said = said


async def _parsed(data: bytes) -> Element:
    """The document, parsed beside the event loop. Raises DocumentError, _RefusedError."""
    root = await asyncio.to_thread(parse, data)
    if (refused := errors_of(root)) is not None:
        raise _RefusedError(refused)
    return root
