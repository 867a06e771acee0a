"""Real gateways, a real broker, a real ingest and a real database; what the machines said, beside what the database holds.

Lost, recovered, unexpected, duplicated are counted over the set of (edge, point, ts, value): lost was said and is not stored,
recovered was said while a fault lasted and is stored, unexpected is stored and was not said, duplicated is stored twice.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import paho.mqtt.client as mqtt
import psutil
import psycopg
from numpy.typing import NDArray
from paho.mqtt.enums import CallbackAPIVersion
from psycopg.conninfo import conninfo_to_dict

from vigia.edge.sources.replay.recording import READ_POINTS
from vigia.ingest.inbox import Message
from vigia.store import fleet
from vigia.store.database import Caller, Database
from vigia.store.embedded import EmbeddedPostgres

GROUP = "acme"
NODES, DEVICES, HZ = 2, 4, 10
POINTS = ("state", "cycle", *(point.name for point in READ_POINTS))
ROWS_AN_HOUR = NODES * DEVICES * len(POINTS)  # an hour of the logbook is a tick: 208 readings, 2,080 a second
START_MS = 1_767_225_600_000
SHIFT = 7  # cycles by which each device is ahead of the one before: no two say the same
LOOK_EVERY_S = 0.1
PATIENCE_S = 180.0


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s in vain: {what}"
        time.sleep(0.02)


def node_id(node: int) -> str:
    return f"node-{node}"


def device_id(node: int, device: int) -> str:
    return f"N{node}R{device}"


async def seed(dsn: str, nodes: int = NODES, devices: int = DEVICES) -> None:
    """One customer with `nodes` edge nodes of `devices` machines."""
    async with Database(dsn, "vigia_service", max_size=1) as database, database.transaction(Caller(staff=True)) as tx:
        customer = await fleet.add_customer(tx, GROUP, "Acme")
        site_id = await fleet.add_site(tx, customer, "one", "Acme One", "Europe/Madrid")
        site = fleet.Site(site_id, customer, "one", "Acme One", "Europe/Madrid")
        model = await fleet.add_asset_model(tx, "cmapss-fd001", "Turbofan", "{cycle}")
        area = await fleet.add_area(tx, customer, site_id, "Hall")
        line = await fleet.add_line(tx, customer, area, "Line 1")
        for node in range(nodes):
            edge = await fleet.add_edge_node(tx, site, GROUP, node_id(node))
            for device in range(devices):
                name = device_id(node, device)
                await fleet.add_role(tx, fleet.NewRole(customer, line, model, name, edge, name))


def query(dsn: str, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, options="-c search_path=vigia,jobs,public -c timezone=UTC") as connection:
        return connection.execute(sql).fetchall()  # type: ignore[arg-type]  # written in the tests


@dataclass
class Process:
    """A `vigia` command that runs until it is stopped or killed; what it says goes to `log`."""

    arguments: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "vigia", *self.arguments], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.alive:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
            self.kill()

    @property
    def words(self) -> str:
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    @property
    def rss(self) -> int:
        assert self.process is not None
        return int(psutil.Process(self.process.pid).memory_info().rss)

    @property
    def cpu_s(self) -> float:
        assert self.process is not None
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)


def ingest(folder: Path, dsn: str, broker: str) -> Process:
    return Process(["ingest", "run", "--dsn", dsn, "--broker", broker], folder / "ingest.log")


class Memory:
    """The largest memory of a process while this is entered."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory")
        self.most = process.rss

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(LOOK_EVERY_S):
            self.most = max(self.most, self._process.rss)


