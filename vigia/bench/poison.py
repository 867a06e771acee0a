"""What nobody can use, amid a load: each kind is written once, and sent with a share of the messages."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vigia.bench.load import START_MS, Load, first_alias
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.names import MAX_METRICS, MAX_PAYLOAD_BYTES
from vigia.sparkplug.payload import Metric, Payload, encode

STAMP_DIGITS: Final = 8  # no message of poison alone is the same as another
_STAMP: Final = b"0" * STAMP_DIGITS
_SEED: Final = 11
_UNKNOWN_ALIAS: Final = 7_777
_NOT_UTF8: Final = b"\x12\x08\x0a\x02\xff\xfe\x20\x03\x50\x01"  # a metric: its name, data type and value

WITHIN, NO_NUMBER, DATA_ALONE, BIRTH_ALONE = range(4)
"""Where poison stands: behind the metrics of a message, as its last value, or in a message of its own."""


@dataclass(frozen=True)
class Kind:
    """`said` is empty where the last value of a message becomes NaN: that reading is kept without it, and no letter is due."""

    name: str
    place: int
    said: bytes = b""


class Poison(NamedTuple):
    """As the kernels take it, by kind: `place`, and its bytes, `first[i]` until `first[i + 1]` of `data`, with the place of the `stamp`."""

    share: float
    place: NDArray[np.int8]
    first: NDArray[np.int64]
    data: NDArray[np.uint8]
    stamp: NDArray[np.int64]


@lru_cache(maxsize=4)
def kinds(points: int) -> tuple[Kind, ...]:
    """For machines of so many points; see row 11 of the fault matrix."""
    noise = np.random.default_rng(_SEED)
    born = [Metric(f"point {n:08}", 1_000 + n, START_MS, DataType.DOUBLE, float(n)) for n in range(2 * MAX_METRICS)]
    stranger = Metric(None, _UNKNOWN_ALIAS, START_MS, DataType.DOUBLE, 1.0)
    changed = Metric(None, first_alias(points), START_MS, DataType.STRING, "hot")
    text = Metric(_STAMP.decode(), 1, START_MS, DataType.DOUBLE, 1.0)
    return (
        Kind("no protobuf", DATA_ALONE, b"\xff" + _STAMP + noise.bytes(52)),
        Kind("too long", DATA_ALONE, _STAMP + noise.bytes(MAX_PAYLOAD_BYTES)),
        Kind("birth of too many metrics", BIRTH_ALONE, encode(Payload(START_MS, tuple(born), 0))),
        Kind("birth with a text that is none", BIRTH_ALONE, encode(Payload(START_MS, (text,), 0)) + _NOT_UTF8),
        Kind("name that is no text", WITHIN, _NOT_UTF8),
        Kind("alias of no birth", WITHIN, encode(Payload(metrics=(stranger,)))),
        Kind("another type", WITHIN, encode(Payload(metrics=(changed,)))),
        Kind("no number", NO_NUMBER),
    )


def fitting(load: Load) -> tuple[Kind, ...]:
    """The kinds that come with `load`: all but those that alone would be more bytes than its messages."""
    if not load.poison:
        return ()
    every = kinds(load.points)
    return tuple(kind for kind in every if len(kind.said) * load.poison / len(every) <= 20 * load.metrics)


def poison_of(load: Load) -> Poison:
    """That of `load`."""
    chosen = fitting(load)
    return Poison(
        load.poison,
        np.array([kind.place for kind in chosen], np.int8),
        np.cumsum([0, *(len(kind.said) for kind in chosen)], dtype=np.int64),
        np.frombuffer(b"".join(kind.said for kind in chosen), np.uint8).copy(),
        np.array([kind.said.find(_STAMP) for kind in chosen], np.int64),
    )
