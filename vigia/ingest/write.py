"""The transactions: births and deaths as they come, and readings with the ledger range that proves them, findings, changes and letters.

Nothing in memory changes before the commit: a transaction that fails can be tried again with the same events.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np

from vigia.ingest import births as ingest_births
from vigia.ingest.events import DeviceBirth, DeviceData, DeviceDeath, Letter, NodeBirth, NodeData, NodeDeath
from vigia.ingest.heartbeat import newest_of, tombstone_of
from vigia.ingest.resolve import NO_FAULTS, Numbers, Resolved
from vigia.ingest.scoring import PointInfo, Scoring
from vigia.ingest.states import changes
from vigia.sparkplug import PayloadError
from vigia.sparkplug.session import bd_seq_of
from vigia.store import births, dead_letters, findings, ledger, telemetry
from vigia.store.changes import announce
from vigia.store.database import Database, Transaction
from vigia.store.ledger import Batch, Watermark
from vigia.store.telemetry import Readings, Writer
from vigia.workflows.jobs import defer

UNKNOWN_DEVICE = "unknown device"
UNREADABLE_TOMBSTONE = "unreadable tombstone"

SessionEvent = NodeBirth | NodeDeath | NodeData | DeviceBirth | DeviceDeath


@dataclass(frozen=True)
class Part:
    """A data message ready to be written. `letters` say what of it cannot be; `buried` that none of it can, and why."""

    event: DeviceData
    numbers: Numbers
    resolved: Resolved
    letters: tuple[Letter, ...] = ()
    buried: str | None = None

    @property
    def batch(self) -> Batch | None:
        """Its number, if it has one."""
        if self.numbers.epoch is None or self.numbers.eseq is None:
            return None
        return Batch(self.event.node.edge.edge_node_id, self.numbers.epoch, self.numbers.eseq)

    def in_the_ground(self, reason: str, letter: Letter) -> "Part":
        """The same message given up: only its letter and its number are written."""
        nothing = Resolved(concatenate([]), (), NO_FAULTS)
        return replace(self, resolved=nothing, letters=(letter,), buried=reason)


@dataclass
class Written:
    """What a commit came to: acknowledgements to send, rows stored and skipped, births that can be used from now on."""

    watermarks: list[Watermark] = field(default_factory=list)
    rows: int = 0
    replayed: int = 0
    findings: int = 0
    letters: int = 0
    tables: list[ingest_births.DeviceTable] = field(default_factory=list)


class Store:
    """Writes events to the database. One a process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._points: dict[int, PointInfo] = {}
        self._scoring = Scoring(self._points)
        self._telemetry = Writer()

    async def edge_nodes(self) -> list[births.EdgeNode]:
        """The registered edge nodes."""
        async with self._database.transaction() as tx:
            return await births.edge_nodes(tx)

    async def check(self) -> None:
        """Raises when the database does not answer."""
        async with self._database.transaction() as tx:
            await births.edge_nodes(tx)

    # ── births, deaths, heartbeats ──

    async def write_session(self, events: Sequence[SessionEvent]) -> Written:
        """Births, deaths and heartbeats in one transaction, in their order."""
        written = Written()
        edges: set[tuple[int, int]] = set()
        async with self._database.transaction() as tx:
            await ledger.lock(tx, {event.node.edge.edge_node_id for event in events})
            for event in events:
                match event:
                    case NodeBirth():
                        edges |= await _node_born(tx, event)
                    case NodeDeath():
                        await births.node_died(tx, event.node.edge.edge_node_id)
                    case NodeData():
                        edges |= await _node_said(tx, event)
                    case DeviceBirth():
                        written.tables.append(await self._device_born(tx, event))
                    case DeviceDeath():
                        await births.device_died(tx, event.node.edge.edge_node_id, event.device_id)
            written.watermarks = await ledger.watermarks(tx, edges)
            for customer_id in {event.node.edge.customer_id for event in events if not isinstance(event, NodeData)}:
                await announce(tx, "telemetry", customer_id)
        for table in written.tables:
            self._learn(table)
        return written

    async def _device_born(self, tx: Transaction, event: DeviceBirth) -> ingest_births.DeviceTable:
        edge = event.node.edge
        said = ingest_births.certificate(
            edge.edge_node_id, event.device_id, event.node.session.bd_seq or 0, event.payload, await births.fleet_now(tx, edge.edge_node_id)
        )
        try:
            device = await births.device_born(tx, said)
        except births.UnknownDeviceError:
            remedy = (
                f"no role has device {event.device_id!r} at edge node {edge.group_id}/{edge.node_id}: add the role, or correct the gateway"
            )
            await _add_letter(tx, Letter(event.message, UNKNOWN_DEVICE, remedy))
            return ingest_births.table(event.payload, said, None, UNKNOWN_DEVICE)
        return ingest_births.table(event.payload, said, device)

    @staticmethod
    def unknown(event: DeviceBirth) -> births.DeviceBirth:
        """A refused birth, of which only the aliases of the batch number matter."""
        at = datetime.fromtimestamp(0, UTC)
        return births.DeviceBirth(event.node.edge.edge_node_id, event.device_id, 0, None, at, None, [])

    async def meet(self, known: ingest_births.DeviceTable, serial_number: str, first_reading_at: datetime) -> ingest_births.DeviceTable:
        """The table of another machine that stood at the same device when it gave readings that come only now."""
        said = replace(known.certificate, serial_number=serial_number, at=first_reading_at)
        async with self._database.transaction() as tx:
            device = await births.device_known(tx, said)
        table = ingest_births.for_machine(known, device)
        self._learn(table)
        return table

    def _learn(self, table: ingest_births.DeviceTable) -> None:
        device = table.device
        if device is not None:
            for point in device.points:
                self._points[point.point_id] = PointInfo(point.point_id, point.name, point.kind, device.asset_id, device.customer_id)

    # ── readings ──

    async def write_data(self, parts: Sequence[Part]) -> Written:
        """Readings, ledger, findings, state changes and letters in one transaction. Batches already in the ledger are skipped."""
        try:
            async with self._database.transaction() as tx:
                written = await self._write_data(tx, parts)
        except BaseException:
            self._telemetry.failed()
            self._scoring.failed()
            raise
        self._telemetry.committed()
        self._scoring.committed()
        return written

    async def _write_data(self, tx: Transaction, parts: Sequence[Part]) -> Written:
        await ledger.lock(tx, {part.event.node.edge.edge_node_id for part in parts})
        batches = [part.batch for part in parts]
        seen = await ledger.accounted(tx, [batch for batch in batches if batch is not None])
        fresh: list[Part] = []
        for part, batch in zip(parts, batches, strict=True):
            if batch is None or batch not in seen:
                fresh.append(part)
                if batch is not None:
                    seen.add(batch)
        stored = [part for part in fresh if part.buried is None]
        every = concatenate([part.resolved.readings for part in stored])
        await self._record_states(tx, every)
        await self._telemetry.add(tx, every)
        found = await self._scoring.score(tx, _by_edge(stored))
        for finding in found:
            await defer(tx, "finding_to_alarm", finding_id=await findings.add(tx, finding))
        await ledger.record(tx, {part.batch: len(part.resolved.readings) for part in stored if part.batch is not None})
        letters = await self._set_aside(tx, fresh)
        await _advance(tx, stored)
        for customer_id in {part.event.node.edge.customer_id for part in stored}:
            await announce(tx, "telemetry", customer_id)
        watermarks = await ledger.watermarks(tx, {(batch.edge_node_id, batch.epoch) for batch in batches if batch is not None})
        replayed = sum(len(part.resolved.readings) for part in parts) - sum(len(part.resolved.readings) for part in fresh)
        return Written(watermarks, len(every), replayed, len(found), letters)

    async def _record_states(self, tx: Transaction, readings: Readings) -> None:
        each = np.unique(readings.point_id)
        states = np.array([one for one in each.tolist() if self._points[one].kind == "state"], np.int32)
        if not len(states):
            return
        for change in await changes(tx, readings.take(np.isin(readings.point_id, states))):
            await defer(tx, "record_state", asset_id=self._points[change.point_id].asset_id, at=change.at, state=change.state)

    async def _set_aside(self, tx: Transaction, parts: Iterable[Part]) -> int:
        letters = 0
        for part in parts:
            for letter in part.letters:
                await _add_letter(tx, letter)
                letters += 1
            if part.buried is not None and part.batch is not None:
                await ledger.bury(tx, part.batch, part.batch.eseq, part.buried)
        return letters

    async def write_letters(self, letters: Sequence[Letter]) -> None:
        """Messages of which nothing can be used."""
        async with self._database.transaction() as tx:
            for letter in letters:
                await _add_letter(tx, letter)


