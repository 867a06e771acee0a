"""The transactions: births and deaths as they come, and readings with the ledger range that proves them, findings, changes and letters.

Nothing in memory changes before the commit: a transaction that fails can be tried again with the same events.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from vigia.ingest import births as ingest_births
from vigia.ingest.blocks import Block, Numbers
from vigia.ingest.events import DeviceBirth, DeviceDeath, Letter, NodeBirth, NodeData, NodeDeath, StaleNodeDeath
from vigia.ingest.heartbeat import newest_of, tombstone_of
from vigia.ingest.points import PointInfo, Points
from vigia.ingest.scoring import Scoring, Senders
from vigia.ingest.states import changes
from vigia.ingest.writable import writable
from vigia.sparkplug import PayloadError
from vigia.sparkplug.columns import NONE
from vigia.sparkplug.names import AGENT_VERSION, CONFIGURATION
from vigia.sparkplug.session import bd_seq_of
from vigia.store import audit, births, dead_letters, findings, ledger
from vigia.store.audit import Action
from vigia.store.changes import announce
from vigia.store.database import Database, Transaction
from vigia.store.dead_letters import NewDeadLetter
from vigia.store.findings import NewFinding
from vigia.store.ledger import Batch, Watermark
from vigia.store.telemetry import Readings, Writer
from vigia.workflows import end_command
from vigia.workflows.jobs import defer

UNKNOWN_DEVICE = "unknown device"
FOREIGN_MACHINE = "machine of another customer"
FOREIGN_REMEDY = (
    "the machine that it names stands at another customer: record that it was removed there, or correct its serial number in the gateway"
)
UNREADABLE_TOMBSTONE = "unreadable tombstone"

LONGEST_ABOUT = 200  # characters
MOST_SKEW_MS = 100 * 365 * 86_400_000  # a clock that is wrong by a century tells nothing

SessionEvent = NodeBirth | NodeDeath | StaleNodeDeath | NodeData | DeviceBirth | DeviceDeath


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
        self._points = Points()
        self._customer_of: dict[int, int] = {}
        self._scoring = Scoring(self._points)
        self._telemetry = Writer()

    async def edge_nodes(self) -> list[births.EdgeNode]:
        """The registered edge nodes."""
        async with self._database.transaction() as tx:
            edges = await births.edge_nodes(tx)
        self._customer_of = {edge.edge_node_id: edge.customer_id for edge in edges}
        return edges

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
                    case StaleNodeDeath():
                        await _refuse_death(tx, event)
                    case NodeData():
                        edges |= await _node_said(tx, event)
                    case DeviceBirth():
                        written.tables.append(await self._device_born(tx, event))
                    case DeviceDeath():
                        await births.device_died(tx, event.node.edge.edge_node_id, event.device_id, event.at)
            written.watermarks = await ledger.watermarks(tx, edges)
            for customer_id in {event.node.edge.customer_id for event in events if not isinstance(event, NodeData | StaleNodeDeath)}:
                await announce(tx, "telemetry", customer_id)
        for table in written.tables:
            self._learn(table)
        return written

    async def _device_born(self, tx: Transaction, event: DeviceBirth) -> ingest_births.DeviceTable:
        edge = event.node.edge
        said = ingest_births.certificate(
            edge.edge_node_id, event.device_id, event.node.session.bd_seq or 0, event.payload, await births.fleet_now(tx, edge.edge_node_id)
        )
        said = replace(said, writable=writable(event.payload))
        try:
            device = await births.device_born(tx, said)
        except births.UnknownDeviceError:
            remedy = (
                f"no role has device {event.device_id!r} at edge node {edge.group_id}/{edge.node_id}: add the role, or correct the gateway"
            )
            await _add_letters(tx, [Letter(event.message, UNKNOWN_DEVICE, remedy)])
            return ingest_births.table(event.payload, said, None, UNKNOWN_DEVICE)
        except births.ForeignMachineError:
            await _refuse_machine(tx, edge, event.device_id, said.serial_number)
            await _add_letters(tx, [Letter(event.message, FOREIGN_MACHINE, FOREIGN_REMEDY)])
            return ingest_births.table(event.payload, said, None, FOREIGN_MACHINE)
        return ingest_births.table(event.payload, said, device)

    @staticmethod
    def unknown(event: DeviceBirth) -> births.DeviceBirth:
        """A refused birth, of which only the aliases of the batch number matter."""
        at = datetime.fromtimestamp(0, UTC)
        return births.DeviceBirth(event.node.edge.edge_node_id, event.device_id, 0, None, at, None, [])

    async def meet(
        self, edge: births.EdgeNode, known: ingest_births.DeviceTable, serial_number: str, first_reading_at: datetime
    ) -> ingest_births.DeviceTable:
        """The table of another machine that stood at the same device when it gave readings that come only now.

        One that stands at another customer is refused: its table has no device.
        """
        said = replace(known.certificate, serial_number=serial_number, at=first_reading_at)
        async with self._database.transaction() as tx:
            try:
                device = await births.device_known(tx, said)
            except births.ForeignMachineError:
                await _refuse_machine(tx, edge, said.device_id, serial_number)
                return replace(known, device=None, refusal=FOREIGN_MACHINE)
        table = ingest_births.for_machine(known, device)
        self._learn(table)
        return table

    def _learn(self, table: ingest_births.DeviceTable) -> None:
        device = table.device
        if device is not None:
            self._points.learn(
                PointInfo(point.point_id, point.name, point.kind, device.asset_id, device.customer_id, point.low, point.high)
                for point in device.points
            )

    # ── readings ──

    async def write_data(self, block: Block) -> Written:
        """Readings, ledger, findings, state changes, results of commands and letters in one transaction.

        Batches already in the ledger are skipped.
        """
        try:
            async with self._database.transaction() as tx:
                written = await self._write_data(tx, block)
        except BaseException:
            self._telemetry.failed()
            self._scoring.failed()
            raise
        self._telemetry.committed()
        self._scoring.committed()
        return written

    async def _write_data(self, tx: Transaction, block: Block) -> Written:
        numbers = Numbers(block)
        edges = np.unique(block.edge_node_id)
        await ledger.lock(tx, edges)
        numbers.without(await ledger.known(tx, numbers.ranges()))
        stored = numbers.fresh.copy()
        stored[list(block.buried)] = False
        readings = block.of(stored)
        ordered = readings.sorted()
        await self._record_states(tx, ordered)
        await self._telemetry.add_sorted(tx, ordered)
        senders = Senders(readings.point_id, np.repeat(block.edge_node_id[stored], block.rows[stored]))
        told = await self._scoring.score(tx, ordered, senders)
        for one in told:
            if isinstance(one, NewFinding):
                await defer(tx, "finding_to_alarm", finding_id=await findings.add(tx, one))
            else:
                await defer(tx, "finding_over", asset_id=one.asset_id, point_id=one.point_id, detector=one.detector, at=one.at)
        letters = await _set_aside(tx, block, numbers.fresh)
        await _end_commands(tx, block, stored)
        entered = await ledger.enter(tx, numbers.ranges(stored), block.heard(stored))
        for customer_id in self._customers_of(edges):
            await announce(tx, "telemetry", customer_id)
        watermarks = [
            Watermark(*row) for row in zip(entered.edge_node_id.tolist(), entered.epoch.tolist(), entered.eseq.tolist(), strict=True)
        ]
        others = numbers.epochs() - {(watermark.edge_node_id, watermark.epoch) for watermark in watermarks}
        watermarks += await ledger.watermarks(tx, others)
        replayed = int(block.rows[~numbers.fresh].sum())
        return Written(watermarks, len(ordered), replayed, sum(isinstance(one, NewFinding) for one in told), letters)

    def _customers_of(self, edges: NDArray[np.int32]) -> set[int]:
        return {self._customer_of[edge] for edge in edges.tolist() if edge in self._customer_of}

    async def _record_states(self, tx: Transaction, readings: Readings) -> None:
        of_states = self._points.states(readings)
        if of_states is None:
            return
        for change in await changes(tx, of_states):
            await defer(tx, "record_state", asset_id=self._points[change.point_id].asset_id, at=change.at, state=change.state)

    async def write_letters(self, letters: Sequence[Letter]) -> None:
        """Messages of which nothing can be used."""
        async with self._database.transaction() as tx:
            await _add_letters(tx, letters)


async def _end_commands(tx: Transaction, block: Block, stored: NDArray[np.bool_]) -> None:
    now = datetime.now(UTC)
    for result in (result for index, results in block.results.items() if stored[index] for result in results):
        await end_command.handle(tx, result, now)


async def _set_aside(tx: Transaction, block: Block, fresh: NDArray[np.bool_]) -> int:
    """Keep the letters of what is new, explain the numbers of what is given up; how many letters."""
    new = [letter for index, letters in block.letters.items() if fresh[index] for letter in letters]
    await _add_letters(tx, new)
    for index, reason in block.buried.items():
        if fresh[index] and block.eseq[index] != NONE:
            batch = Batch(int(block.edge_node_id[index]), int(block.epoch[index]), int(block.eseq[index]))
            await ledger.bury(tx, batch, batch.eseq, reason)
    return len(new)


def _about(event: NodeBirth) -> births.NodeAbout:
    """What the birth says of the gateway's program; from others than ours, what can be kept of it."""

    def text(name: str) -> str | None:
        metric = event.payload.metric(name)
        said = None if metric is None else metric.value
        return said if isinstance(said, str) and said.isprintable() and 0 < len(said) <= LONGEST_ABOUT else None

    ahead_ms = event.ahead_ms
    known = ahead_ms is not None and abs(ahead_ms) < MOST_SKEW_MS
    return births.NodeAbout(text(AGENT_VERSION), text(CONFIGURATION), ahead_ms if known else None)


