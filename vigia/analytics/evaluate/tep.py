"""The Tennessee Eastman process: what is healthy is learned from `d00`, the limit too; `d01_te` and on have a fault from row 161 on.

The false-alarm rate is measured on `d00_te`, which neither set the limit nor was learned from, and again on the healthy first rows of
the fault files; without a `d00_te` only there. Each fault that is there counts the same. The training files of the faults are not used.

Beside it stands what the detector of the ingest pass does with the same files, told reading by reading: it raises alarms, at moments.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vigia.analytics import baselines, detectors
from vigia.analytics.detectors.sign import Sign
from vigia.analytics.detectors.subspace import BaselineError, Subspace, Watched
from vigia.analytics.detectors.together import Baseline, Watch
from vigia.analytics.evaluate import files
from vigia.analytics.evaluate.errors import DataError

CHANNELS = 52
FAULT_FROM = 160
"""The first row, from 0, that has the fault."""
IN_A_ROW = 3
"""A fault counts as found with the first of so many alarms in a row."""
SAMPLE_MIN = 3
_STEP_US = SAMPLE_MIN * 60 * 1_000_000
_TEST = re.compile(r"d(\d\d)_te\.dat")


@dataclass(frozen=True)
class LiveResult:
    """What the detector of the ingest pass raises, its baseline learned from `d00`.

    faults_found : with an alarm that starts after the fault did
    delay_min_by_fault : minutes from the first row with the fault to the alarm; None: never
    false_alarms : in `d00_te`, which is healthy for `healthy_h` hours; None without the file
    false_alarms_before_faults : in the rows of the fault files before the fault, of all files
    of_single_sensors : findings in `d00_te` of the detectors that watch each sensor alone, before a usual day is known; None without it
    """

    faults_found: int
    delay_min_by_fault: dict[str, float | None]
    false_alarms: int | None
    healthy_h: float | None
    false_alarms_before_faults: int
    of_single_sensors: int | None


@dataclass(frozen=True)
class TepResult:
    """Shares 0 to 1. `detection_rate` is the mean over faults of the share of faulty rows that alarm; delays in minutes, None: never.

    `live` is None when `d00` is too short for a baseline as ingest wants it.
    """

    faults: int
    detection_rate: float
    far: float
    far_before_faults: float
    detection_rate_by_fault: dict[str, float]
    delay_min_by_fault: dict[str, float | None]
    live: LiveResult | None


def measure(folder: Path) -> tuple[TepResult, dict[str, Watched]]:
    """The figures, and the statistics of each test file. Raises DataError."""
    process = _only(folder, "d00.dat")
    learned = _learn(process)
    tests = {match[1]: path for path in files.find(folder, "_te.dat") if (match := _TEST.fullmatch(files.named(path))) and match[1] != "00"}
    if not tests:
        message = f"{folder} holds no fault, such as d01_te.dat."
        raise DataError(message)
    faulty = {fault: _faulty(path) for fault, path in sorted(tests.items())}
    calm = _read(_only(folder, "d00_te.dat")) if files.find(folder, "d00_te.dat") else None
    watched = {fault: learned.watch(rows) for fault, rows in faulty.items()}
    healthy = None if calm is None else learned.watch(calm)
    alarms = {fault: statistics.ratio > 1.0 for fault, statistics in watched.items()}
    rates = {fault: float(alarm[FAULT_FROM:].mean()) for fault, alarm in alarms.items()}
    before = float(np.mean([alarm[:FAULT_FROM].mean() for alarm in alarms.values()]))
    result = TepResult(
        faults=len(rates),
        detection_rate=float(np.mean(list(rates.values()))),
        far=before if healthy is None else float((healthy.ratio > 1.0).mean()),
        far_before_faults=before,
        detection_rate_by_fault=rates,
        delay_min_by_fault={fault: _delay(alarm[FAULT_FROM:]) for fault, alarm in alarms.items()},
        live=_live(_read(process), faulty, calm),
    )
    return result, watched if healthy is None else {"00": healthy, **watched}


def _live(process: NDArray[np.float64], faulty: dict[str, NDArray[np.float64]], calm: NDArray[np.float64] | None) -> LiveResult | None:
    used = baselines.varying(process)
    try:
        baseline = baselines.learned(_moments(process), process[:, used], np.zeros((len(process), 0)))
    except BaselineError:
        return None
    started = {fault: _alarms(baseline, rows[:, used]) for fault, rows in faulty.items()}
    found = {fault: next((row for row in rows if row >= FAULT_FROM), None) for fault, rows in started.items()}
    return LiveResult(
        faults_found=sum(row is not None for row in found.values()),
        delay_min_by_fault={fault: None if row is None else float((row - FAULT_FROM) * SAMPLE_MIN) for fault, row in found.items()},
        false_alarms=None if calm is None else len(_alarms(baseline, calm[:, used])),
        healthy_h=None if calm is None else len(calm) * SAMPLE_MIN / 60,
        false_alarms_before_faults=sum(row < FAULT_FROM for rows in started.values() for row in rows),
        of_single_sensors=None if calm is None else _alone(calm),
    )


def _alone(rows: NDArray[np.float64]) -> int:
    """How many findings the detectors of single sensors start; the first rows are their baseline."""
    count, channels = rows.shape
    about = detectors.about_of(np.zeros(channels, np.int64))
    readings = detectors.Readings(np.repeat(np.arange(channels), count), np.tile(_moments(rows), channels), rows.T.ravel(), about)
    return len(detectors.score(detectors.new_state(channels), readings).signs)


def _alarms(baseline: Baseline, rows: NDArray[np.float64]) -> list[int]:
    """The rows, from 0, in which an alarm starts; the watch is at rest before the first."""
    count, channels = rows.shape
    watch = Watch()
    watch.change({0: (baseline, tuple(range(channels)))})
    point = np.tile(np.arange(channels, dtype=np.int32), count)
    told = watch.score(point, np.repeat(_moments(rows), channels), rows.ravel(), str)
    return [one.ts // _STEP_US - 1 for one in told if isinstance(one.what, Sign)]


def _moments(rows: NDArray[np.float64]) -> NDArray[np.int64]:
    """When the rows were sampled, microseconds; the first one step after 0."""
    return np.arange(1, len(rows) + 1, dtype=np.int64) * _STEP_US


def _only(folder: Path, name: str) -> Path:
    for path in files.find(folder, name):
        if files.named(path) == name:
            return path
    message = f"{folder} holds neither {name} nor {name}.gz; it is the process without a fault."
    raise DataError(message)


def _read(path: Path) -> NDArray[np.float64]:
    """float64[rows, 52]; a file may be written the other way round, as d00 is."""
    lines = [line for line in files.read_text(path).splitlines() if line.strip()]
    if not lines:
        message = f"{path} is empty."
        raise DataError(message)
    try:
        table = np.loadtxt(lines, ndmin=2)
    except ValueError as error:
        message = f"{path} is not a table of numbers: {error}."
        raise DataError(message) from None
    if table.shape[1] != CHANNELS and table.shape[0] == CHANNELS:
        table = table.T
    if table.shape[1] != CHANNELS:
        message = f"{path} has {table.shape[1]} columns; the process has {CHANNELS} variables."
        raise DataError(message)
    return table


def _learn(path: Path) -> Subspace:
    try:
        return Subspace.fit(_read(path))
    except BaselineError as error:
        message = f"{path}: {error}."
        raise DataError(message) from None


def _faulty(path: Path) -> NDArray[np.float64]:
    table = _read(path)
    if len(table) <= FAULT_FROM:
        message = f"{path} has {len(table)} rows; the fault begins after {FAULT_FROM}, so there is none in it."
        raise DataError(message)
    return table


def _delay(alarm: NDArray[np.bool_]) -> float | None:
    """Minutes from the fault to the first of IN_A_ROW alarms."""
    run = np.convolve(alarm, np.ones(IN_A_ROW, np.int64), "valid") if len(alarm) >= IN_A_ROW else np.zeros(0)
    at = np.flatnonzero(run == IN_A_ROW)
    return float(at[0] * SAMPLE_MIN) if len(at) else None
