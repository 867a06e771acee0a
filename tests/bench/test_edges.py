"""The edge nodes of the measurements keep the gateway's promise, whatever the host does."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from vigia.bench import BenchError, edges
from vigia.bench.edges import Edges
from vigia.bench.line import Line
from vigia.bench.load import BATCH_ALIAS, GROUP, Load, following, node_id
from vigia.ingest import BrokerUnavailableError, commands, packets
from vigia.ingest.config import BrokerConfig
from vigia.sparkplug.payload import decode
from vigia.sparkplug.topics import MessageType, Topic, parse
from vigia.store.births import EdgeNode
from vigia.store.ledger import Watermark
from vigia.supervisor.broker import RunningBroker

LOAD = Load(rows=3_000, metrics=5, edges=4, points=5)
FILTERS = [f"spBv1.0/{GROUP}/NBIRTH/+", f"spBv1.0/{GROUP}/DBIRTH/+/+", f"spBv1.0/{GROUP}/DDATA/+/+"]
BUFFER_BYTES = 1 << 20


class Host(threading.Thread):
    """Acknowledges what comes without a gap.

    The messages `lost` (edge, number) do not reach it the first time; with `asks` it then asks for a birth, else it waits.
    """

    def __init__(self, config: BrokerConfig, lost: set[tuple[int, int]], *, asks: bool) -> None:
        super().__init__(daemon=True)
        self._line = Line(config)
        self._line.socket.settimeout(0.02)
        self._lost, self._asks = set(lost), asks
        self.last: dict[int, int] = defaultdict(int)
        self.births: dict[int, int] = defaultdict(int)
        self.replays = 0
        self.seqs: dict[int, list[int]] = defaultdict(list)
        self.stopped = threading.Event()
        self._line.socket.sendall(packets.subscribe(1, FILTERS, 0))

    def run(self) -> None:
        buffer = np.empty(BUFFER_BYTES, np.uint8)
        filled = 0
        while not self.stopped.is_set():
            try:
                filled += self._line.socket.recv_into(buffer.data[filled:])
            except TimeoutError:
                continue
            found = packets.split(buffer, filled)
            for topic_at, topic_size, at, size, *_ in found.publishes.T.tolist():
                self._take(bytes(buffer[topic_at : topic_at + topic_size]).decode(), bytes(buffer[at : at + size]))
            filled -= found.consumed
            buffer[:filled] = buffer[found.consumed : found.consumed + filled].copy()
        self._line.close()

    def _take(self, topic: str, payload: bytes) -> None:
        parsed = parse(topic)
        assert isinstance(parsed, Topic)
        edge = int(parsed.node_id[-5:])
        said = decode(payload)
        if parsed.message_type is MessageType.DDATA:
            (number,) = (metric.value for metric in said.metrics if metric.alias == BATCH_ALIAS)
            assert isinstance(number, int)
            if (edge, number) in self._lost:
                self._lost.remove((edge, number))
                return
            self._data(edge, number)
        elif parsed.message_type is MessageType.NBIRTH:
            self.births[edge] += 1
            self.seqs[edge] = []
        assert said.seq is not None
        self.seqs[edge].append(said.seq)
        self._answer(commands.acknowledgement(self._node(edge), Watermark(edge, 1, self.last[edge])))

    def _data(self, edge: int, number: int) -> None:
        if number == self.last[edge] + 1:
            self.last[edge] = number
        elif number <= self.last[edge]:
            self.replays += 1
        elif self._asks:
            self._answer(commands.rebirth(self._node(edge)))

    def _node(self, edge: int) -> EdgeNode:
        return EdgeNode(edge, 1, GROUP, node_id(edge), None, None)

    def _answer(self, command: tuple[str, bytes]) -> None:
        self._line.socket.sendall(packets.publish(*command))


@contextmanager
def playing(broker: RunningBroker, *lost: tuple[int, int], asks: bool = False) -> Iterator[tuple[Edges, Host]]:
    config = BrokerConfig.from_url(broker.url)
    host = Host(config, set(lost), asks=asks)
    host.start()
    try:
        with Edges(config, LOAD.edges, LOAD.points) as made:
            made.birth()
            yield made, host
    finally:
        host.stopped.set()
        host.join()


def test_everything_is_sent_in_order_and_acknowledged(broker: RunningBroker) -> None:
    with playing(broker) as (made, host):
        sent = made.send(LOAD)
        more = made.send(following(LOAD, 40, 1, 10))
    assert host.last == dict.fromkeys(range(4), 150 + 10)
    assert (sent.resent, more.resent, host.replays) == (0, 0, 0)
    assert all(seqs == [i % 256 for i in range(len(seqs))] for seqs in host.seqs.values())
    assert not np.isnan(sent.lags_s).any()
    assert not np.isnan(more.lags_s).any()


def test_what_is_lost_comes_again_after_the_birth_that_was_asked_for(broker: RunningBroker) -> None:
    with playing(broker, (1, 1), (2, 17), (2, 90), asks=True) as (made, host):
        sent = made.send(LOAD)
    assert host.last == dict.fromkeys(range(4), 150)
    assert (host.births[0], host.births[3]) == (1, 1)
    assert host.births[1] > 1
    assert host.births[2] > 1
    assert sent.resent > 0


def test_what_is_lost_comes_again_when_nobody_asks(broker: RunningBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edges, "ACK_TIMEOUT_S", 0.3)
    with playing(broker, (0, 150), (3, 7)) as (made, host):
        sent = made.send(LOAD)
    assert host.last == dict.fromkeys(range(4), 150)
    assert host.births == dict.fromkeys(range(4), 1)
    assert sent.resent >= 1 + 144


def test_a_paced_load_takes_its_time_and_lives_in_the_present(broker: RunningBroker) -> None:
    load = Load(rows=100, metrics=5, edges=4, points=5, period_ms=100)
    with playing(broker) as (made, host):
        sent = made.send(load, load.rows_per_s / load.metrics)
    assert host.last == dict.fromkeys(range(4), 5)
    assert sent.seconds > (load.messages - 1) * load.metrics / load.rows_per_s
    assert np.abs(sent.commit_lags_s).max() < 1


def test_a_host_that_falls_silent_is_said(broker: RunningBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edges, "STALLED_S", 0.3)
    with playing(broker, (0, 1)) as (made, host):
        monkeypatch.setattr(host, "_answer", lambda _: None)
        with pytest.raises(BenchError, match="acknowledged nothing"):
            made.send(LOAD)


def test_without_a_broker_one_sentence_says_so() -> None:
    with pytest.raises(BrokerUnavailableError, match=r"no broker answers at 127\.0\.0\.1:1 "), Edges(BrokerConfig("127.0.0.1", 1), 1, 1):
        pass