class Gateway:
    """`vigia edge run` with two nodes of four machines, and the machines: they speak ten times a second while `telling`.

    `told_at[h]` is when hour h was said (wall clock, seconds); hour 0 is nothing.
    """

    def __init__(self, folder: Path, broker: str, hours: int) -> None:
        folder.mkdir()
        self._folder, self._hours = folder, hours
        self._lock = threading.Lock()
        self._telling = threading.Event()
        self._stopped = threading.Event()
        self._clock = threading.Thread(target=self._tell, name="machines")
        self.told_at: list[float] = [0.0]
        self.process = Process(["edge", "run", "--config", str(folder / "edge.toml"), "--broker", broker], folder / "edge.log")
        self._write_recording()
        (folder / "edge.toml").write_text(self._config())
        for node in range(NODES):
            for device in range(DEVICES):
                ahead = SHIFT * (node * DEVICES + device)
                name = device_id(node, device)
                self._write({"kind": "install", "role": name, "serial": f"SN-{name}", "unit": 1, "hour": -ahead})

    def _write_recording(self) -> None:
        with (self._folder / "recording.txt").open("w") as file:
            for cycle in range(1, self._hours + SHIFT * NODES * DEVICES + 1):
                file.write(f"1 {cycle} {' '.join(repr(cycle + column / 100) for column in range(len(READ_POINTS)))}\n")

    def _config(self) -> str:
        head = '[broker]\nurl = "mqtt://127.0.0.1"\nkeepalive_s = 5\n[buffer]\nfolder = "buffers"\n'
        for node in range(NODES):
            devices = json.dumps([device_id(node, device) for device in range(DEVICES)])
            head += (
                f'[[node]]\ngroup_id = "{GROUP}"\nnode_id = "{node_id(node)}"\n[node.source]\ntype = "replay"\ncycle_s = 1\n'
                f'logbook = "logbook.jsonl"\ndata = "recording.txt"\ndevices = {devices}\n'
            )
        return head

    @property
    def hour(self) -> int:
        return len(self.told_at) - 1

    @property
    def sent(self) -> int:
        """Readings said."""
        return self.hour * ROWS_AN_HOUR

    def start(self) -> None:
        self.process.start()
        self._clock.start()

    def tell(self) -> None:
        """The machines begin to speak."""
        self._telling.set()

    def hush(self) -> None:
        """They say nothing more for now."""
        with self._lock:
            self._telling.clear()

    def stop(self) -> None:
        self._stopped.set()
        self._telling.set()
        if self._clock.is_alive():
            self._clock.join()
        self.process.stop()

    def _tell(self) -> None:
        due = time.monotonic()
        while not self._stopped.wait(max(0.0, due - time.monotonic())):
            if not self._telling.is_set():
                self._telling.wait()
                due = time.monotonic()
            with self._lock:
                if self._telling.is_set() and not self._stopped.is_set() and self.hour < self._hours:
                    self.told_at.append(time.time())
                    self._write({"kind": "clock", "hour": self.hour})
            due += 1 / HZ

    def _write(self, entry: dict[str, object]) -> None:
        with (self._folder / "logbook.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")


class Wire:
    """Publishes messages that a test has made, in their order."""

    def __init__(self, port: int) -> None:
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        self._port = port

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def send(self, messages: Iterable[Message]) -> None:
        """Returns when the broker has them."""
        for sent in [self._client.publish(message.topic, message.payload, qos=1) for message in messages]:
            sent.wait_for_publish(PATIENCE_S)


