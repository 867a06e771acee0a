"""Edge nodes that send as fast as ingest acknowledges, or at a steady pace, and cost next to nothing themselves.

They keep the gateway's promise: a batch counts as delivered once it is acknowledged, and is sent again when that takes too long. Their
messages are written by `wire` a block at a time; whatever is not an acknowledgement is rare and read here, in Python.
"""

import contextlib
import select
import time
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from vigia.bench import BenchError, replies, wire
from vigia.bench.line import CONNECT_TIMEOUT_S, Line
from vigia.bench.load import DEVICE, GROUP, Load, device_birth, node_birth, node_id
from vigia.errors import ConfigError
from vigia.ingest import BrokerUnavailableError, packets
from vigia.ingest.config import BrokerConfig
from vigia.sparkplug import names
from vigia.sparkplug.names import NAMESPACE
from vigia.sparkplug.payload import decode
from vigia.sparkplug.session import HostState
from vigia.sparkplug.topics import MessageType, StateTopic, Topic, parse

ACK_TIMEOUT_S = 10.0
STALLED_S = 60.0
PATIENCE_S = 0.1
RETAINED_WAIT_S = 0.3  # a retained message comes with the subscription
MOST_ROWS_UNDERWAY = 500_000
MOST_MESSAGES_UNDERWAY = 90_000
BIRTHS_UNDERWAY = 250
CONNECTIONS = 16  # edge nodes share them
BLOCK_BYTES = 128 << 10
RECEIVE_BYTES = 1 << 20
_STATE = str(StateTopic(names.HOST_ID))
_COMMANDS = f"{NAMESPACE}/{GROUP}/{MessageType.NCMD}/+"


@dataclass(frozen=True)
class Sent:
    """What `send` came to.

    `seconds` are from the first message to the last acknowledgement, `cpu_s` those of the sending thread; `lags_s` from each reading to
    its acknowledgement, `commit_lags_s` to the moment when ingest wrote it, right after the commit, in whole milliseconds.
    """

    load: Load
    seconds: float
    cpu_s: float
    lags_s: NDArray[np.float64]
    commit_lags_s: NDArray[np.float64]
    resent: int

    @property
    def letters(self) -> int:
        """Dead letters that are due for the poison of the load."""
        return wire.letters_due(wire.Content.of(self.load), 0, self.load.messages) if self.load.poison else 0


