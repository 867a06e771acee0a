"""How many machines the prognosis scores in a second: readings in; failure probability, remaining life, health and reasons out."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata, resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from vigia.analytics.evaluate import cmapss, turbofan
from vigia.analytics.prognosis import boosting, features
from vigia.analytics.prognosis.boosting import Boosters
from vigia.analytics.prognosis.follow import Cycle, Follower
from vigia.analytics.prognosis.model import Prognosis
from vigia.analytics.prognosis.train import History, train
from vigia.bench.machine import machine, versions

DATA = "train_FD001.txt.gz"
LEARNED, FLOWN = range(1, 81), range(81, 101)
FIRST, LAST = 25, 35  # cycles that a machine has flown before: its baseline, and those before the present one
NOISE = 0.05  # of what a sensor varies in the fleet, so that no two machines read the same
ROUNDS = 5


@dataclass(frozen=True)
class PrognosisBench:
    """`assets`: machines scored at once. `trees` and `units` make a smaller model, for a test."""

    assets: int = 100_000
    rounds: int = ROUNDS
    seed: int = 1
    trees: int = 100
    units: range = LEARNED


def measure(bench: PrognosisBench) -> dict[str, object]:
    """Machines scored a second of CPU time on one core, medians of `rounds` rounds of one cycle of every machine.

    The fleet are the demo's engines that the model has never seen, each machine at a random moment of its life. A round is the whole of
    what the prognosis process does between reading the database and writing to it: features from the new readings, failure probability,
    remaining life with its interval, health, reasons, and similar cases where something points to a failure (`similar_share`), in arrays;
    `told_s` is what it takes to make objects of all these reasons and cases. `forecast` is the part from features on, without reasons. The
    peers are asked for less: scikit-learn's trees of the same settings and data for probability and mean life, and its isolation forest for
    an anomaly score, both from finished features, all rows in one call. Each ratio is our `forecast` by the peer.
    """
    path = Path(str(resources.files("vigia.demo") / "data" / DATA))
    learned = turbofan.histories(cmapss.read_runs(path, bench.units))
    begun = time.process_time()
    model = train(learned, turbofan.options(30.0, trees=bench.trees))
    trained_s = time.process_time() - begun
    flown = turbofan.histories(cmapss.read_runs(path, FLOWN))
    seconds, told_s, explained, similar = _whole(model, flown, bench)
    forecast_s, peers_s = _beside(model, (learned, flown), bench)
    return {
        "benchmark": "prognosis",
        "assets": bench.assets,
        "assets_per_s": round(bench.assets / seconds),
        "seconds": round(seconds, 3),
        "told_s": round(told_s, 3),
        "explained_share": round(explained, 3),
        "similar_share": round(similar, 3),
        "forecast_assets_per_s": round(bench.assets / forecast_s),
        "train_cpu_s": round(trained_s, 1),
        "peers": {
            name: {"assets_per_s": round(bench.assets / taken), "ratio": round(taken / forecast_s, 2)} for name, taken in peers_s.items()
        },
        "rounds": bench.rounds,
        "seed": bench.seed,
        "machine": machine(),
        "versions": versions() | {"scikit-learn": metadata.version("scikit-learn")},
    }


def _whole(model: Prognosis, flown: Sequence[History], bench: PrognosisBench) -> tuple[float, ...]:
    """Seconds for a cycle of every machine, seconds to make objects of all reasons and cases, and the shares that got either."""
    follower = Follower(model)
    rows = [follower.begin() for _ in range(bench.assets)]
    fleet = _Fleet.of(flown, bench)
    for flight in (*range(1, FIRST + 1), *range(-LAST, 0)):
        follower.advance([fleet.cycles(rows, flight, wanted=False)])
    rounds: list[tuple[float, ...]] = []
    for flight in range(bench.rounds + 1):
        cycles = fleet.cycles(rows, flight, wanted=True)
        begun = time.thread_time()
        found = follower.advance([cycles])
        judged = time.thread_time()
        said = [(len(one.reasons) > 0, len(one.similar) > 0) for one in found if one is not None]
        told = time.thread_time()
        rounds.append((judged - begun, told - judged, *(np.sum(said, axis=0) / bench.assets).tolist()))
    return tuple(statistics.median(column) for column in zip(*rounds[1:], strict=True))  # the first round warms up


@dataclass(frozen=True)
class _Fleet:
    """Machines, each a recorded engine at a moment of its life."""

    inputs: NDArray[np.float64]
    """float64[cycles of all engines, settings + sensors]"""
    begins: NDArray[np.int64]
    """where each machine's engine begins"""
    now: NDArray[np.int64]
    """where each machine is"""
    noise: NDArray[np.float64]
    """float64[settings + sensors], deviation"""
    generator: np.random.Generator

    @classmethod
    def of(cls, flown: Sequence[History], bench: PrognosisBench) -> "_Fleet":
        generator = np.random.default_rng(bench.seed)
        inputs = np.vstack([np.hstack((history.settings, history.sensors)) for history in flown])
        lengths = np.array([len(history.ages) for history in flown])
        engine = generator.integers(0, len(flown), bench.assets)
        begins = (np.cumsum(lengths) - lengths)[engine]
        before, after = FIRST + LAST, bench.rounds + 1
        now = begins + before + (generator.random(bench.assets) * (lengths[engine] - before - after)).astype(np.int64)
        return cls(inputs, begins, now, NOISE * inputs.std(axis=0), generator)

    def cycles(self, rows: Sequence[int], flight: int, *, wanted: bool) -> list[Cycle]:
        """A cycle of every machine: from 1 to FIRST its first ones, else `flight` from now."""
        early = wanted is False and flight > 0
        at = self.begins + flight - 1 if early else self.now + flight
        values = self.inputs[at] + self.generator.normal(0, 1, (len(at), len(self.noise))) * self.noise
        return [Cycle(row, its, np.nan, wanted=wanted) for row, its in zip(rows, values, strict=True)]


def _beside(model: Prognosis, of: tuple[Sequence[History], Sequence[History]], bench: PrognosisBench) -> tuple[float, dict[str, float]]:
    """Seconds for our forecast from finished features, and for each peer's."""
    learned, _ = of
    known, asked = (_features(model, histories) for histories in of)
    rows = asked[np.random.default_rng(bench.seed).integers(0, len(asked), bench.assets)]
    life = np.minimum(np.concatenate([history.remaining for history in learned]), model.life_cap)
    assert isinstance(model.judge, Boosters)  # noqa: S101 - there are failures enough
    fused, fused_rows = model.judge.fusion(known), model.judge.fusion(rows)
    with threadpool_limits(1):
        fails = boosting.classifier(bench.trees).fit(fused, life <= model.horizon)
        mean = boosting.regressor(bench.trees).fit(fused, life)
        isolated = IsolationForest(random_state=bench.seed).fit(known)
        ways: dict[str, Callable[[], object]] = {
            "forecast": partial(model.forecast, rows),
            "hist_gradient_boosting": lambda: (fails.predict_proba(fused_rows), mean.predict(fused_rows)),
            "isolation_forest": partial(isolated.score_samples, rows),
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(bench.rounds + 1):
            for name, way in ways.items():
                begun = time.thread_time()
                way()
                times[name].append(time.thread_time() - begun)
    found = {name: statistics.median(taken[1:]) for name, taken in times.items()}
    return found.pop("forecast"), found


def _features(model: Prognosis, histories: Sequence[History]) -> NDArray[np.float64]:
    inputs = [np.hstack((history.settings, history.sensors)) for history in histories]
    return np.vstack(features.of_histories(model.spec, inputs, [history.ages for history in histories]))