def concatenate(readings: Sequence[Readings]) -> Readings:
    """All readings one after the other."""
    if not readings:
        return Readings(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0), np.empty(0, np.int16))
    return Readings(
        np.concatenate([one.point_id for one in readings]),
        np.concatenate([one.ts for one in readings]),
        np.concatenate([one.value for one in readings]),
        np.concatenate([one.quality for one in readings]),
    )


def _by_edge(parts: Iterable[Part]) -> dict[int, Readings]:
    grouped: dict[int, list[Readings]] = {}
    for part in parts:
        grouped.setdefault(part.event.node.edge.edge_node_id, []).append(part.resolved.readings)
    return {edge_node_id: concatenate(readings) for edge_node_id, readings in sorted(grouped.items())}


async def _advance(tx: Transaction, parts: Sequence[Part]) -> None:
    newest: dict[int, Batch] = {}
    for part in parts:
        batch = part.batch
        if batch is not None:
            newest[batch.edge_node_id] = max(newest.get(batch.edge_node_id, batch), batch)
    for edge_node_id, readings in _by_edge(parts).items():
        last = telemetry.from_us(int(readings.ts.max())) if len(readings) else None
        await ledger.advance(tx, edge_node_id, last, newest.get(edge_node_id))


async def _node_born(tx: Transaction, event: NodeBirth) -> set[tuple[int, int]]:
    edge_node_id = event.node.edge.edge_node_id
    await births.node_born(tx, edge_node_id, bd_seq_of(event.payload))
    announced = newest_of(event.payload, {}, None)
    if announced is None:
        return set()
    await ledger.announce_newest(tx, edge_node_id, announced.epoch, announced.eseq)
    return {(edge_node_id, announced.epoch)}