class Edges:
    """The edge nodes of a load. Entering connects; `birth`, then `send`, all in one thread. Raises BrokerUnavailableError."""

    def __init__(self, config: BrokerConfig, edges: int, points: int) -> None:
        self._config = config
        self._points = points
        self._book = wire.Book.empty(edges)
        self._acknowledged = np.zeros(edges, np.int64)
        self._asked: set[int] = set()
        self._load = Load(0, 1, edges, points)
        self._content = wire.Content.of(self._load)
        self._times = wire.Times.empty(0)
        self._underway = 0
        self._resent = 0
        self._heard_at = self._repaired_at = 0.0
        self._subscribed = False
        self._left = False
        self.host_online = False
        self._out = np.empty(BLOCK_BYTES, np.uint8)
        self._in = np.empty(RECEIVE_BYTES, np.uint8)
        self._filled = 0
        self._exit = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as lines:
            self._control = lines.enter_context(Line(self._config))
            self._lines = [lines.enter_context(Line(self._config)) for _ in range(min(CONNECTIONS, len(self._acknowledged)))]
            self._poll = select.poll()
            self._poll.register(self._control.socket, select.POLLIN)
            self._push(self._control, packets.subscribe(1, [_STATE, _COMMANDS], 0))
            deadline = time.perf_counter() + CONNECT_TIMEOUT_S
            while not self._subscribed:
                if time.perf_counter() > deadline:
                    raise BrokerUnavailableError
                self.listen(PATIENCE_S)
            self._exit = lines.pop_all()
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self._exit.close()

    def leave(self) -> None:
        """Give up; from any thread."""
        self._left = True

    def expect_no_host(self) -> None:
        """Raise ConfigError when the broker already serves a host application: its data and this measurement's would mix."""
        deadline = time.perf_counter() + RETAINED_WAIT_S
        while not self.host_online and (left := deadline - time.perf_counter()) > 0:
            self.listen(left)
        if self.host_online:
            raise ConfigError(
                "a Vigía already works at this broker; leave --broker (VIGIA_BROKER) out, or name a broker that nothing else uses"
            )

    # ── sending ──

    def birth(self) -> None:
        """Announce every edge node and its machine, and wait until ingest knows them all."""
        self._book.heard[:] = False
        edges = len(self._acknowledged)
        for first in range(0, edges, BIRTHS_UNDERWAY):
            some = range(first, min(first + BIRTHS_UNDERWAY, edges))
            for edge in some:
                self._be_born(edge)
            born_at = time.perf_counter()
            while not self._book.heard[some].all():
                self._patiently(born_at)
                if time.perf_counter() - born_at > ACK_TIMEOUT_S:
                    born_at = time.perf_counter()
                    for edge in np.flatnonzero(~self._book.heard[some]).tolist():
                        self._be_born(first + edge)

    def send(self, load: Load, messages_per_s: float | None = None) -> Sent:
        """Send `load` and wait for the last acknowledgement. Without a pace: as fast as what is underway leaves room.

        With one, a message is due when its newest reading has been taken, and the clock in the data is that on the wall from now on.
        Raises BenchError when nothing is acknowledged for a minute.
        """
        begun, cpu = time.perf_counter(), time.thread_time()
        if messages_per_s is not None:
            load = replace(load, start_ms=int(time.time() * 1_000) - (load.steps - 1) * load.period_ms)
        self._load, self._content, self._times = load, wire.Content.of(load), wire.Times.empty(load.messages)
        self._resent, self._heard_at = 0, begun
        window = max(1, min(MOST_MESSAGES_UNDERWAY, MOST_ROWS_UNDERWAY // load.metrics))
        block = max(1, BLOCK_BYTES // wire.most_bytes(load))
        sent = 0
        while sent < load.messages or self._underway:
            due = load.messages if messages_per_s is None else int((time.perf_counter() - begun) * messages_per_s) + 1
            room = min(due, load.messages, sent + window - self._underway) - sent
            # A little room is left to grow, unless the clock says that little is all there is.
            if room > 0 and (room >= min(block, window) or messages_per_s is not None or sent + room == load.messages):
                sent += self._send_block(sent, min(room, block), begun, messages_per_s)
                self.listen(0.0)
            else:
                next_due = begun + sent / messages_per_s if messages_per_s is not None and sent < load.messages else np.inf
                self._patiently(self._heard_at, min(PATIENCE_S, max(0.0, next_due - time.perf_counter())))
        return self._sent(begun, cpu, paced=messages_per_s is not None)

    def _sent(self, begun: float, cpu: float, *, paced: bool) -> Sent:
        load, times = self._load, self._times
        newest_ms = load.start_ms + np.arange(load.messages) * load.metrics * load.period_ms // (load.points * load.edges)
        newest_ms += (load.steps - 1) * load.period_ms
        commit_lags_s = (times.stored_ms - newest_ms) / 1_000 if paced else np.empty(0)
        return Sent(load, self._heard_at - begun, time.thread_time() - cpu, times.lag_s, commit_lags_s, self._resent)

    def _send_block(self, first: int, count: int, begun: float, messages_per_s: float | None) -> int:
        """Send up to `count` messages, those of edge nodes that share a connection; how many they were."""
        line, of_line = self._line((self._load.after + first) % self._load.edges)
        last = first + min(count, of_line)
        out = self._room(first, last)
        size = wire.write_messages(out, self._content, first, last, self._book)
        if self._load.poison:
            size = wire.write_poison(out, size, self._content, first, last)
        now = time.perf_counter()
        self._times.sent[first:last] = now
        self._times.due[first:last] = now if messages_per_s is None else begun + np.arange(first, last) / messages_per_s
        self._underway += last - first
        self._push(line, self._out.data[:size])
        return last - first

    def _line(self, edge: int) -> tuple[Line, int]:
        """An edge node's connection, and how many edge nodes from it on have the same."""
        a_line = -(-len(self._acknowledged) // len(self._lines))
        number = edge // a_line
        return self._lines[number], min((number + 1) * a_line, len(self._acknowledged)) - edge

    def _room(self, first: int, last: int) -> NDArray[np.uint8]:
        size = (last - first) * wire.most_bytes(self._load)
        if self._load.poison:
            size += wire.poison_bytes(self._content, first, last)
        if len(self._out) < size:
            self._out = np.empty(size, np.uint8)
        return self._out

    def _push(self, line: Line, data: memoryview | bytes) -> None:
        """Send all of it; acknowledgements are heard meanwhile, so that the broker never waits for us."""
        rest = memoryview(data)
        while rest:
            taken = line.send(rest)
            rest = rest[taken:]
            if not taken:
                self._poll.register(line.socket, select.POLLIN | select.POLLOUT)
                self.listen(PATIENCE_S)
                self._poll.unregister(line.socket)
                self._poll.register(self._control.socket, select.POLLIN)

    # ── hearing ──

    def listen(self, timeout_s: float) -> None:
        """Take what the broker has for us, after waiting at most so long for something to happen."""
        if self._left:
            raise BenchError("the measurement was interrupted")
        if timeout_s > 0:
            self._poll.poll(timeout_s * 1_000)
        received = self._control.receive(self._in.data[self._filled :])
        if not received:
            return
        self._filled += received
        at = 0
        while True:
            at, end = replies.read_acknowledgements(self._in, self._filled, at, self._book, self._acknowledged)
            if end == at:
                break
            self._hear(self._in[at:end])
            at = end
        self._in[: self._filled - at] = self._in[at : self._filled]
        self._filled -= at
        now = time.perf_counter()
        settled = wire.settle(self._content, self._book, self._acknowledged, self._times, now)
        if settled:
            self._underway -= settled
            self._heard_at = now

    def _hear(self, packet: NDArray[np.uint8]) -> None:
        """Anything but a plain acknowledgement."""
        found = packets.split(packet, len(packet))
        if found.others.shape[1]:
            self._subscribed = True
        for topic_at, topic_size, payload_at, payload_size, *_ in found.publishes.T.tolist():
            topic = packet[topic_at : topic_at + topic_size].tobytes().decode()
            payload = packet[payload_at : payload_at + payload_size].tobytes()
            if topic == _STATE:
                self.host_online = HostState.decode(payload).online
            else:
                self._command(parse(topic), payload)

    def _command(self, topic: Topic | StateTopic, payload: bytes) -> None:
        edge = int(topic.node_id.rpartition("-")[2]) if isinstance(topic, Topic) else len(self._acknowledged)
        if edge >= len(self._acknowledged):
            return
        said = decode(payload)
        acknowledged = said.metric(names.ACKNOWLEDGED)
        if said.metric(names.REBIRTH) is not None:
            self._asked.add(edge)
        if acknowledged is not None and isinstance(acknowledged.value, int):
            self._book.heard[edge] = True
            self._book.stored_ms[edge] = said.timestamp or 0
            self._acknowledged[edge] = max(self._acknowledged[edge], acknowledged.value)

    # ── mending ──

    def _patiently(self, since: float, timeout_s: float = PATIENCE_S) -> None:
        """Listen, and mend what needs it. Raises BenchError when nothing has come for too long."""
        self.listen(timeout_s)
        now = time.perf_counter()
        if now - max(since, self._heard_at) > STALLED_S:
            raise BenchError(f"ingest has acknowledged nothing for {STALLED_S:.0f} s")
        if now - self._repaired_at > PATIENCE_S:
            self._repaired_at = now
            self._repair(now)

    def _repair(self, now: float) -> None:
        """Be born again where ingest asks for it, and send again what was not acknowledged in time."""
        asked, self._asked = self._asked, set()
        for edge in asked:
            self._be_born(edge)
        book, load = self._book, self._load
        waiting = np.flatnonzero(book.newest > book.settled)
        oldest = book.settled[waiting] * load.edges + waiting - load.after
        late = waiting[now - self._times.sent[oldest] > ACK_TIMEOUT_S]
        for edge in {*late.tolist(), *(asked & set(waiting.tolist()))}:
            self._send_again(edge, now)

    def _send_again(self, edge: int, now: float) -> None:
        line, _ = self._line(edge)
        for eseq in range(int(self._book.settled[edge]) + 1, int(self._book.newest[edge]) + 1):
            message = (eseq - 1) * self._load.edges + edge - self._load.after
            size = wire.write_messages(self._room(message, message + 1), self._content, message, message + 1, self._book)
            self._times.sent[message] = now
            self._resent += 1
            self._push(line, self._out.data[:size])

    def _be_born(self, edge: int) -> None:
        line, _ = self._line(edge)
        name, newest = node_id(edge), int(self._book.newest[edge])
        self._push(line, packets.publish(str(Topic(GROUP, MessageType.NBIRTH, name)), node_birth(newest)))
        birth = device_birth(edge, self._points, newest)
        self._push(line, packets.publish(str(Topic(GROUP, MessageType.DBIRTH, name, DEVICE)), birth))
        self._book.seq[edge] = 2
