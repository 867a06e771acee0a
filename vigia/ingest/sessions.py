"""Who speaks: each edge node's session by Sparkplug's rules, messages put back in order, rebirths asked for. No I/O."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from vigia.ingest.births import EARLIEST_MS, LATEST_MS, DeviceTable
from vigia.ingest.config import Limits
from vigia.ingest.events import DeviceBirth, DeviceData, DeviceDeath, Event, Letter, NodeBirth, NodeData, NodeDeath, StaleNodeDeath
from vigia.ingest.inbox import Message
from vigia.sparkplug import PayloadError, SparkplugError
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.decode import Columns, decode_columns
from vigia.sparkplug.names import EPOCH, NAMESPACE
from vigia.sparkplug.payload import Payload, decode
from vigia.sparkplug.session import SEQ_MODULUS, NodeSession, Reorder, bd_seq_of, seq_of
from vigia.sparkplug.topics import MessageType, Topic, parse
from vigia.store.births import EdgeNode

if TYPE_CHECKING:
    from vigia.ingest.plain.devices import Plain

UNKNOWN_NODE = "unknown edge node"
UNREADABLE = "unreadable payload"
MOST_STALE_DEATHS = 8  # of one session that are told
NOT_SPARKPLUG = "not a Sparkplug topic"
MOST_STRANGERS = 1_000
_NUMBERED = (MessageType.NBIRTH, MessageType.DBIRTH, MessageType.NDATA, MessageType.DDEATH)
MOST_ASKED = 20  # births in a session, for what is in none


@dataclass
class Rebirths:
    """When this node may be asked for a rebirth again: the pause grows while asking brings no data."""

    first_pause_s: float
    longest_pause_s: float
    next_at: float = 0.0
    pause_s: float = 0.0

    def ask(self, now: float) -> bool:
        """Whether to ask now."""
        if now < self.next_at:
            return False
        self.pause_s = min(max(self.pause_s * 2, self.first_pause_s), self.longest_pause_s)
        self.next_at = now + self.pause_s
        return True

    def worked(self) -> None:
        """Data came: the next trouble is answered at once."""
        self.pause_s = 0.0
        self.next_at = 0.0


@dataclass
class Strangers:
    """Aliases and names of no birth. A birth may bring them, so it is asked for; but once for each, and not for ever.

    `first_met` is how many births there had been, by a hash of device and alias or name; after those of them in `asked` one more was
    asked for.
    """

    first_met: dict[int, int] = field(default_factory=dict)
    asked: set[int] = field(default_factory=set)

    def stay(self, device_id: str, unknown: Iterable[str], births: int) -> bool:
        """Whether `unknown` will stay so, after so many births; if not, one is to be asked for."""
        if len(self.first_met) >= MOST_STRANGERS:
            self.first_met.clear()
        newest = max(self.first_met.setdefault(hash((device_id, one)), births) for one in unknown)
        if newest < births or (births not in self.asked and len(self.asked) >= MOST_ASKED):
            return True
        self.asked.add(births)
        return False


@dataclass
class Node:
    """One edge node in this connection to the broker.

    `confirmed`: its NBIRTH was received here, so the order and the aliases are known. `numbered`: it speaks of batches. `tables`: what
    its devices' births said. `births` counts NBIRTHs; `strangers` are what was in none of them. `others` are
    tables of machines that stood at a device earlier, by device id and serial number.
    """

    edge: EdgeNode
    session: NodeSession
    order: Reorder[Event]
    rebirths: Rebirths
    broker_session: int = 0
    confirmed: bool = False
    numbered: bool = False
    epoch: int | None = None
    aliases: dict[str | int, DataType] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    tables: dict[str, DeviceTable] = field(default_factory=dict)
    births: int = 0
    strangers: Strangers = field(default_factory=Strangers)
    stale_deaths: set[int] = field(default_factory=set)
    others: dict[tuple[str, str], DeviceTable] = field(default_factory=dict)

    def lose_order(self) -> None:
        """From here on only a birth makes sense of what the node says."""
        self.confirmed = False
        self.order.give_up()

    def forget_devices(self) -> None:
        """Nothing is known of the devices until each is born."""
        self.tables.clear()
        self.others.clear()


class Sessions:
    """All edge nodes. `take` turns messages into events in the order in which they were sent.

    `shared`: other workers get a part of the data messages, so what is missing here is no loss, and their order is not known.
    """

    def __init__(self, limits: Limits, plain: "Plain | None" = None, *, shared: bool = False) -> None:
        self._limits = limits
        self._plain = plain
        self._shared = shared
        self._nodes: dict[tuple[str, str], Node] = {}
        self._by_id: dict[int, Node] = {}
        self._rebirths: dict[int, Node] = {}

    def know(self, edges: Iterable[EdgeNode]) -> None:
        """Take the registered edge nodes; those known keep their session."""
        for edge in edges:
            key = (edge.group_id.lower(), edge.node_id.lower())
            known = self._nodes.get(key)
            if known is not None and known.edge.edge_node_id == edge.edge_node_id:
                known.edge = edge
                continue
            self._nodes[key] = self._by_id[edge.edge_node_id] = Node(
                edge,
                # Alive until its death is heard: it may have been born before this process was.
                NodeSession(bd_seq=edge.bd_seq, alive=edge.bd_seq is not None),
                Reorder(timeout_s=self._limits.reorder_s),
                Rebirths(self._limits.rebirth_pause_s, self._limits.longest_rebirth_pause_s),
            )

    def knows(self, topic: str) -> bool:
        """Whether the sender of a message on `topic` is registered, or the topic is none of an edge node."""
        try:
            parsed = parse(topic)
        except SparkplugError:
            return self._plain is None or self._plain.knows(topic, self.find)
        return not isinstance(parsed, Topic) or self.find(parsed.group_id, parsed.node_id) is not None

    def edge(self, edge_node_id: int) -> EdgeNode | None:
        """The registered edge node of that id."""
        node = self._by_id.get(edge_node_id)
        return None if node is None else node.edge

    def is_current(self, node: Node) -> bool:
        """Whether this still is the session of its edge node."""
        return self._by_id.get(node.edge.edge_node_id) is node

    def sender(self, topic: str) -> Node | None:
        """The registered edge node that speaks on a Sparkplug topic."""
        try:
            parsed = parse(topic)
        except SparkplugError:
            return None
        return self.find(parsed.group_id, parsed.node_id) if isinstance(parsed, Topic) else None

    def worked(self, edge_node_ids: Iterable[int]) -> None:
        """Data of these edge nodes was stored."""
        for edge_node_id in edge_node_ids:
            node = self._by_id.get(edge_node_id)
            if node is not None:
                node.rebirths.worked()

    def find(self, group_id: str, node_id: str) -> Node | None:
        """The registered edge node of that group and name."""
        return self._nodes.get((group_id.lower(), node_id.lower()))

    def take(self, messages: Sequence[Message], now: float) -> list[Event]:
        """What `messages`, in the order of their arrival, mean; `now` in seconds of a steady clock."""
        data = [i for i, message in enumerate(messages) if f"/{MessageType.DDATA}/" in message.topic]
        columns = decode_columns([messages[i].payload for i in data])
        index_of = {message: index for index, message in enumerate(data)}
        events: list[Event] = []
        others: list[Message] = []
        for i, message in enumerate(messages):
            try:
                topic = parse(message.topic)
            except SparkplugError as error:
                if self._plain is None or message.topic.startswith(f"{NAMESPACE}/"):
                    events.append(Letter(message, NOT_SPARKPLUG, str(error)))
                else:
                    others.append(message)
                continue
            if not isinstance(topic, Topic):
                continue
            node = self.find(topic.group_id, topic.node_id)
            if node is None:
                events.append(_unknown_node(message, topic))
                continue
            if node.broker_session != message.session:
                node.broker_session = message.session
                node.lose_order()
            try:
                events += self._hear(node, topic, message, (columns, index_of[i]) if i in index_of else None, now)
            except (PayloadError, ValueError, OverflowError) as error:  # the latter two from numbers no column can hold
                events.append(Letter(message, UNREADABLE, str(error)))
        if self._plain is not None and others:
            events += self._plain.read(others, self.find, int(time.time() * 1000))
        return events

    def _hear(self, node: Node, topic: Topic, message: Message, data: tuple[Columns, int] | None, now: float) -> list[Event]:
        kind = topic.message_type
        if kind in (MessageType.NCMD, MessageType.DCMD):
            return []
        if data is not None:
            return self._in_order(node, *_device_data(node, topic, message, data), now)
        payload = decode(message.payload, node.aliases)
        if kind is MessageType.NDEATH:
            return self._node_death(node, payload)
        if kind is MessageType.NBIRTH:
            return self._node_birth(node, payload)
        event: Event
        if kind is MessageType.NDATA:
            event = NodeData(node, payload)
        elif kind is MessageType.DBIRTH:
            event = DeviceBirth(node, topic.device_id or "", payload, message)
        else:
            event = DeviceDeath(node, topic.device_id or "", _told_at(payload))
        return self._in_order(node, seq_of(payload), event, now)

    def _node_birth(self, node: Node, payload: Payload) -> list[Event]:
        seq = seq_of(payload)
        bd_seq_of(payload)
        before = node.session.bd_seq
        node.session.born(payload)
        if node.session.bd_seq != before:
            node.strangers = Strangers()
            node.stale_deaths.clear()
        node.order.birth(seq)
        node.confirmed = True
        node.births += 1
        node.aliases = {
            metric.alias: metric.datatype for metric in payload.metrics if metric.alias is not None and metric.datatype is not None
        }
        node.names = {metric.alias: metric.name for metric in payload.metrics if metric.alias is not None and metric.name is not None}
        node.numbered = payload.metric(EPOCH) is not None
        ahead_ms = None if payload.timestamp is None else payload.timestamp - int(time.time() * 1000)
        return [NodeBirth(node, payload, ahead_ms)]

    def _node_death(self, node: Node, payload: Payload) -> list[Event]:
        if not node.session.dies(payload):
            return self._stale_death(node, bd_seq_of(payload))
        node.lose_order()
        return [NodeDeath(node)]

    @staticmethod
    def _stale_death(node: Node, bd_seq: int) -> list[Event]:
        """Told once for each number, and not without end; of a node that is dead anyway it is no news."""
        if not node.session.alive or bd_seq in node.stale_deaths or len(node.stale_deaths) >= MOST_STALE_DEATHS:
            return []
        node.stale_deaths.add(bd_seq)
        return [StaleNodeDeath(node, bd_seq)]

    def _in_order(self, node: Node, seq: int, event: Event, now: float) -> list[Event]:
        if not node.confirmed:
            if node.numbered or not node.tables:
                self.ask_rebirth(node)
                return []
            return [event]
        if self._shared:
            return [event]
        _, ready = node.order.offer(seq, event, now)
        return ready

    @staticmethod
    def unreadable(node: Node, message: Message) -> Letter | None:
        """The letter of a numbered message of `node`, other than data, that nobody can read; None when it is heard in its turn."""
        topic = parse(message.topic)
        if not isinstance(topic, Topic) or topic.message_type not in _NUMBERED:
            return None
        try:
            seq_of(decode(message.payload, node.aliases))
        except (PayloadError, ValueError, OverflowError) as error:
            return Letter(message, UNREADABLE, str(error))
        return None

    def may_be_born(self, node: Node, device_id: str, unknown: Iterable[str]) -> bool:
        """Whether another birth may bring the aliases or names that are in none so far; if so, it is to be asked for.

        Where no message is missing, every birth was heard: what a Vigía edge has not announced then, it never will.
        """
        if node.numbered and not self._shared:
            return False
        return not node.strangers.stay(device_id, unknown, node.births)

    def ask_rebirth(self, node: Node) -> None:
        """The node must say again who it is; `rebirths` gives the request, not more often than it makes sense."""
        self._rebirths[id(node)] = node

    def overdue(self, now: float) -> list[Event]:
        """Give up waiting for messages that are lost, and ask for a rebirth.

        What was held of a numbered node is forgotten: it was not acknowledged and comes again. A foreign node's is given, for there is
        no second copy.
        """
        events: list[Event] = []
        for node in self._nodes.values():
            if node.order.overdue(now):
                held = node.order.give_up()
                if node.numbered:
                    node.confirmed = False
                else:
                    events += held
                self.ask_rebirth(node)
        return events

    def rebirths(self, now: float) -> list[EdgeNode]:
        """Whom to ask for a rebirth now."""
        asked = [node.edge for node in self._rebirths.values() if node.rebirths.ask(now)]
        self._rebirths.clear()
        return asked


def unreadable(columns: Columns, index: int) -> str | None:
    """Why nobody can read data message `index`, whose turn it never is; None when somebody can."""
    if index in columns.faults:
        return columns.faults[index]
    if not 0 <= columns.seq[index] < SEQ_MODULUS:
        return "the message is not numbered (seq is missing or not in 0..255)"
    return None


def _device_data(node: Node, topic: Topic, message: Message, data: tuple[Columns, int]) -> tuple[int, Event]:
    columns, index = data
    fault = unreadable(columns, index)
    if fault is not None:
        raise PayloadError(fault)
    return int(columns.seq[index]), DeviceData(node, topic.device_id or "", columns, index, message)


def _told_at(payload: Payload) -> datetime | None:
    """When the message was sent; None when it does not say, or cannot mean what it says."""
    ms = payload.timestamp
    return None if ms is None or not EARLIEST_MS <= ms < LATEST_MS else datetime.fromtimestamp(ms / 1000, UTC)


def _unknown_node(message: Message, topic: Topic) -> Letter:
    return Letter(
        message,
        UNKNOWN_NODE,
        f"no edge node {topic.group_id}/{topic.node_id} is registered: add it to its customer's site, or correct the gateway's "
        "group_id and node_id",
    )
