"""How fast readings are watched, on one core: the parts, the whole pass as ingest makes it, and others' detectors on the same data."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vigia.analytics import detectors
from vigia.analytics.detectors import DEFAULTS, Readings, about_of
from vigia.analytics.detectors.together import Baseline, Watch
from vigia.analytics.kernels import level, subspace
from vigia.analytics.kernels.subspace import Models
from vigia.analytics.kernels.together import STEPS, Healthy
from vigia.bench import detect_peers
from vigia.bench.machine import machine, versions

ASSETS: Final = 1_000
CHANNELS: Final = 20
POINTS: Final = ASSETS * CHANNELS
SETTINGS: Final = DEFAULTS._replace(usual=0.0)  # as of a machine whose usual day is known
HEALTHY: Final = 200  # rows that everything is learned from
ROWS: Final = 64  # of each machine in a call
A_POINT: Final = 10  # readings of a point in a batch, on average
SMOOTHING: Final = 0.3
ROUNDS: Final = 9
SECOND_US: Final = 1_000_000
MISSING, LATE, UNLIKE = 0.01, 0.02, 0.02  # shares of readings, and of points that drift


@dataclass(frozen=True)
class Fleet:
    """Machines whose channels move together. `healthy` and `rows` are float64[rows, POINTS], `ts` the irregular times of `rows`."""

    healthy: NDArray[np.float64]
    rows: NDArray[np.float64]
    ts: NDArray[np.int64]


def made(seed: int) -> Fleet:
    """A fleet: three hidden loads a machine, noise, and a drift at some points."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(3, POINTS))
    loads = rng.normal(size=(HEALTHY + ROWS, 3, ASSETS))
    rows = np.einsum("tla,lac->tac", loads, mixing.reshape(3, ASSETS, CHANNELS)).reshape(-1, POINTS)
    rows += rng.normal(size=rows.shape)
    rows[HEALTHY:, rng.random(POINTS) < UNLIKE] += 6.0
    rows = rows * rng.lognormal(size=POINTS) + rng.normal(size=POINTS) * 100.0
    ts = np.cumsum(rng.integers(SECOND_US // 5, 2 * SECOND_US, len(rows)))
    return Fleet(rows[:HEALTHY].copy(), rows[HEALTHY:].copy(), ts[HEALTHY:].copy())


def learned(fleet: Fleet) -> NDArray[np.void]:
    """The state of all points after their healthy rows."""
    state = detectors.new_state(POINTS)
    ts = fleet.ts[0] - SECOND_US * np.arange(HEALTHY, 0, -1) + 10**12
    level.watch_table(state, ts, fleet.healthy, DEFAULTS)
    state["shown"] = 0
    return state


def models_of(fleet: Fleet) -> Models:
    """Principal components of each machine's standardised healthy rows; the strong ones have 90 % of the variance."""
    healthy = fleet.healthy.reshape(HEALTHY, ASSETS, CHANNELS).transpose(1, 0, 2)
    mean, deviation = healthy.mean(axis=1), healthy.std(axis=1)
    standard = (healthy - mean[:, None]) / deviation[:, None]
    variance, axes = np.linalg.eigh(np.einsum("atc,atd->acd", standard, standard) / HEALTHY)
    variance, axes = variance[:, ::-1], axes[:, :, ::-1]
    share = np.cumsum(variance, axis=1) / variance.sum(axis=1, keepdims=True)
    strong = (share < 0.9).sum(axis=1) + 1  # noqa: PLR2004 - see above
    ordered = np.arange(CHANNELS) < strong[:, None]
    weight = np.where(ordered, 1.0 / np.maximum(variance, 1e-9), 1.0)
    return Models(mean, 1.0 / deviation, np.ascontiguousarray(axes.transpose(0, 2, 1)), weight, strong.astype(np.int64))


def watched_together(models: Models) -> Watch:
    """All machines, each with its own baseline."""
    nothing, watch = np.zeros((1, 0)), Watch()
    baselines = {}
    for m in range(ASSETS):
        weight, inverse = models.weight[m] / (10.0 * CHANNELS), models.inverse[m : m + 1]
        healthy = Healthy(nothing, nothing[0], models.mean[m : m + 1], inverse, models.axes[m], weight, STEPS, 0.5)
        baselines[m] = Baseline(healthy, int(models.strong[m]), np.zeros(1)), tuple(range(m * CHANNELS, (m + 1) * CHANNELS))
    watch.change(baselines)
    return watch


def mixed_batch(fleet: Fleet, seed: int) -> Readings:
    """A batch as ingest sorts it: some points speak often and some hardly, at times of their own; values are missing, rows come late."""
    rng = np.random.default_rng(seed)
    row = np.repeat(np.arange(POINTS), rng.poisson(A_POINT, POINTS))
    ts = 10**12 + fleet.ts[0] + rng.integers(0, A_POINT * SECOND_US, len(row))
    ts -= np.where(rng.random(len(row)) < LATE, 3600 * SECOND_US, 0)
    order = np.lexsort((ts, row))
    value = fleet.rows[rng.integers(0, ROWS, len(row)), row]
    value[rng.random(len(row)) < MISSING] = np.nan
    return Readings(row[order], ts[order], value[order], about_of(np.arange(POINTS) // CHANNELS))


def measure(seed: int = 1, rounds: int = ROUNDS, *, peers: bool = True) -> dict[str, object]:
    """Values and rows a second of CPU time of one core: medians of `rounds` rounds in which the ways take turns.

    `ewma_cusum`: the level that follows and both sums, a table of all points at irregular times. `pca`: smoothing, T2 and SPE. `pass`: all
    that ingest does with a batch when every machine has a baseline: its two parts are `single`, all detectors of single channels and their
    findings, and `together`, the channels of each machine together. Each peer watches the same values or rows, fewer of them; `times` is
    how many times as fast Vigía does it.
    """
    detectors.warm_up()
    level.warm_up(DEFAULTS)
    subspace.warm_up()
    fleet = made(seed)
    batch = mixed_batch(fleet, seed)
    ready, models = learned(fleet), models_of(fleet)
    by_machine = np.ascontiguousarray(fleet.rows.reshape(ROWS, ASSETS, CHANNELS).transpose(1, 0, 2)).reshape(-1, CHANNELS)
    first = np.arange(ASSETS + 1) * ROWS

    def ewma_cusum() -> float:
        state = ready.copy()
        return _seconds(partial(level.watch_table, state, fleet.ts + 10**12, fleet.rows, DEFAULTS))

    def pca() -> float:
        return _seconds(partial(subspace.statistics, by_machine, first, models, np.zeros((ASSETS, CHANNELS)), SMOOTHING))

    def single() -> float:
        state = ready.copy()
        return _seconds(partial(detectors.score, state, batch, SETTINGS))

    watch, point = watched_together(models), batch.row.astype(np.int32)

    def together() -> float:
        seconds = _seconds(partial(watch.score, point, batch.ts, batch.value, str))
        watch.undo()
        return seconds

    done = {
        "ewma_cusum_values": (fleet.rows.size, ewma_cusum),
        "pca_rows": (len(by_machine), pca),
        "pass_values": (len(batch.row), lambda: single() + together()),
        "single_values": (len(batch.row), single),
        "together_values": (len(batch.row), together),
    }
    rates = _rates(done, rounds)
    found: dict[str, object] = {"benchmark": "detect", "assets": ASSETS, "channels": CHANNELS}
    found |= {f"{name}_per_s": round(rate) for name, rate in rates.items()}
    found["pass_readings"] = len(batch.row)
    found["pass_findings"] = len(detectors.score(ready.copy(), batch, SETTINGS).signs)
    if peers:
        shape = (ASSETS, ROWS, CHANNELS)
        others = detect_peers.measure(fleet.healthy[:, :CHANNELS], by_machine.reshape(shape)[0])
        found["peers"] = {name: one.figures(rates[one.what]) for name, one in others.items()}
        found["peers_missing"] = detect_peers.missing()
    return found | {"rounds": rounds, "seed": seed, "machine": machine(), "versions": versions() | detect_peers.versions()}


def _rates(ways: Mapping[str, tuple[int, Callable[[], float]]], rounds: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, (_, way) in ways.items():
            times[name].append(way())
    return {name: count / statistics.median(times[name][1:]) for name, (count, _) in ways.items()}  # the first round warms up


def _seconds(way: Callable[[], object]) -> float:
    begun = time.thread_time()
    way()
    return time.thread_time() - begun