async def _refuse_death(tx: Transaction, event: StaleNodeDeath) -> None:
    edge = event.node.edge
    detail = {"bd_seq": event.bd_seq, "of_session": event.node.session.bd_seq}
    await audit.record(tx, Action(None, edge.customer_id, "refuse_node_death", f"edge_node:{edge.edge_node_id}", detail))


async def _refuse_machine(tx: Transaction, edge: births.EdgeNode, device_id: str, serial_number: str | None) -> None:
    detail = {"device": device_id, "serial_number": serial_number}
    await audit.record(tx, Action(None, edge.customer_id, "refuse_machine", f"edge_node:{edge.edge_node_id}", detail))


async def _node_born(tx: Transaction, event: NodeBirth) -> set[tuple[int, int]]:
    edge_node_id = event.node.edge.edge_node_id
    await births.node_born(tx, edge_node_id, bd_seq_of(event.payload), _about(event))
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
        await dead_letters.add(tx, NewDeadLetter(f"{node.edge.group_id}/{node.edge.node_id}", UNREADABLE_TOMBSTONE, str(error), b""))
        return edges
    if dropped is not None:
        batch = Batch(node.edge.edge_node_id, dropped.epoch, dropped.first)
        await ledger.bury(tx, batch, dropped.last, dropped.reason)
        edges.add((node.edge.edge_node_id, dropped.epoch))
    return edges


async def _add_letters(tx: Transaction, letters: Sequence[Letter]) -> None:
    if letters:
        await dead_letters.add(tx, *(NewDeadLetter(one.message.topic, one.reason, one.detail, one.message.payload) for one in letters))
