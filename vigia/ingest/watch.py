"""How ingest is: numbers for Prometheus, and whether it lives and is ready, told in HTTP."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from vigia.domain.identities import WARNING_DAYS
from vigia.errors import ConfigError
from vigia.ingest.config import Limits, WatchConfig
from vigia.ingest.inbox import Inbox
from vigia.ingest.model_gauges import ModelGauges
from vigia.store import watched
from vigia.store.database import Database, StoreError

log = structlog.get_logger()

LAG_BUCKETS_S: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 3_600, 6 * 3_600, 24 * 3_600)
COMMIT_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
ROWS_BUCKETS: Final = (1, 10, 100, 1_000, 5_000, 10_000, 25_000, 50_000, 100_000, 200_000, 500_000)
REQUEST_TIMEOUT_S: Final = 5.0
LONGEST_REQUEST: Final = 16_384
TEXT: Final = "text/plain; charset=utf-8"
METRICS: Final = "text/plain; version=0.0.4; charset=utf-8"


class Watch:
    """What the pipeline tells, kept as metrics in a registry of its own. Every method is cheap; `received` may be called from any thread.

    `connected` says whether the broker is there.
    """

    def __init__(self, inbox: Inbox, limits: Limits, connected: Callable[[], bool]) -> None:
        self._inbox = inbox
        self._limits = limits
        self._connected = connected
        self._writer_waits = False
        self._no_answer = False
        self._moved_at = time.monotonic()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        made = self.registry
        self._rows = Counter("vigia_ingest_rows_stored", "Readings stored.", registry=made)
        self._replayed = Counter("vigia_ingest_rows_replayed", "Readings that came again and were stored already.", registry=made)
        self._messages = Counter("vigia_ingest_received_messages", "Messages taken from the broker.", registry=made)
        self._bytes = Counter(
            "vigia_ingest_received_bytes", "Bytes taken from the broker, with what is kept beside them in memory.", registry=made
        )
        self._letters = Counter("vigia_ingest_dead_letters", "Messages set aside, by reason.", ["reason"], registry=made)
        self._lag = Histogram(
            "vigia_ingest_lag_seconds", "From a commit's oldest live reading to the commit.", registry=made, buckets=LAG_BUCKETS_S
        )
        self._commit = Histogram("vigia_ingest_commit_seconds", "How long a commit took.", registry=made, buckets=COMMIT_BUCKETS_S)
        self._commit_rows = Histogram("vigia_ingest_commit_rows", "Readings stored by a commit.", registry=made, buckets=ROWS_BUCKETS)
        self._holes = Gauge("vigia_ingest_holes", "Runs of batch numbers that nothing explains, of all edges.", registry=made)
        self._missing = Gauge("vigia_ingest_missing_batches", "Batch numbers that nothing explains, of all edges.", registry=made)
        self._ending = Gauge(
            "vigia_gateway_certificates_ending", "Gateways whose certificate ends within so many days.", ["within_days"], registry=made
        )
        self._models = ModelGauges(made)
        self._show("queue_bytes", "Memory that messages take which wait to be written.", lambda: inbox.nbytes)
        self._show("queue_messages", "Messages that wait to be written.", lambda: len(inbox))
        self._show("queue_oldest_seconds", "How long the oldest of them has waited.", lambda: inbox.oldest_age_s)
        self._show("broker_connected", "1 while the broker is there.", connected)
        self._show("database_reachable", "1 while the database answers.", lambda: self.database_there)
        self._unknown()

    def _show(self, name: str, what: str, now: Callable[[], float]) -> None:
        Gauge(f"vigia_ingest_{name}", what, registry=self.registry).set_function(now)

    # ── what the pipeline tells ──

    def received(self, messages: int, nbytes: int) -> None:
        """Messages were taken from the queue."""
        self._messages.inc(messages)
        self._bytes.inc(nbytes)
        self._moved()

    def stored(self, rows: int, replayed: int, commit_s: float, lag_s: float | None) -> None:
        """A transaction of readings is committed. `lag_s` is how old its oldest live reading then was, None without one."""
        self._rows.inc(rows)
        self._replayed.inc(replayed)
        self._commit.observe(commit_s)
        if rows:
            self._commit_rows.observe(rows)
        if lag_s is not None:
            self._lag.observe(max(0.0, lag_s))  # a clock may be ahead of ours
        self._moved()

    def set_aside(self, reason: str, count: int = 1) -> None:
        """Messages became dead letters; `reason` is one of a fixed wording."""
        self._letters.labels(reason).inc(count)
        self._moved()

    def database_away(self) -> None:
        """The writer waits for the database."""
        self._writer_waits = True
        self._moved()

    def database_back(self) -> None:
        """It writes again."""
        self._writer_waits = False
        self._moved()

    def _moved(self) -> None:
        self._moved_at = time.monotonic()

    # ── what others see ──

    @property
    def database_there(self) -> bool:
        """Whether the database answers, as far as was seen."""
        return not self._writer_waits and not self._no_answer

    @property
    def hanging(self) -> bool:
        """Whether messages wait and nothing happens, although the database is there."""
        limit = self._limits.hanging_s
        return self.database_there and self._inbox.oldest_age_s > limit and time.monotonic() - self._moved_at > limit

    def answer(self, path: str) -> tuple[HTTPStatus, str, bytes]:
        """Status, type and body of what stands at `path`."""
        match path:
            case "/metrics":
                return HTTPStatus.OK, METRICS, generate_latest(self.registry)
            case "/live" if self.hanging:
                return _said(HTTPStatus.SERVICE_UNAVAILABLE, "the writer hangs")
            case "/ready" if not self.database_there:  # the cause, when the broker was left because of it
                return _said(HTTPStatus.SERVICE_UNAVAILABLE, "the database is away")
            case "/ready" if not self._connected():
                return _said(HTTPStatus.SERVICE_UNAVAILABLE, "the broker is away")
            case "/live" | "/ready":
                return _said(HTTPStatus.OK, "ok")
            case _:
                return _said(HTTPStatus.NOT_FOUND, "there are /metrics, /live and /ready")

    async def look(self, database: Database) -> None:
        """Ask the database what is missing, which certificates end and how models fit, again and again, until cancelled."""
        while True:
            try:
                async with database.transaction() as tx:
                    found = await watched.missing(tx)
                    ending = await watched.ending(tx)
                    models = await watched.models(tx)
            except StoreError as error:
                if not self._no_answer:
                    log.warning("holes not counted", reason=str(error))
                self._no_answer = True
                self._unknown()
            except Exception:  # what only watches never stops what works
                log.exception("holes not counted")
                self._unknown()
            else:
                self._no_answer = False
                self._holes.set(found.holes)
                self._missing.set(found.batches)
                for one in ending:
                    self._ending.labels(one.days).set(one.ending)
                self._models.show(models)
            await asyncio.sleep(self._limits.look_every_s)

    def _unknown(self) -> None:
        self._holes.set(math.nan)
        self._missing.set(math.nan)
        for days in WARNING_DAYS:
            self._ending.labels(days).set(math.nan)
        self._models.show([])


def _said(status: HTTPStatus, words: str) -> tuple[HTTPStatus, str, bytes]:
    return status, TEXT, f"{words}\n".encode()


@contextlib.asynccontextmanager
async def told(watch: Watch, config: WatchConfig) -> AsyncIterator[int]:
    """Tell it in HTTP while the context lasts; the port. Raises ConfigError when the address cannot be had."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Whoever asks badly, slowly or leaves early harms nobody but himself.
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                async with asyncio.timeout(REQUEST_TIMEOUT_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(_response(watch, head))
                    await writer.drain()
        finally:
            writer.close()

    try:
        server = await asyncio.start_server(serve, config.host, config.port, limit=LONGEST_REQUEST)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {config.host}:{config.port} ({error.strerror or error}); choose another with --watch-port "
            "(VIGIA_INGEST_WATCH_PORT) or --watch-host"
        ) from None
    async with server:
        port: int = server.sockets[0].getsockname()[1]
        log.info("watch told", host=config.host, port=port)
        yield port


def _response(watch: Watch, head: bytes) -> bytes:
    method, _, rest = head.partition(b" ")
    path = rest.split(b" ", 1)[0].split(b"?", 1)[0].decode("ascii", "replace")
    if method in (b"GET", b"HEAD"):
        status, kind, body = watch.answer(path)
    else:
        status, kind, body = _said(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD")
    said = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nAllow: GET, HEAD\r\nConnection: close\r\n\r\n"
    )
    return said.encode() + (b"" if method == b"HEAD" else body)
