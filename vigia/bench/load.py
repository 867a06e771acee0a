"""What the measurements send: readings of made-up machines as numbered Sparkplug batches. The same seed gives the same bytes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vigia.sparkplug import names
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.payload import Metric, Payload, encode
from vigia.sparkplug.session import SEQ_MODULUS, bd_seq_metric

GROUP = "bench"
DEVICE = "machine"
EPOCH = 1
START_MS = 1_767_225_600_000  # 2026-01-01T00:00Z
SECOND_MS = 1_000
MEAN, DEVIATION = 100.0, 5.0

_NODE_ALIAS = {names.EPOCH: 0, names.NEWEST: 1, names.TOMBSTONE: 2}
_EPOCH_ALIAS, _BATCH_ALIAS, _SERIAL_ALIAS = 3, 4, 5
_FIRST_POINT_ALIAS = 10
_SEQS = tuple(encode(Payload(seq=seq)) for seq in range(SEQ_MODULUS))


def node_id(edge: int) -> str:
    """The edge node's name on the wire."""
    return f"edge-{edge:05}"


def serial_number(edge: int) -> str:
    """Of the one machine at the edge node."""
    return f"BENCH-{edge:05}"


def point_name(point: int) -> str:
    """Of the machine's point."""
    return f"sensor_{point}"


@dataclass(frozen=True)
class Load:
    """How much to send. Each edge node has one machine with `points` points, each read once a second; a message holds `metrics` readings.

    A load may follow another: `after` so many messages of the same edge nodes, from `start_ms` (milliseconds since 1970 UTC).
    """

    rows: int
    metrics: int = 500
    edges: int = 100
    points: int = 10
    seed: int = 1
    after: int = 0
    start_ms: int = START_MS

    @property
    def messages(self) -> int:
        """How many there are."""
        return -(-self.rows // self.metrics)


@dataclass(frozen=True)
class Columns:
    """Every reading of a load in the order of sending. `ts` is milliseconds since 1970 UTC."""

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


def readings(load: Load) -> Columns:
    """The readings of `load`: the edge nodes take turns, a message each."""
    message, place = np.divmod(np.arange(load.rows), load.metrics)
    edge = (load.after + message) % load.edges
    turn = message // load.edges
    second, point = np.divmod(turn * load.metrics + place, load.points)
    value = np.random.default_rng(load.seed).normal(MEAN, DEVIATION, load.rows)
    return Columns(edge, point, load.start_ms + second * SECOND_MS, value)


def following(load: Load, rows: int, metrics: int) -> Load:
    """A load of the same edge nodes after `load`, in messages of another size."""
    last = int(readings(load).ts.max())
    return replace(load, rows=rows, metrics=metrics, after=load.after + load.messages, start_ms=last + SECOND_MS)


def batches(load: Load) -> Iterator[Batch]:
    """The messages of `load`."""
    every = readings(load)
    for message in range(load.messages):
        turn, edge = divmod(load.after + message, load.edges)
        rows = slice(message * load.metrics, (message + 1) * load.metrics)
        ts = every.ts[rows].tolist()
        metrics = [
            Metric(None, _FIRST_POINT_ALIAS + point, at, DataType.DOUBLE, value)
            for point, at, value in zip(every.point[rows].tolist(), ts, every.value[rows].tolist(), strict=True)
        ]
        metrics.append(Metric(None, _EPOCH_ALIAS, ts[-1], DataType.INT64, EPOCH))
        metrics.append(Metric(None, _BATCH_ALIAS, ts[-1], DataType.INT64, turn + 1))
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
        Metric(names.EPOCH, _EPOCH_ALIAS, START_MS, DataType.INT64, EPOCH),
        Metric(names.BATCH, _BATCH_ALIAS, START_MS, DataType.INT64, newest),
    )
    said = (
        Metric(point_name(point), _FIRST_POINT_ALIAS + point, START_MS, DataType.DOUBLE, None, properties={names.KIND: "measurement"})
        for point in range(points)
    )
    return encode(Payload(START_MS, (*own, *said), seq=1))
