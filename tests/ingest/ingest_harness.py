"""An edge to speak with, a host that only writes down, and what the database must say afterwards."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
import psycopg

from vigia.ingest.config import Limits
from vigia.ingest.inbox import Inbox, Message
from vigia.ingest.packets import split
from vigia.ingest.pipeline import Pipeline
from vigia.ingest.write import Store
from vigia.sparkplug import names
from vigia.sparkplug.datatypes import DataType, Scalar
from vigia.sparkplug.payload import Metric, Payload, decode, encode
from vigia.sparkplug.session import bd_seq_metric, next_seq, node_death
from vigia.sparkplug.topics import MessageType, Topic
from vigia.store import fleet
from vigia.store.database import Caller, Database

START_MS = 1_767_225_600_000  # 2026-01-01T00:00Z
HOUR_MS = 3_600_000
POINTS = {
    "state": (DataType.INT32, "state"),
    "cycle": (DataType.INT64, "counter"),
    "T50": (DataType.DOUBLE, "measurement"),
    "Ps30": (DataType.DOUBLE, "measurement"),
}
Row = tuple[str, str, datetime, float | None]


@dataclass
class Edge:
    """A numbered edge node that builds messages; `sent` is the truth: (serial number, point, ms, value)."""

    group: str = "acme"
    node: str = "acme-one"
    epoch: int = 7
    numbered: bool = True
    session: int = 1
    bd_seq: int = 0
    seq: int = 0
    eseq: int = 0
    serials: dict[str, str] = field(default_factory=dict)
    sent: set[tuple[str, str, int, float | None]] = field(default_factory=set)

    def _message(self, kind: MessageType, metrics: Iterable[Metric], device: str | None = None, *, numbered: bool = True) -> Message:
        payload = Payload(START_MS, tuple(metrics), self.seq if numbered else None)
        if numbered:
            self.seq = next_seq(self.seq)
        return Message(str(Topic(self.group, kind, self.node, device)), encode(payload), self.session)

    def node_birth(self) -> Message:
        self.seq = 0
        own = []
        if self.numbered:
            own = [
                Metric(names.EPOCH, 900, START_MS, DataType.INT64, self.epoch),
                Metric(names.NEWEST, 901, START_MS, DataType.INT64, self.eseq),
                Metric(names.TOMBSTONE, 902, START_MS, DataType.STRING, None),
            ]
        rebirth = Metric(names.REBIRTH, timestamp=START_MS, datatype=DataType.BOOLEAN, value=False)
        return self._message(MessageType.NBIRTH, [bd_seq_metric(self.bd_seq, START_MS), rebirth, *own])

    def node_death(self, bd_seq: int | None = None) -> Message:
        payload = node_death(self.bd_seq if bd_seq is None else bd_seq, START_MS)
        return Message(str(Topic(self.group, MessageType.NDEATH, self.node)), encode(payload), self.session)

    def aliases(self, device: str) -> dict[str, int]:
        first = 10 * (sorted({"R1", "R2", device}).index(device) + 1)
        return {name: first + i for i, name in enumerate([*POINTS, names.EPOCH, names.BATCH, names.SERIAL_NUMBER])}

    def device_birth(
        self, device: str, serial: str | None, at_ms: int | None = None, repeats: Mapping[str, tuple[int, Scalar | None, int]] | None = None
    ) -> Message:
        """`repeats` are readings by point that were told before: hour, value, quality."""
        alias = self.aliases(device)
        metrics = [
            Metric(name, alias[name], at_ms or START_MS, kind, None if at_ms is None else 1, properties={"engUnit": "K", "kind": use})
            for name, (kind, use) in POINTS.items()
        ]
        for at, metric in enumerate(metrics):
            if metric.name in (repeats or {}):
                hour, value, quality = (repeats or {})[str(metric.name)]
                properties = {**metric.properties, names.QUALITY: quality}
                metrics[at] = replace(metric, timestamp=START_MS + hour * HOUR_MS, value=value, properties=properties)
        if serial is not None:
            metrics.append(Metric(names.SERIAL_NUMBER, alias[names.SERIAL_NUMBER], START_MS, DataType.STRING, serial))
            self.serials[device] = serial
        if self.numbered:
            metrics.append(Metric(names.EPOCH, alias[names.EPOCH], START_MS, DataType.INT64, self.epoch))
            metrics.append(Metric(names.BATCH, alias[names.BATCH], START_MS, DataType.INT64, self.eseq))
        return self._message(MessageType.DBIRTH, metrics, device)

    def born(self, *devices: str) -> list[Message]:
        return [self.node_birth(), *(self.device_birth(device, f"SN-{device}") for device in devices or ("R1", "R2"))]

    def data(
        self,
        device: str,
        hour: int,
        *,
        eseq: int | None = None,
        serial: str | None = None,
        historical: bool = False,
        **values: Scalar | None,
    ) -> Message:
        """One batch. The next number unless `eseq` says which; all four points unless `values` are given."""
        if eseq is None:
            self.eseq += 1
        ts = START_MS + hour * HOUR_MS
        alias = self.aliases(device)
        told = values or {"state": 1, "cycle": hour, "T50": 500.0 + hour % 7, "Ps30": 47.0 + hour % 5}
        metrics = [Metric(None, alias[name], ts, POINTS[name][0], value, historical) for name, value in told.items()]
        for name, value in told.items():
            self.sent.add((serial or self.serials[device], name, ts, None if value is None else float(value)))
        if self.numbered:
            metrics.append(Metric(None, alias[names.EPOCH], ts, DataType.INT64, self.epoch))
            metrics.append(Metric(None, alias[names.BATCH], ts, DataType.INT64, self.eseq if eseq is None else eseq))
        if serial is not None:
            metrics.append(Metric(None, alias[names.SERIAL_NUMBER], ts, DataType.STRING, serial))
        return self._message(MessageType.DDATA, metrics, device)

    def raw(self, device: str, metrics: Sequence[Metric], eseq: int | None = None) -> Message:
        """A DDATA of any metrics, numbered."""
        self.eseq += eseq is None
        alias = self.aliases(device)
        own = [
            Metric(None, alias[names.EPOCH], START_MS, DataType.INT64, self.epoch),
            Metric(None, alias[names.BATCH], START_MS, DataType.INT64, self.eseq if eseq is None else eseq),
        ]
        return self._message(MessageType.DDATA, [*metrics, *own], device)

    def heartbeat(self) -> Message:
        return self._message(MessageType.NDATA, [Metric(None, 901, START_MS, DataType.INT64, self.eseq)])

    def tombstone(self, text: str) -> Message:
        return self._message(MessageType.NDATA, [Metric(None, 902, START_MS, DataType.STRING, text)])

    def device_death(self, device: str) -> Message:
        return self._message(MessageType.DDEATH, [], device)


async def seed(dsn: str) -> None:
    """One customer, one site, two edge nodes, two roles each."""
    async with Database(dsn, "vigia_service", max_size=1) as database, database.transaction(Caller(staff=True)) as tx:
        customer = await fleet.add_customer(tx, "acme", "Acme")
        site_id = await fleet.add_site(tx, customer, "acme-one", "Acme One", "Europe/Madrid")
        site = fleet.Site(site_id, customer, "acme-one", "Acme One", "Europe/Madrid")
        model = await fleet.add_asset_model(tx, "pump", "Pump", "h")
        area = await fleet.add_area(tx, customer, site_id, "Hall")
        place = await fleet.add_line(tx, customer, area, "Line 1")
        for name in ("acme-one", "acme-two"):
            node = await fleet.add_edge_node(tx, site, "acme", name)
            for device in ("R1", "R2"):
                await fleet.add_role(tx, fleet.NewRole(customer, place, model, f"{name} {device}", node, device))


class Quiet:
    """A host that writes down what it was to publish."""

    def __init__(self) -> None:
        self.published: list[tuple[str, Payload]] = []
        self.paused = 0
        self.resumed = 0

    def publish(self, topic: str, payload: bytes) -> None:
        self.published.append((topic, decode(payload)))

    def send(self, packets: bytes) -> None:
        found = split(np.frombuffer(packets, np.uint8).copy(), len(packets))
        for topic, topic_size, payload, payload_size, *_ in found.publishes.T.tolist():
            self.publish(packets[topic : topic + topic_size].decode(), packets[payload : payload + payload_size])

    def pause(self) -> None:
        self.paused += 1

    def resume(self) -> None:
        self.resumed += 1

    @property
    def rebirths(self) -> int:
        return sum(payload.metric(names.REBIRTH) is not None for _, payload in self.published)

    @property
    def acknowledged(self) -> int | None:
        """The newest watermark told."""
        told = [payload.metric(names.ACKNOWLEDGED) for _, payload in self.published]
        values = [metric.value for metric in told if metric is not None]
        return int(values[-1]) if values and values[-1] is not None else None


class Line:
    """A pipeline without a broker: `hear` takes messages through it."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self.host = Quiet()
        self.inbox = Inbox(limits)
        self.store = Store(database)
        self.pipeline = Pipeline(self.inbox, self.host, self.store, limits)

    async def hear(self, *messages: Message) -> None:
        """All in one flush."""
        for message in messages:
            assert self.inbox.put(message)
        await self.pipeline.flush()

    async def hear_one_by_one(self, *messages: Message) -> None:
        for message in messages:
            await self.hear(message)


