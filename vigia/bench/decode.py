"""How fast Sparkplug payloads become columns, beside the bare protobuf parse of the same bytes."""

import statistics
import time
from collections.abc import Callable, Sequence

from vigia.bench.load import Load, batches
from vigia.bench.machine import machine, versions
from vigia.sparkplug.decode import decode_columns
from vigia.sparkplug.payload_schema import PayloadMessage
from vigia.sparkplug.session import SEQ_MODULUS

METRICS_A_ROUND = 50_000
MOST_PAYLOADS = 5_000  # in one call, as in one transaction of ingest
ROUNDS = 7


def measure(seed: int = 1, rounds: int = ROUNDS) -> dict[str, object]:
    """Metrics decoded a second of CPU time, so what else runs matters little: medians of `rounds` rounds in which the two ways take turns.

    The top figures are those of 500 metrics a payload, `single_metric` those of one. `ratio` is Vigía's rate by protobuf's, which
    builds its messages and reads no field of them. A batch's epoch and number ride as two more metrics; they are not counted.
    """
    return {
        "benchmark": "decode",
        "metrics_per_payload": 500,
        **_rates(500, seed, rounds),
        "single_metric": {"metrics_per_payload": 1, **_rates(1, seed, rounds)},
        "rounds": rounds,
        "seed": seed,
        "machine": machine(),
        "versions": versions(),
    }


def _rates(metrics: int, seed: int, rounds: int) -> dict[str, float]:
    rows = min(METRICS_A_ROUND, MOST_PAYLOADS * metrics)
    payloads = [batch.numbered(i % SEQ_MODULUS) for i, batch in enumerate(batches(Load(rows, metrics, seed=seed)))]
    ways: list[Callable[[Sequence[bytes]], object]] = [decode_columns, _parse]
    times: list[list[float]] = [[], []]
    for _ in range(rounds + 1):
        for way, taken in zip(ways, times, strict=True):
            taken.append(_seconds(way, payloads))
    ours, bare = (rows / statistics.median(taken[1:]) for taken in times)  # the first round warms up
    return {"vigia_metrics_per_s": round(ours), "protobuf_metrics_per_s": round(bare), "ratio": round(ours / bare, 3)}


def _parse(payloads: Sequence[bytes]) -> None:
    for payload in payloads:
        PayloadMessage().ParseFromString(payload)


def _seconds(way: Callable[[Sequence[bytes]], object], payloads: Sequence[bytes]) -> float:
    begun = time.thread_time()
    way(payloads)
    return time.thread_time() - begun
