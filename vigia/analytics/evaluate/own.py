"""Anyone's own file: what the detectors find in it, and why.

Each numeric column is looked at alone for surprises, and each of these once more beside the column's own past; two and more also
together, by what the file's first part, taken as healthy, teaches. With a column that tells the operating mode, each mode is learned and
judged by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.detectors import likeness
from vigia.analytics.detectors.subspace import LEAST_ROWS, MOST, Subspace
from vigia.analytics.detectors.surprise import THRESHOLD, Surprise
from vigia.analytics.evaluate import files
from vigia.analytics.evaluate.errors import DataError

HEALTHY_SHARE = 0.2
GAP_ROWS = 10
"""Alarms no further apart are one finding."""
NAMED = 3
"""So many channels are named as its reason."""
TOGETHER, ALONE = "channels together", "one channel"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class OwnFinding:
    """`score` is its highest: of one channel, about -log10 of the probability; of channels together, multiples of the limit.

    `channels` are those that explain it, with their share of the score. `second_opinion`, of one channel: whether its shape was seen
    before in the file (`detectors.likeness.opinion`).
    """

    first: str
    last: str
    detector: str
    mode: str | None
    score: float
    channels: dict[str, float]
    second_opinion: dict[str, float | str] | None = None


@dataclass(frozen=True)
class OwnResult:
    """What was looked at, and the findings by time. `left_out` are columns that hold no numbers."""

    rows: int
    channels: list[str]
    left_out: list[str]
    modes: list[str]
    modes_too_short: list[str]
    """whose channels are not judged together"""
    healthy_rows: int
    findings: list[OwnFinding]


@dataclass(frozen=True)
class OwnFile:
    """The rows of a file, by time."""

    ts: NDArray[np.int64]
    names: tuple[str, ...]
    rows: NDArray[np.float64]
    mode: list[str] | None
    left_out: tuple[str, ...]


def read(path: Path, time: str, mode: str | None = None, ignored: Sequence[str] = ()) -> OwnFile:
    """The file, sorted by its column `time`, without the columns `ignored`. Raises DataError."""
    table = files.read_table(path)
    ts = table.moments(time)
    modes = None if mode is None else table.column(mode)
    columns, left_out = {}, []
    for name in ignored:
        table.column(name)  # raises when there is none
    for name in table.columns:
        if name in {time, mode, *ignored}:
            continue
        try:
            columns[name] = table.numbers(name)
        except DataError:
            left_out.append(name)
    columns = {name: values for name, values in columns.items() if np.isfinite(values).any()}
    if not columns or len(table) < LEAST_ROWS:
        message = f"{path} has {len(table)} rows and {len(columns)} columns of numbers; at least {LEAST_ROWS} rows and a column are needed."
        raise DataError(message)
    order = np.argsort(ts, kind="stable")
    rows = np.column_stack(list(columns.values()))[order]
    return OwnFile(ts[order], tuple(columns), rows, None if modes is None else [modes[i] for i in order], tuple(left_out))


def detect(file: OwnFile, healthy_share: float = HEALTHY_SHARE) -> OwnResult:
    """The findings. The first `healthy_share` of the rows (of each mode) is taken as healthy.

    The channels of a mode with fewer than LEAST_ROWS are not judged together, nor is a channel without a value in the healthy rows.
    """
    groups = [(None, np.arange(len(file.ts)))] if file.mode is None else _by_mode(file.mode)
    found, short, healthy = [], [], 0
    for mode, rows in groups:
        found += [finding for at in range(len(file.names)) for finding in _alone(file, mode, rows, at)]
        learned = max(int(healthy_share * len(rows)), LEAST_ROWS)
        if len(rows) < learned:
            short.append(str(mode))
        else:
            healthy += learned
            found += _together(file, mode, rows, learned)
    found.sort(key=lambda finding: finding.first)
    modes = sorted({mode for mode, _ in groups if mode is not None})
    return OwnResult(len(file.ts), list(file.names), list(file.left_out), modes, short, healthy, found)


def _by_mode(modes: list[str]) -> list[tuple[str | None, NDArray[np.int64]]]:
    names = np.array(modes)
    return [(str(mode), np.flatnonzero(names == mode)) for mode in np.unique(names)]


def _alone(file: OwnFile, mode: str | None, rows: NDArray[np.int64], at: int) -> list[OwnFinding]:
    ts, value, name = file.ts[rows], file.rows[rows, at], file.names[at]
    scores = Surprise().score(ts, value)
    known = np.where(np.abs(value) < MOST, value, np.nan)
    found = []
    for first, last in _runs(scores >= THRESHOLD):
        opinion = likeness.opinion(ts, known, int(ts[0]), int(ts[first]))
        score = round(float(scores[first : last + 1].max()), 2)
        found.append(OwnFinding(_said(ts[first]), _said(ts[last]), ALONE, mode, score, {name: 1.0}, opinion))
    return found


def _together(file: OwnFile, mode: str | None, rows: NDArray[np.int64], learned: int) -> list[OwnFinding]:
    known = np.flatnonzero((np.abs(file.rows[rows[:learned]]) < MOST).any(axis=0))
    if len(known) < 2:  # noqa: PLR2004 - one is looked at alone
        return []
    values = file.rows[np.ix_(rows, known)]
    watched = Subspace.fit(values[:learned]).watch(values)
    found = []
    for first, last in _runs(watched.ratio > 1.0):
        peak = first + int(np.argmax(watched.ratio[first : last + 1]))
        shares = watched.contribution[peak] / watched.ratio[peak]
        why = {file.names[known[i]]: round(float(shares[i]), 3) for i in np.argsort(-shares)[:NAMED]}
        begin, end = _said(file.ts[rows[first]]), _said(file.ts[rows[last]])
        found.append(OwnFinding(begin, end, TOGETHER, mode, round(float(watched.ratio[peak]), 2), why))
    return found


def _runs(alarm: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last rows of alarms that are no more than GAP_ROWS apart."""
    at = np.flatnonzero(alarm)
    if not len(at):
        return []
    cuts = np.flatnonzero(np.diff(at) > GAP_ROWS)
    return list(zip(at[np.append(0, cuts + 1)].tolist(), at[np.append(cuts, len(at) - 1)].tolist(), strict=True))


def _said(us: np.int64) -> str:
    return (_EPOCH + timedelta(microseconds=int(us))).isoformat()