class Watch:
    """Notes, from the ledger, when each batch was first seen committed (wall clock, infinite until then), every tenth of a second."""

    def __init__(self, dsn: str, most_batches: int) -> None:
        self._dsn = dsn
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")
        self.seen = {node_id(node): np.full(most_batches + 1, np.inf) for node in range(NODES)}
        self.epochs: set[int] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            with suppress(psycopg.OperationalError), psycopg.connect(self._dsn, autocommit=True, connect_timeout=5) as connection:
                while not self._stopped.wait(LOOK_EVERY_S):
                    self._look(connection)
            self._stopped.wait(LOOK_EVERY_S)

    def _look(self, connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
        rows = connection.execute(
            "select node_id, ledger.epoch, lower(piece), upper(piece)"
            " from vigia.ledger join vigia.edge_node using (edge_node_id), unnest(eseqs) as piece"
            " where node_id = any(%s)",
            (list(self.seen),),
        ).fetchall()
        now = time.time()
        for node, epoch, first, end in rows:
            part = self.seen[node][first:end]
            part[np.isinf(part)] = now
            self.epochs.add(epoch)

    def hours(self, last: int) -> NDArray[np.float64]:
        """When each hour from 1 to `last` was stored whole."""
        numbered = [seen[1 : last * DEVICES + 1].reshape(last, DEVICES).max(axis=1) for seen in self.seen.values()]
        whole: NDArray[np.float64] = np.max(numbered, axis=0)
        return whole


@dataclass
class Account:
    """What came of a row of the fault matrix."""

    row: int
    faults: str
    sent: int
    stored: int
    lost: int
    recovered: int
    unexpected: int
    duplicated: int
    worst_gap_s: float = float("nan")
    more: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        more = "".join(f", {name} {value}" for name, value in self.more.items())
        return (
            f"row {self.row}: {self.faults}: sent {self.sent:,}, stored {self.stored:,}, lost {self.lost}, recovered {self.recovered:,}, "
            f"unexpected {self.unexpected}, duplicated {self.duplicated}, worst gap {self.worst_gap_s:.1f} s{more}"
        )

    def check(self) -> None:
        """Nothing lost, nothing unexpected, nothing twice."""
        assert (self.lost, self.unexpected, self.duplicated) == (0, 0, 0), str(self)


@dataclass
class Plant:
    """Gateway, broker (by its address), ingest and database, running; `dsn` is the way past every fault."""

    gateway: Gateway
    ingest: Process
    watch: Watch
    dsn: str
    faults: list[tuple[int, int]] = field(default_factory=list)

    @property
    def stored_hour(self) -> int:
        """Newest hour that is stored whole."""
        stored = np.flatnonzero(np.isfinite(self.watch.hours(self.gateway.hour)))
        return int(stored[-1]) + 1 if len(stored) else 0

    @contextmanager
    def fault(self) -> Iterator[None]:
        """A fault, until what is said afterwards is stored again."""
        before = self.gateway.hour
        yield
        after = self.gateway.hour + 1
        self.flows(after)
        self.faults.append((before + 1, after))

    def flows(self, hour: int) -> None:
        """Wait until something said in `hour` or later is stored."""
        wait_for(lambda: self.stored_hour >= hour, f"flow after hour {hour}; ingest: {self.ingest.words[-2000:]}")

    def back_after_s(self, moment: float) -> float:
        """Seconds from `moment` (wall clock) until something said later was stored whole."""
        told = np.array(self.gateway.told_at[1:])
        stored = self.watch.hours(len(told))
        return float(stored[told > moment].min()) - moment

    def lags_s(self, first: int, last: int) -> NDArray[np.float64]:
        """Seconds from saying to seeing stored, of the hours `first` to `last`."""
        return self.watch.hours(last)[first - 1 :] - np.array(self.gateway.told_at[first : last + 1])

    def all_stored(self, timeout_s: float = PATIENCE_S) -> None:
        """The machines fall silent; wait until all they said is in the ledger."""
        self.gateway.hush()
        last = self.gateway.hour
        self.stored_until(last, timeout_s)

    def stored_until(self, hour: int, timeout_s: float = PATIENCE_S) -> None:
        """Wait until everything up to `hour` is in the ledger."""
        wait_for(
            lambda: bool(np.isfinite(self.watch.hours(hour)).all()),
            f"hours {np.flatnonzero(np.isinf(self.watch.hours(hour)))[:5] + 1}...; ingest: {self.ingest.words[-2000:]}",
            timeout_s,
        )

    def account(self, row: int, faults: str, **more: object) -> Account:
        """Compare what the machines said with what is stored."""
        last = self.gateway.hour
        truth = self._truth(last)
        found = readings(self.dsn)
        found = found[np.isin(found["point"], truth["point"])]  # what others say is counted apart
        right = np.isin(found, truth)
        unique = np.unique(found[right])
        of_faults = np.zeros(last + 1, np.bool_)
        for first, end in self.faults:
            of_faults[first : end + 1] = True
        hour = (unique["ts"] - START_MS) // 1000
        commits = np.unique(self.watch.hours(last))
        assert len(self.watch.epochs) == NODES
        assert query(self.dsn, "select * from ledger_hole") == []
        assert query(self.dsn, "select reason, detail from dead_letter where topic ~ '/node-[01](/|$)' limit 5") == []
        return Account(
            row, faults, len(truth), len(found), len(truth) - len(unique), int(of_faults[hour].sum()), int((~right).sum()),
            len(found) - len(np.unique(found)), float(np.diff(commits).max(initial=0)), more,
        )  # fmt: skip

    def _truth(self, last: int) -> NDArray[np.void]:
        """Everything said up to hour `last`."""
        slots = query(self.dsn, "select point_id, name, serial_number from point join asset using (asset_id)")
        points = {(serial, name): point for point, name, serial in slots}
        hours = np.arange(1, last + 1)
        parts = []
        for node in range(NODES):
            for device in range(DEVICES):
                cycle = (hours + SHIFT * (node * DEVICES + device)).astype(np.float64)
                for column, name in enumerate(POINTS, start=-2):
                    value = np.ones(last) if column == -2 else cycle if column == -1 else cycle + column / 100
                    parts.append(columns(np.full(last, points[f"SN-{device_id(node, device)}", name]), START_MS + hours * 1000, value))
        return np.concatenate(parts)


READING = np.dtype([("point", np.int64), ("ts", np.int64), ("value", np.float64)])


def columns(point: NDArray[Any], ts: NDArray[Any], value: NDArray[Any]) -> NDArray[np.void]:
    """Readings as comparable records; a missing value is infinite, which no machine here says."""
    made = np.empty(len(point), READING)
    made["point"], made["ts"], made["value"] = point, ts, np.where(np.isnan(value.astype(np.float64)), np.inf, value.astype(np.float64))
    return made.view(np.dtype((np.void, READING.itemsize))).view(READING)


def readings(dsn: str) -> NDArray[np.void]:
    """Everything stored."""
    rows = query(dsn, "select point_id, (extract(epoch from ts) * 1000)::bigint, coalesce(value, 'Infinity') from telemetry")
    return np.array(rows, READING)


@contextmanager
def plant(  # noqa: PLR0913
    folder: Path, dsn: str, broker: str, *, edge_broker: str = "", ingest_dsn: str = "", hours: int
) -> Iterator[Plant]:
    """Everything runs and the first readings are stored; `edge_broker` and `ingest_dsn` may lead through a proxy."""
    gateway = Gateway(folder / "edge", edge_broker or broker, hours)
    receiver = ingest(folder, ingest_dsn or dsn, broker)
    with Watch(dsn, hours * DEVICES) as watch:
        try:
            receiver.start()
            gateway.start()
            one = Plant(gateway, receiver, watch, dsn)
            gateway.tell()
            wait_for(lambda: one.stored_hour >= 1 or not receiver.alive, f"the first flow; ingest: {receiver.words[-2000:]}")
            assert receiver.alive, receiver.words[-2000:]
            yield one
        finally:
            gateway.stop()
            receiver.kill()


class Server:
    """A database server of the test's own, which it may crash, stop and start: durable settings, its own data folder."""

    def __init__(self, home: Path, settings: dict[str, str]) -> None:
        self._home = home
        self._server = EmbeddedPostgres(home, settings)

    def __enter__(self) -> Self:
        self.start()
        self.dsn = self._server.dsn
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.stop()

    @property
    def running(self) -> bool:
        return self._server.running()

    def start(self) -> None:
        """Start it again, as a service manager would."""
        self._server.stop()
        self._server.start()

    def crash(self) -> None:
        """`-m immediate`: no checkpoint, recovery at the next start."""
        os.kill(int((self._home / "postgres/data/postmaster.pid").read_text().splitlines()[0]), signal.SIGQUIT)
        wait_for(lambda: not self.running, "the end of the database")


def socket_of(dsn: str) -> Path | tuple[str, int]:
    """Where the server of `dsn` listens."""
    parts = conninfo_to_dict(dsn)
    host, port = str(parts["host"]), int(parts.get("port") or 5432)
    return Path(host) / f".s.PGSQL.{port}" if host.startswith("/") else (host, port)


def address_in(words: str) -> str | None:
    """Where the api of this log listens."""
    found = re.search(r"address=(\S+)", words)
    return found[1] if found else None


def prepare(dsn: str, nodes: int = NODES, devices: int = DEVICES) -> None:
    asyncio.run(seed(dsn, nodes, devices))
