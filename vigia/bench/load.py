"""What the measurements send: readings of made-up machines as numbered Sparkplug messages. The same load gives the same bytes.

Everything about a message follows from its number, so nothing has to be kept to send it again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vigia.errors import ConfigError
from vigia.sparkplug import names
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.payload import Metric, Payload, encode
from vigia.sparkplug.session import SEQ_MODULUS, bd_seq_metric

GROUP = "bench"
DEVICE = "machine"
EPOCH = 1
START_MS = 1_767_225_600_000  # 2026-01-01T00:00Z
PERIOD_MS = 10
MEAN, DEVIATION = 100.0, 5.0

EPOCH_ALIAS, BATCH_ALIAS = 3, 4
_NODE_ALIAS = {names.EPOCH: 0, names.NEWEST: 1, names.TOMBSTONE: 2}
_SERIAL_ALIAS = 5
_LONGER_ALIAS = 128  # the first that takes two bytes
_SEQS = tuple(encode(Payload(seq=seq)) for seq in range(SEQ_MODULUS))
VALUES = 1 << 16
EDGE_STRIDE, POINT_STRIDE = 8_191, 131  # primes: points begin in different places of the same values


def node_id(edge: int) -> str:
    """The edge node's name on the wire."""
    return f"edge-{edge:05}"


def serial_number(edge: int) -> str:
    """Of the one machine at the edge node."""
    return f"BENCH-{edge:05}"


def point_name(point: int) -> str:
    """Of the machine's point."""
    return f"sensor_{point}"


def first_alias(points: int) -> int:
    """The alias of point 0; those of all points of a machine take the same number of bytes."""
    return 10 if points <= _LONGER_ALIAS - 10 else _LONGER_ALIAS


@lru_cache(maxsize=2)
def values(seed: int) -> NDArray[np.float64]:
    """The values that points say, over and over: float64[65536]."""
    return np.random.default_rng(seed).normal(MEAN, DEVIATION, VALUES)


@dataclass(frozen=True)
class Load:
    """How much to send. Each edge node has one machine with `points` points; they take turns, a message of `metrics` readings each.

    Each point is read every `period_ms` milliseconds: consecutive readings of a message walk through the points again and again. Time in
    the data runs like a clock: message after message, all edge nodes together say edges * points readings a period. A load may follow
    another: `after` so many messages of the same edge nodes, from `start_ms` (milliseconds since 1970 UTC). With that share of the messages
    comes `poison`: see there. The readings are the same.

    Raises ConfigError when a message holds some points more often than others.
    """

    rows: int
    metrics: int = 500
    edges: int = 1_000
    points: int = 10
    seed: int = 1
    after: int = 0
    start_ms: int = START_MS
    period_ms: int = PERIOD_MS
    poison: float = 0.0

    def __post_init__(self) -> None:
        if self.metrics > self.points and self.metrics % self.points:
            raise ConfigError(
                f"{self.metrics} metrics a message are no multiple of the {self.points} points of a machine: correct --metrics"
            )

    @property
    def messages(self) -> int:
        """How many there are; the last may be short."""
        return -(-self.rows // self.metrics)

    @property
    def steps(self) -> int:
        """How often a message says each of its points."""
        return -(-self.metrics // self.points)

    @property
    def end_ms(self) -> int:
        """A moment after all readings, of the next message that says no moment twice."""
        return self.start_ms + (self.messages + self.edges) * self.metrics * self.period_ms // (self.points * self.edges) + self.period_ms

    @property
    def rows_per_s(self) -> float:
        """What the clock in the data comes to."""
        return self.edges * self.points * 1_000 / self.period_ms


@dataclass(frozen=True)
class Columns:
    """Readings in the order of sending. `ts` is milliseconds since 1970 UTC."""

    edge: NDArray[np.int64]
    point: NDArray[np.int64]
    ts: NDArray[np.int64]
    value: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Batch:
    """A message without the number that the session gives it: see `numbered`."""

    edge: int
    eseq: int
    rows: int
    body: bytes

    def numbered(self, seq: int) -> bytes:
        """The DDATA payload as message `seq` of its edge node's session."""
        return self.body + _SEQS[seq]  # fields of a protobuf message may be joined


def readings(load: Load, first: int = 0, last: int | None = None) -> Columns:
    """The readings of `load`, those of messages `first` until `last`."""
    end = load.rows if last is None else min(last * load.metrics, load.rows)
    message, place = np.divmod(np.arange(first * load.metrics, end), load.metrics)
    edge = (load.after + message) % load.edges
    step, point = np.divmod(message // load.edges * load.metrics + place, load.points)
    ts = load.start_ms + message * load.metrics * load.period_ms // (load.points * load.edges) + place // load.points * load.period_ms
    return Columns(edge, point, ts, values(load.seed)[(edge * EDGE_STRIDE + point * POINT_STRIDE + step) % VALUES])


def following(load: Load, rows: int, metrics: int, period_ms: int) -> Load:
    """A load of the same edge nodes after `load`, in messages of another size."""
    return replace(load, rows=rows, metrics=metrics, after=load.after + load.messages, start_ms=load.end_ms, period_ms=period_ms)


def batches(load: Load) -> Iterator[Batch]:
    """The messages of `load`, by the encoder of the gateway: what `wire.write_messages` writes, slowly."""
    for message in range(load.messages):
        said = readings(load, message, message + 1)
        turn, edge = divmod(load.after + message, load.edges)
        ts = said.ts.tolist()
        metrics = [
            Metric(None, first_alias(load.points) + point, at, DataType.DOUBLE, value)
            for point, at, value in zip(said.point.tolist(), ts, said.value.tolist(), strict=True)
        ]
        metrics.append(Metric(None, EPOCH_ALIAS, ts[-1], DataType.INT64, EPOCH))
        metrics.append(Metric(None, BATCH_ALIAS, ts[-1], DataType.INT64, turn + 1))
        yield Batch(edge, turn + 1, len(ts), encode(Payload(ts[-1], tuple(metrics))))


def node_birth(newest: int) -> bytes:
    """The NBIRTH of an edge node that has given out `newest` batch numbers; its seq is 0."""
    own = (
        Metric(names.EPOCH, _NODE_ALIAS[names.EPOCH], START_MS, DataType.INT64, EPOCH),
        Metric(names.NEWEST, _NODE_ALIAS[names.NEWEST], START_MS, DataType.INT64, newest),
        Metric(names.TOMBSTONE, _NODE_ALIAS[names.TOMBSTONE], START_MS, DataType.STRING, None),
    )
    rebirth = Metric(names.REBIRTH, timestamp=START_MS, datatype=DataType.BOOLEAN, value=False)
    return encode(Payload(START_MS, (bd_seq_metric(0, START_MS), rebirth, *own), seq=0))


def device_birth(edge: int, points: int, newest: int) -> bytes:
    """The DBIRTH of the edge node's machine; its seq is 1."""
    own = (
        Metric(names.SERIAL_NUMBER, _SERIAL_ALIAS, START_MS, DataType.STRING, serial_number(edge)),
        Metric(names.EPOCH, EPOCH_ALIAS, START_MS, DataType.INT64, EPOCH),
        Metric(names.BATCH, BATCH_ALIAS, START_MS, DataType.INT64, newest),
    )
    said = (
        Metric(point_name(point), first_alias(points) + point, START_MS, DataType.DOUBLE, None, properties={names.KIND: "measurement"})
        for point in range(points)
    )
    return encode(Payload(START_MS, (*own, *said), seq=1))
