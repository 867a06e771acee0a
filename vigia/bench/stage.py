"""Where ingest is measured: a temporary database with a fleet, edge nodes, and the ingest process between them."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vigia.bench import BenchError, costs, fleet, wire
from vigia.bench.edges import Edges, Sent
from vigia.bench.load import Load, readings
from vigia.ingest.config import BrokerConfig
from vigia.store import measured, migrate, telemetry, upkeep
from vigia.store.database import Caller, Database
from vigia.store.temporary import temporary_database
from vigia.supervisor.processes import Child, Supervisor, vigia_command

COPY_ROWS = 50_000  # a commit
DAY_US = 86_400_000_000
STAFF = Caller(staff=True)
Done = TypeVar("Done")
HISTORY_MS = 3_600_000  # loads without a pace say readings of the last hour


@dataclass(frozen=True)
class Servers:
    """What everything runs on. `broker_pid` is that of the embedded broker."""

    home: Path
    dsn: str
    broker: str
    broker_config: BrokerConfig
    embedded_database: bool
    broker_pid: int | None


@dataclass(frozen=True)
class Exactness:
    """Whether every reading sent is stored once. `rows_missing` and `rows_duplicated` are counted point by point.

    `dead_letters` are those beside the ones that are due for poison; fewer than none when some of those are missing.
    """

    rows_sent: int
    rows_stored: int
    rows_missing: int
    rows_duplicated: int
    times_wrong: int
    holes: int
    dead_letters: int

    @property
    def fault(self) -> str | None:
        """What is wrong; None when nothing is."""
        wrong = {name: number for name, number in asdict(self).items() if name not in ("rows_sent", "rows_stored") and number}
        if not wrong:
            return None
        said = ", ".join(f"{name.replace('_', ' ')}: {number}" for name, number in wrong.items())
        return f"of {self.rows_sent} rows sent {self.rows_stored} are stored ({said})"

    def figures(self) -> dict[str, object]:
        """For the report."""
        fault = self.fault
        return {**asdict(self), "exact": fault is None} | ({} if fault is None else {"fault": fault})


@dataclass
class Stage:
    """A database, its fleet's points (int32[edges, points]) and the edge nodes. `sent` is what they have sent so far."""

    servers: Servers
    dsn: str
    profile: str
    server: str
    database: Database
    points: NDArray[np.int32]
    edges: Edges
    sent: list[Sent] = field(default_factory=list)
    groups: dict[str, costs.Finder] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def ingest(self) -> AsyncIterator[None]:
        """Run the ingest process; the edge nodes are born in it."""
        servers = self.servers
        supervisor = Supervisor(servers.home)
        arguments = ("--home", str(servers.home), "--dsn", self.dsn, "--broker", servers.broker)
        child = Child("ingest", vigia_command("ingest", "run", *arguments))
        try:
            await supervisor.start(child, self._host_online)
            assert child.process is not None  # noqa: S101 - started
            self.groups = {
                "ingest": costs.of_process(child.process.pid),
                "server": costs.of_database(_name(self.dsn), whole_server=servers.embedded_database),
            }
            if servers.broker_pid is not None:
                self.groups["broker"] = costs.of_process(servers.broker_pid)
            await self._in_thread(self.edges.birth)
            yield
        except BenchError as error:
            words = (supervisor.log_folder / "ingest.log").read_text("utf-8", "replace").strip().splitlines()[-1:]
            raise BenchError(f"{error}; the last words of ingest: {''.join(words) or 'none'}") from None
        finally:
            await supervisor.stop()

    def _host_online(self) -> bool:
        self.edges.listen(0.0)
        return self.edges.host_online

    def before(self, load: Load) -> int:
        """From when on (milliseconds since 1970 UTC) `load` may be said, so that all that precedes a pace lies in the past."""
        return int(time.time() * 1_000) - max(HISTORY_MS, 2 * (load.end_ms - load.start_ms))

    async def send(self, load: Load, messages_per_s: float | None = None) -> Sent:
        """Send `load`; see `Edges.send`."""
        sent = await self._in_thread(lambda: self.edges.send(load, messages_per_s))
        self.sent.append(sent)
        return sent

    async def send_watched(self, load: Load, messages_per_s: float | None = None) -> tuple[Sent, costs.Costs]:
        """Send `load`, and what it cost."""
        async with costs.watching(self.groups, "ingest") as found:
            sent = await self.send(load, messages_per_s)
        return sent, found

    async def exactness(self) -> Exactness:
        """Compare what is stored with what was sent."""
        readings_of = np.zeros(self.points.shape, np.int64)
        total_ms = np.zeros(self.points.shape, np.int64)
        from_ms = self.sent[0].load.start_ms
        for sent in self.sent:
            wire.tally(wire.Content.of(sent.load), readings_of, total_ms, from_ms)
        async with self.database.transaction(STAFF) as tx:
            stored = await measured.tally(tx, telemetry.from_us(from_ms * 1_000))
            account = await measured.account(tx)
        have, have_ms = (np.zeros(int(self.points.max()) + 1, np.int64) for _ in range(2))
        have[stored.point_id], have_ms[stored.point_id] = stored.readings, stored.total_ms
        surplus = have[self.points] - readings_of
        return Exactness(
            rows_sent=int(readings_of.sum()),
            rows_stored=int(have.sum()),
            rows_missing=int(-surplus[surplus < 0].sum()),
            rows_duplicated=int(surplus[surplus > 0].sum()),
            times_wrong=int(((surplus == 0) & (have_ms[self.points] != total_ms)).sum()),
            holes=account.holes,
            dead_letters=account.dead_letters - sum(sent.letters for sent in self.sent),
        )

    async def bytes_per_row(self) -> float:
        """On the disk, with indexes."""
        async with self.database.transaction(STAFF) as tx:
            health = await upkeep.health(tx)
        return health.bytes / sum(sent.load.rows for sent in self.sent)

    async def raw_copy(self, load: Load) -> float:
        """Rows a second of nothing but COPY, of readings that lie ready and sorted."""
        shift = DAY_US * (2 + (load.end_ms - load.start_ms) * 1_000 // DAY_US)
        a_commit = max(1, COPY_ROWS // load.metrics)
        seconds = 0.0
        writer = telemetry.Writer()
        for first in range(0, load.messages, a_commit):
            some = readings(load, first, first + a_commit)
            ts = some.ts * 1_000 + shift
            quality = np.full(len(ts), telemetry.GOOD, np.int16)
            chunk = telemetry.Readings(self.points[some.edge, some.point], ts, some.value, quality).sorted()
            async with self.database.transaction(STAFF) as tx:
                await writer.make_room(tx, ts)
            writer.committed()
            begun = time.perf_counter()
            async with self.database.transaction(STAFF) as tx:
                await telemetry.copy(tx, chunk)
            seconds += time.perf_counter() - begun
        return load.rows / seconds

    async def _in_thread(self, work: Callable[[], Done]) -> Done:
        """Let the edge nodes work; they give up when we do."""
        try:
            return await asyncio.to_thread(work)
        except asyncio.CancelledError:
            self.edges.leave()
            raise


@contextlib.asynccontextmanager
async def staged(servers: Servers, load: Load) -> AsyncIterator[Stage]:
    """A stage for `load`, gone afterwards. Raises ConfigError when the broker serves a Vigía already."""
    async with temporary_database(servers.dsn) as dsn:
        profile = (await migrate.migrate(dsn)).profile
        server = (await migrate.status(dsn)).server
        async with Database(dsn, "vigia_service", max_size=1) as database:
            async with database.transaction(STAFF) as tx:
                points = await fleet.seed(tx, load)
            with Edges(servers.broker_config, load.edges, load.points) as edges:
                edges.expect_no_host()
                yield Stage(servers, dsn, profile, server, database, points, edges)


def _name(dsn: str) -> str:
    found = re.search(r"dbname=(\w+)", dsn)
    return found[1] if found else ""
