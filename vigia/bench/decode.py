"""How fast Sparkplug payloads become columns, beside the bare protobuf parse of the same bytes and the same readings as JSON."""

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import metadata
from typing import Any

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from vigia.bench.load import Load, batches
from vigia.bench.machine import machine, versions
from vigia.sparkplug.decode import Columns, Form, decode_columns, decode_packed, warm_up
from vigia.sparkplug.payload_schema import PayloadMessage
from vigia.sparkplug.session import SEQ_MODULUS

METRICS_A_ROUND = 50_000
MOST_PAYLOADS = 5_000  # in one call, as in one transaction of ingest
ROUNDS = 15
CALLS = 5  # in a row: ingest decodes batch after batch, and memory just given back need not be asked for again

Readings = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]  # alias, ts, value


class Message(msgspec.Struct, gc=False):
    """A payload as JSON, in the shape that is quickest to read: a list a column, no name repeated."""

    seq: int
    sent: int
    numbers: list[int]
    alias: list[int]
    ts: list[int]
    value: list[float]


def measure(seed: int = 1, rounds: int | None = None) -> dict[str, object]:
    """Metrics decoded a second of CPU time, so what else runs matters little.

    Medians of `rounds` rounds (None: ROUNDS) in which the ways take turns of CALLS calls.
    The top figures are those of 500 metrics a payload, `single_metric` those of a payload of just one, as any node may send it; one of
    `numbered_single_metric` has besides it the epoch and number of its batch, as our gateway's have. They ride as two more metrics, or
    numbers, there and with 500, and are not counted. `vigia` is given the payloads one by one as the others are, `vigia_in_place` where
    they stand in what was received, as ingest decodes them. `protobuf` builds its messages and reads no field of them; `orjson` and
    `msgspec` read columns of JSON into lists and these, all of a call at once, into numpy arrays. Each ratio is Vigía's rate by that of
    the other way.
    """
    warm_up()
    rounds = rounds or ROUNDS
    return {
        "benchmark": "decode",
        "metrics_per_payload": 500,
        **_rates(_payloads(500, seed), rounds),
        "single_metric": {"metrics_per_payload": 1, **_rates([unnumbered(payload) for payload in _payloads(1, seed)], rounds)},
        "numbered_single_metric": {"metrics_per_payload": 1, **_rates(_payloads(1, seed), rounds)},
        "rounds": rounds,
        "calls_per_round": CALLS,
        "seed": seed,
        "machine": machine(),
        "versions": versions() | {name: metadata.version(name) for name in ("orjson", "msgspec")},
    }


def _payloads(metrics: int, seed: int) -> list[bytes]:
    load = Load(min(METRICS_A_ROUND, MOST_PAYLOADS * metrics), metrics, seed=seed)
    return [batch.numbered(i % SEQ_MODULUS) for i, batch in enumerate(batches(load))]


def unnumbered(payload: bytes) -> bytes:
    """The payload without the two metrics that say its batch's epoch and number."""
    message: Any = PayloadMessage.FromString(payload)
    del message.metrics[-2:]
    without: bytes = message.SerializeToString()
    return without


def _rates(payloads: Sequence[bytes], rounds: int) -> dict[str, float]:
    columns = decode_columns(payloads)
    rows = int((columns.form == Form.FLOAT).sum())
    texts = as_json(columns)
    length = np.array([len(payload) for payload in payloads], np.int64)
    received = np.frombuffer(b"".join(payloads), np.uint8)
    ways: dict[str, Callable[[], object]] = {
        "vigia": partial(decode_columns, payloads),
        "vigia_in_place": partial(decode_packed, received, np.cumsum(length) - length, length),
        "protobuf": partial(_parse, payloads),
        "orjson": partial(by_orjson, texts),
        "msgspec": partial(by_msgspec, texts),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            times[name].append(_seconds(way))
    rates = {name: rows * CALLS / statistics.median(taken[1:]) for name, taken in times.items()}  # the first round warms up
    figures: dict[str, float] = {f"{name}_metrics_per_s": round(rate) for name, rate in rates.items()}
    figures["ratio"] = round(rates["vigia"] / rates["protobuf"], 3)
    return figures | {f"{name}_ratio": round(rates["vigia"] / rates[name], 3) for name in ("orjson", "msgspec")}


def as_json(columns: Columns) -> list[bytes]:
    """The same payloads as JSON; their whole numbers are epoch and batch, the others readings."""
    texts = []
    for i, (first, last) in enumerate(zip(columns.first[:-1].tolist(), columns.first[1:].tolist(), strict=True)):
        said = columns.form[first:last] == Form.FLOAT
        numbers = columns.whole[first:last][~said].tolist()
        alias, ts, value = (column[first:last][said].tolist() for column in (columns.alias, columns.ts, columns.value))
        texts.append(msgspec.json.encode(Message(int(columns.seq[i]), int(columns.sent[i]), numbers, alias, ts, value)))
    return texts


def by_orjson(texts: Sequence[bytes]) -> Readings:
    """The readings of `texts`."""
    alias, ts, value = [], [], []
    for text in texts:
        message = orjson.loads(text)
        alias += message["alias"]
        ts += message["ts"]
        value += message["value"]
    return np.array(alias, np.int64), np.array(ts, np.int64), np.array(value, np.float64)


def by_msgspec(texts: Sequence[bytes]) -> Readings:
    """The readings of `texts`, their shape checked."""
    decode = msgspec.json.Decoder(Message).decode
    alias, ts, value = [], [], []
    for text in texts:
        message = decode(text)
        alias += message.alias
        ts += message.ts
        value += message.value
    return np.array(alias, np.int64), np.array(ts, np.int64), np.array(value, np.float64)


def _parse(payloads: Sequence[bytes]) -> None:
    for payload in payloads:
        PayloadMessage().ParseFromString(payload)


def _seconds(way: Callable[[], object]) -> float:
    begun = time.thread_time()
    for _ in range(CALLS):
        way()
    return time.thread_time() - begun
