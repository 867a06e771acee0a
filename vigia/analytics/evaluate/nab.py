"""The Numenta Anomaly Benchmark: the surprise detector, streaming, over every file, and the benchmark's own score.

A folder holds `<category>/<file>.csv` with `timestamp,value`, and `combined_windows.json`. Each file is scored reading by reading from
its first row; nothing is learned from another file or from a later row.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.detectors.surprise import THRESHOLD, Surprise
from vigia.analytics.evaluate import files
from vigia.analytics.evaluate.errors import DataError
from vigia.analytics.evaluate.nab_scoring import PROFILES, Scored, at_threshold, evaluate

DETECTOR = "vigia"
WINDOWS = "combined_windows.json"
_SCORE = "anomaly_score"  # the column that tells a result file from data
_HALF = 10.0  # the score that the result files, which want 0 to 1, give as 0.5
_SEED = 1


@dataclass(frozen=True)
class Series:
    """One file; `name` is `<category>/<file>.csv`. `windows` are first and last rows; None where the benchmark says nothing of the file."""

    name: str
    stamps: list[str]
    ts: NDArray[np.int64]
    value: NDArray[np.float64]
    windows: list[tuple[int, int]] | None


@dataclass(frozen=True)
class NabResult:
    """Scores by the benchmark's own protocol: the threshold is the best one for all files together, each profile its own.

    `fixed_*` are those at the detector's own threshold, which knows nothing of the labels; `random_standard` is a random detector's.
    """

    files: int
    windows: int
    unlabelled: list[str]
    standard: float
    low_fp: float
    low_fn: float
    thresholds: dict[str, float]
    fixed_threshold: float
    fixed_standard: float
    random_standard: float


def read(folder: Path) -> list[Series]:
    """The files of `folder` by name. Raises DataError."""
    labels = files.find(folder, WINDOWS)
    if not labels:
        message = f"{folder} holds no {WINDOWS}; it is in the benchmark's labels/ folder."
        raise DataError(message)
    windows = _windows(labels[0])
    tables = [table for table in map(files.read_table, files.find(folder, ".csv")) if _SCORE not in table.columns]
    found = [_series(table, windows) for table in tables]
    if not found:
        message = f"{folder} holds no <category>/<file>.csv."
        raise DataError(message)
    if all(series.windows is None for series in found):
        message = f"{labels[0]} names none of the files in {folder}, such as {found[0].name}; nothing can be scored."
        raise DataError(message)
    return found


def _windows(path: Path) -> Mapping[str, list[tuple[str, str]]]:
    try:
        told = json.loads(files.read_text(path))
        return {name: [(str(first), str(last)) for first, last in spans] for name, spans in told.items()}
    except (ValueError, TypeError, AttributeError):
        message = f"{path} does not say the first and last moments of each file's windows, as the benchmark's does."
        raise DataError(message) from None


def _series(table: files.Table, windows: Mapping[str, list[tuple[str, str]]]) -> Series:
    path = table.path
    ts, name = table.moments("timestamp"), f"{path.parent.name}/{files.named(path)}"
    told = windows.get(name)
    spans = None if told is None else [rows for first, last in sorted(told) if (rows := _rows(path, ts, first, last)) is not None]
    return Series(name, table.column("timestamp"), ts, table.numbers("value"), spans)


def _rows(path: Path, ts: NDArray[np.int64], first: str, last: str) -> tuple[int, int] | None:
    """First and last rows of a window; None where the file ends before it, or has a hole there."""
    wanted = files.Table(path, {"window": [first, last]}).moments("window")
    inside = np.flatnonzero((ts >= wanted[0]) & (ts <= wanted[1]))
    return (int(inside[0]), int(inside[-1])) if len(inside) else None


def score(series: Series) -> NDArray[np.float64]:
    """The detector's score of each row."""
    return Surprise().score(series.ts, series.value)


def measure(folder: Path) -> tuple[NabResult, list[tuple[Series, NDArray[np.float64]]]]:
    """The figures, and each file with its scores. Raises DataError."""
    scored = [(series, score(series)) for series in read(folder)]
    judged = [Scored(scores, series.windows) for series, scores in scored if series.windows is not None]
    best = {name: evaluate(judged, profile) for name, profile in PROFILES.items()}
    rng = np.random.default_rng(_SEED)
    by_chance = [Scored(rng.random(len(one.scores)), one.windows) for one in judged]
    result = NabResult(
        files=len(judged),
        windows=sum(len(one.windows) for one in judged),
        unlabelled=[series.name for series, _ in scored if series.windows is None],
        standard=best["standard"].score,
        low_fp=best["low_fp"].score,
        low_fn=best["low_fn"].score,
        thresholds={name: one.threshold for name, one in best.items()},
        fixed_threshold=THRESHOLD,
        fixed_standard=at_threshold(judged, PROFILES["standard"], THRESHOLD),
        random_standard=evaluate(by_chance, PROFILES["standard"]).score,
    )
    return result, scored


def write_results(folder: Path, scored: list[tuple[Series, NDArray[np.float64]]]) -> None:
    """`<folder>/vigia/<category>/vigia_<file>.csv` as the benchmark wants them: timestamp, value, anomaly_score (0 to 1), label."""
    for series, scores in scored:
        category, _, name = series.name.partition("/")
        path = folder / DETECTOR / category / f"{DETECTOR}_{name}"
        label = np.zeros(len(scores), np.int64)
        for first, last in series.windows or ():
            label[first : last + 1] = 1
        lines = (
            f"{at},{value!r},{value_of_score!r},{inside}\n"
            for at, value, value_of_score, inside in zip(
                series.stamps, series.value.tolist(), (scores / (scores + _HALF)).tolist(), label.tolist(), strict=True
            )
        )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"timestamp,value,{_SCORE},label\n" + "".join(lines), "utf-8")
        except OSError as error:
            message = f"{path}: {error.strerror or error}; choose another folder with --out."
            raise DataError(message) from None