async def _node_said(tx: Transaction, event: NodeData) -> set[tuple[int, int]]:
    """A heartbeat or a tombstone of a numbered node; a foreign node's own metrics belong to no machine."""
    node = event.node
    edges: set[tuple[int, int]] = set()
    announced = newest_of(event.payload, node.names, node.epoch)
    if announced is not None:
        await ledger.announce_newest(tx, node.edge.edge_node_id, announced.epoch, announced.eseq)
        edges.add((node.edge.edge_node_id, announced.epoch))
    try:
        dropped = tombstone_of(event.payload, node.names)
    except PayloadError as error:
        await dead_letters.add(
            tx, dead_letters.NewDeadLetter(f"{node.edge.group_id}/{node.edge.node_id}", UNREADABLE_TOMBSTONE, str(error), b"")
        )
        return edges
    if dropped is not None:
        batch = Batch(node.edge.edge_node_id, dropped.epoch, dropped.first)
        await ledger.bury(tx, batch, dropped.last, dropped.reason)
        edges.add((node.edge.edge_node_id, dropped.epoch))
    return edges


async def _add_letter(tx: Transaction, letter: Letter) -> None:
    await dead_letters.add(tx, dead_letters.NewDeadLetter(letter.message.topic, letter.reason, letter.detail, letter.message.payload))


def explain(faults: Counter[str]) -> str:
    """The reasons for which metrics were set aside, with how many."""
    return "; ".join(f"{count} x {reason}" for reason, count in sorted(faults.items()))
