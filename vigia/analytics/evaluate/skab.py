"""The Skoltech Anomaly Benchmark, a water loop with a pump: each file's first 400 rows are healthy and learned from, the rest is judged.

Nothing else is learned from or chosen on these files. Rates are over all judged rows of all files, as the benchmark counts them; no
row is forgiven because another of its episode was found.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.detectors.subspace import MOST, Subspace, Watched
from vigia.analytics.evaluate import files
from vigia.analytics.evaluate.errors import DataError

LEARNED_ROWS = 400
ANOMALY, CHANGE, TIME = "anomaly", "changepoint", "datetime"
_SEED = 1


@dataclass(frozen=True)
class Experiment:
    """One file. `anomaly` is None where the file has no labels: all of it is healthy."""

    name: str
    channels: tuple[str, ...]
    rows: NDArray[np.float64]
    anomaly: NDArray[np.bool_] | None


@dataclass(frozen=True)
class SkabResult:
    """Shares of rows, 0 to 1. `far` is of healthy rows that alarm, `mar` of anomalous rows that do not.

    `delay_rows` is the mean number of rows (seconds) from an anomaly's first row to its first alarm, over those that were found;
    `far_anomaly_free` is that of files without any anomaly. Beside them what alarming always, and at random half the time, would get.
    """

    files: int
    rows: int
    f1: float
    far: float
    mar: float
    anomalies: int
    found: int
    delay_rows: float
    far_anomaly_free: float | None
    always_alarm_f1: float
    random_f1: float


def read(folder: Path) -> list[Experiment]:
    """The experiments below `folder`. Raises DataError."""
    found = [_experiment(path) for path in files.find(folder, ".csv")]
    if not found:
        message = f"{folder} holds no CSV file; get the folders valve1, valve2, other and anomaly-free of the benchmark's data."
        raise DataError(message)
    return found


def _experiment(path: Path) -> Experiment:
    table = files.read_table(path)
    channels = tuple(name for name in table.columns if name not in {ANOMALY, CHANGE, TIME})
    if len(table) <= LEARNED_ROWS:
        message = f"{path} has {len(table)} rows; {LEARNED_ROWS} are learned from, the rest is judged."
        raise DataError(message)
    rows = np.column_stack([table.numbers(name) for name in channels])
    anomaly = table.numbers(ANOMALY) > 0 if ANOMALY in table.columns else None
    return Experiment(f"{path.parent.name}/{files.named(path)}", channels, rows, anomaly)


def watch(experiment: Experiment) -> Watched:
    """The statistics of all rows, by what the first ones teach; a channel without a value there is left out."""
    known = (np.abs(experiment.rows[:LEARNED_ROWS]) < MOST).any(axis=0)
    if not known.any():
        message = f"{experiment.name} has no value in its first {LEARNED_ROWS} rows, which are learned from."
        raise DataError(message)
    rows = experiment.rows[:, known]
    return Subspace.fit(rows[:LEARNED_ROWS]).watch(rows)


def measure(folder: Path) -> tuple[SkabResult, list[tuple[Experiment, Watched]]]:
    """The figures, and each experiment with its statistics. Raises DataError."""
    watched = [(experiment, watch(experiment)) for experiment in read(folder)]
    alarm = [statistics.ratio[LEARNED_ROWS:] > 1.0 for _, statistics in watched]
    free = [one for one, (experiment, _) in zip(alarm, watched, strict=True) if experiment.anomaly is None]
    told = [
        (one, experiment.anomaly[LEARNED_ROWS:])
        for one, (experiment, _) in zip(alarm, watched, strict=True)
        if experiment.anomaly is not None
    ]
    if not told:
        message = f"{folder} holds no file with a column {ANOMALY!r}; get valve1, valve2 or other of the benchmark's data."
        raise DataError(message)
    alarms, truth = (np.concatenate(parts) for parts in zip(*told, strict=True))
    delays = [delay for one, true in told for delay in _delays(one, true)]
    late = [delay for delay in delays if delay is not None]
    by_chance = np.random.default_rng(_SEED).random(len(truth)) < 0.5  # noqa: PLR2004 - a coin
    result = SkabResult(
        files=len(told),
        rows=len(truth),
        f1=f1(alarms, truth),
        far=_share(alarms[~truth]),
        mar=_share(~alarms[truth]),
        anomalies=len(delays),
        found=len(late),
        delay_rows=float(np.mean(late)) if late else float("nan"),
        far_anomaly_free=float(np.concatenate(free).mean()) if free else None,
        always_alarm_f1=f1(np.ones_like(truth), truth),
        random_f1=f1(by_chance, truth),
    )
    return result, watched


def _share(alarm: NDArray[np.bool_]) -> float:
    return float(alarm.mean()) if len(alarm) else float("nan")


def f1(alarm: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Harmonic mean of precision and recall over rows; no point adjustment."""
    both = int((alarm & truth).sum())
    return 2 * both / max(int(alarm.sum()) + int(truth.sum()), 1)


def _delays(alarm: NDArray[np.bool_], truth: NDArray[np.bool_]) -> list[int | None]:
    """Of each anomaly, how many rows its first alarm came after its first row; None: it had none."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], truth, [False])).astype(np.int8)))
    found: list[int | None] = []
    for first, end in edges.reshape(-1, 2):
        at = np.flatnonzero(alarm[first:end])
        found.append(int(at[0]) if len(at) else None)
    return found
