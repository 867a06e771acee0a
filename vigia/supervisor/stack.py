"""The whole of Vigía on this machine: database, broker, ingest, analytics, worker, api and portal.

Servers that already run are used when their addresses are given; the others are embedded, below the home folder.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx
import structlog

from vigia.concurrency import ended
from vigia.errors import ConfigError
from vigia.ingest import BrokerUnavailableError
from vigia.ingest.config import BrokerConfig
from vigia.store.embedded import EmbeddedPostgres
from vigia.store.migrate import MigrationReport, migrate
from vigia.supervisor.broker import choose_broker
from vigia.supervisor.processes import Child, HomeLock, Supervisor, vigia_command

log = structlog.get_logger()

DATABASE_CHECK_S = 0.5
READY_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class StackConfig:
    """What to run where. `dsn` and `broker` name servers that already run; None embeds one."""

    home: Path
    host: str
    port: int
    dsn: str | None = None
    broker: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    analytics_options: Sequence[str] = ()


class Stack:
    """Entering starts everything in order and waits until each part is ready; leaving stops it."""

    def __init__(self, config: StackConfig, tell: Callable[[str], None] = lambda _line: None) -> None:
        self.config = config
        self.tell = tell
        self.dsn = ""
        self.broker_url = ""
        self.broker_name = ""
        self.migration: MigrationReport | None = None
        self.api_url = f"http://{_in_url(config.host)}:{config.port}"
        self._supervisor: Supervisor | None = None
        self._postgres: EmbeddedPostgres | None = None
        self._database_watch: asyncio.Task[None] | None = None
        self._exits = contextlib.ExitStack()

    async def __aenter__(self) -> Self:
        _refuse_taken_port(self.config.host, self.config.port)
        self._exits.enter_context(HomeLock(self.config.home))
        try:
            self._supervisor = Supervisor(self.config.home)
            await self._start_database()
            await self._start_broker()
        except BaseException:
            await _to_the_end(self._stop())
            raise
        return self

    async def __aexit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        await _to_the_end(self._stop())

    async def start_services(self) -> None:
        """Start api, ingest, worker and analytics, the pages first; from then on whatever ends is started again."""
        shared = ["--home", str(self.config.home), "--dsn", self.dsn]
        address = ["--host", self.config.host, "--port", str(self.config.port)]
        await self.start(Child("api", vigia_command("api", "run", *shared, *address), self.config.environment), self._api_answers)
        await self.start(Child("ingest", vigia_command("ingest", "run", *shared, "--broker", self.broker_url), self.config.environment))
        await self.start(Child("worker", vigia_command("worker", "run", *shared), self.config.environment))
        await self.start(
            Child("analytics", vigia_command("analytics", "run", *shared, *self.config.analytics_options), self.config.environment)
        )
        self._running.watch()
        if self._postgres is not None:
            self._database_watch = asyncio.create_task(self._keep_database(self._postgres), name="database watch")

    async def start(self, child: Child, ready: Callable[[], bool] | None = None) -> None:
        """Start one more process under the same supervision."""
        await self._running.start(child, ready, READY_TIMEOUT_S)

    @property
    def _running(self) -> Supervisor:
        if self._supervisor is None:
            raise ConfigError("the stack is not started")
        return self._supervisor

    async def _start_database(self) -> None:
        if self.config.dsn is None:
            self._postgres = EmbeddedPostgres(self.config.home)
            await asyncio.to_thread(self._postgres.start)
            self.dsn = self._postgres.dsn
        else:
            self.dsn = self.config.dsn
        self.migration = await migrate(self.dsn)

    async def _start_broker(self) -> None:
        if self.config.broker is not None:
            self.broker_url, self.broker_name = self.config.broker, "the broker given"
            await asyncio.to_thread(_refuse_silent_broker, self.broker_url)
            return
        plan = choose_broker(self.config.home, _free_port(self.config.home))
        self.broker_url, self.broker_name = plan.url, plan.name
        address = urlsplit(plan.url)
        await self.start(
            Child("broker", plan.command, needed_by_others=True), lambda: _accepts(address.hostname or "127.0.0.1", address.port or 1883)
        )

    async def _keep_database(self, postgres: EmbeddedPostgres) -> None:
        """Start the embedded database again when it was killed."""
        while True:
            await asyncio.sleep(DATABASE_CHECK_S)
            if not await asyncio.to_thread(postgres.running):
                log.warning("the database ended; starting it again")
                await asyncio.to_thread(postgres.stop)
                with contextlib.suppress(Exception):  # e.g. the disk is full for a while; the next round tries again
                    await asyncio.to_thread(postgres.start)

    def _api_answers(self) -> bool:
        try:
            return httpx.get(f"{self.api_url}/ready", timeout=2.0, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    async def _stop(self) -> None:
        if self._database_watch is not None:
            await ended(self._database_watch)
        if self._supervisor is not None:
            await self._supervisor.stop()
        if self._postgres is not None:
            await asyncio.to_thread(self._postgres.stop)
        self._exits.close()


async def _to_the_end(stop: Coroutine[None, None, None]) -> None:
    """A signal that comes while all is being stopped must not leave half of it running."""
    task = asyncio.ensure_future(stop)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    task.result()
    if cancelled:
        raise asyncio.CancelledError


def _free_port(home: Path) -> int:
    """A port for the broker: the one this home had before, if it is still free."""
    remembered = home / "run" / "broker.port"
    with contextlib.suppress(OSError, ValueError), socket.socket() as probe:
        port = int(remembered.read_text())
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    remembered.write_text(str(port))
    return port


def _accepts(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False


def _refuse_silent_broker(url: str) -> None:
    """Processes wait for a broker that went away; one that never answered is a mistake in its name."""
    broker = BrokerConfig.from_url(url)
    if not _accepts(broker.host, broker.port):
        message = f"no broker answers at {broker.host}:{broker.port}; check that it runs and that --broker (VIGIA_BROKER) names it"
        raise BrokerUnavailableError(message)


def _refuse_taken_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(f"cannot listen on {host}:{port} ({error.strerror}); choose another with --port or --host") from None


def _in_url(host: str) -> str:
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - the address to call, not to bind
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