LIMITS = Limits(reorder_s=0.05, rebirth_pause_s=0.0, longest_rebirth_pause_s=0.0)


@asynccontextmanager
async def line(dsn: str, limits: Limits = LIMITS) -> AsyncIterator[Line]:
    async with Database(dsn, "vigia_service", max_size=2) as database:
        one = Line(database, limits)
        await one.pipeline.know()
        yield one


def query(dsn: str, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn, options="-c search_path=vigia,jobs,public -c timezone=UTC") as connection:
        return connection.execute(sql).fetchall()  # type: ignore[arg-type]


def stored(dsn: str) -> list[tuple[str, str, int, float | None]]:
    rows = query(
        dsn,
        "select a.serial_number, p.name, (extract(epoch from t.ts) * 1000)::bigint, t.value"
        " from telemetry t join point p using (point_id) join asset a using (asset_id) order by 1, 2, 3, 4",
    )
    return [(str(serial), str(name), int(ms), value) for serial, name, ms, value in rows]  # type: ignore[call-overload,misc]


def check_all_stored_once(dsn: str, *edges: Edge) -> None:
    """Nothing lost, nothing unexpected, nothing twice; no hole that nothing explains."""
    found = stored(dsn)
    assert set(found) == set().union(*(edge.sent for edge in edges))
    assert len(found) == len(set(found))
    assert query(dsn, "select * from ledger_hole") == []


def letters(dsn: str) -> list[tuple[object, ...]]:
    return query(dsn, "select reason, detail from dead_letter order by dead_letter_id")


async def until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.01)
