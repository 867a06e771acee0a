"""Channels of one machine watched together, reading by reading: an operating mode's means taken off, smoothed, projected, T2 and SPE.

What is healthy is learned from a stretch that holds the machine's usual day: its operating modes from the settings, each channel's mean and
deviation in each mode, and by principal components how the smoothed channels move together. As in `subspace`, a component is measured in
how far it wanders from one part of the stretch to the next.

The limit keeps a budget of false alarms: the components are learned from the first part of the stretch only, the statistic of the rest is
what is usual of rows not learned from. The peaks of its blocks have a tail (Pareto; Hill 1975, as in Siffer et al., "Anomaly detection in
streams with extreme value theory", 2017), and the limit lies where a week has `BUDGET` peaks beyond it, and never below the highest one
seen. How unusual a row was is said as its conformal p-value: the share of the rows not learned from that were at least as far out.

An alarm starts after a few rows in a row beyond the limit and ends when some more are back below half of it. A machine may have a single
channel: its budget is kept all the same.
"""

import io
import zipfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.detectors.sign import End, Sign
from vigia.analytics.detectors.subspace import BaselineError
from vigia.analytics.kernels import moments
from vigia.analytics.kernels import together as kernel
from vigia.analytics.kernels.moments import Places
from vigia.analytics.kernels.together import Fleet, Shape

NAME: Final = "together"
BUDGET: Final = 1.0
"""False alarms a machine and week."""
WEEK_S: Final = 7 * 86_400.0
LEAST_ROWS: Final = 500
LEARNED_SHARE: Final = 0.6
"""Of the stretch, from its beginning: what the components are learned from; the rest sets the limit."""
BLOCK_STEPS: Final = 10
"""Rows of a block, whose highest statistic is one peak."""
TAIL: Final = 0.2
"""The share of the peaks whose tail is fitted."""
LEAST_TAIL: Final = 0.1
PARTS: Final = 5
LOWER: Final = 0.5
KEPT: Final = 1_000
"""So many of the statistics not learned from are kept, for p-values."""
NAMED: Final = 3
_LEAST: Final = 1e-4  # no component of standardised channels is taken to wander less


class Modes(NamedTuple):
    """Operating modes: `centre` float64[modes, settings], `scale` float64[settings], `mean` and `deviation` float64[modes, channels]."""

    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]


@dataclass(frozen=True)
class Baseline:
    """What is healthy of one machine. `usual` are statistics of rows not learned from, ascending, in multiples of the limit."""

    healthy: kernel.Healthy
    strong: int
    usual: NDArray[np.float64]

    @classmethod
    def learn(cls, ts: NDArray[np.int64], channels: NDArray[np.float64], settings: NDArray[np.float64], modes: Modes) -> Self:
        """From float64[rows, channels] at `ts` (microseconds, rising), NaN without a value, and the settings then, float64[rows, settings].

        Raises BaselineError when it is too short, or fewer than two channels vary.
        """
        if len(ts) < LEAST_ROWS:
            message = f"{len(ts)} rows; at least {LEAST_ROWS} are needed"
            raise BaselineError(message)
        step_s = float(np.median(np.diff(ts))) / 1e6
        blank = kernel.Healthy(modes.centre, modes.scale, modes.mean, 1.0 / modes.deviation, np.zeros((0, 0)), np.zeros(0), 0.0, 0.0)
        mode = np.array([kernel.mode_of(row, blank) for row in settings])
        smooth = kernel.smoothed(ts, (channels - modes.mean[mode]) / modes.deviation[mode], kernel.STEPS * step_s)
        cut = int(LEARNED_SHARE * len(ts))
        axes, wander, strong = _components(smooth[kernel.STEPS : cut])
        square = (np.square(smooth[cut:] @ axes.T) / wander).sum(axis=1)
        limit = _limit(square, step_s)
        healthy = blank._replace(axes=axes, weight=1.0 / wander / limit, memory_s=kernel.STEPS * step_s, lower=LOWER)
        usual = np.sort(square / limit)
        return cls(healthy, strong, usual[np.linspace(0, len(usual) - 1, min(KEPT, len(usual))).astype(int)])

    @property
    def shape(self) -> Shape:
        """How large it is."""
        modes, channels = self.healthy.mean.shape
        return Shape(channels, self.healthy.centre.shape[1], modes, len(self.healthy.weight))

    def to_bytes(self) -> bytes:
        """As it is kept."""
        file = io.BytesIO()
        np.savez_compressed(file, strong=self.strong, usual=self.usual, **self.healthy._asdict())
        return file.getvalue()

    @classmethod
    def from_bytes(cls, kept: bytes) -> Self:
        """What `to_bytes` gave. Raises BaselineError when it is something else."""
        try:
            with np.load(io.BytesIO(kept), allow_pickle=False) as found:
                centre, scale, mean, inverse, axes, weight = (found[name] for name in kernel.Healthy._fields[:-2])
                healthy = kernel.Healthy(centre, scale, mean, inverse, axes, weight, float(found["memory_s"]), float(found["lower"]))
                return cls(healthy, int(found["strong"]), found["usual"])
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise BaselineError(f"a baseline of another program: {error}") from error

    def explain(self, smooth: NDArray[np.float64], ratio: float, names: Sequence[str]) -> tuple[int, dict[str, float | str]]:
        """The channel that tells most, and why a row with these smoothed channels is no healthy one."""
        score = self.healthy.axes @ smooth
        part = self.healthy.weight * np.square(score)
        share = smooth * (self.healthy.axes.T @ (self.healthy.weight * score)) / max(ratio, 1e-12)
        first = np.argsort(-share, kind="stable")[:NAMED]
        rank = len(self.usual) - int(np.searchsorted(self.usual, ratio, side="left"))
        why: dict[str, float | str] = {
            "t2": round(float(part[: self.strong].sum()), 3),
            "spe": round(float(part[self.strong :].sum()), 3),
            "p_value": round((1 + rank) / (1 + len(self.usual)), 4),
            "channels": ", ".join(f"{names[c]} {100 * share[c]:.0f} %" for c in first),
        }
        return int(first[0]), why


def _components(smooth: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Axes as rows, the strongest first; how far each wanders, mean square; how many hold nine tenths of the variance."""
    variance, axes = np.linalg.eigh(np.atleast_2d(np.cov(smooth.T)))
    variance, axes = np.maximum(variance[::-1], 0.0), np.ascontiguousarray(axes[:, ::-1].T)
    score = smooth @ axes.T
    away = [
        np.square(score[part] - np.delete(score, part, axis=0).mean(axis=0)).mean(axis=0)
        for part in np.array_split(np.arange(len(smooth)), PARTS)
    ]
    wander = np.maximum(np.max(away, axis=0), _LEAST)
    strong = int(np.searchsorted(np.cumsum(variance), 0.9 * variance.sum())) + 1
    return axes, wander, strong


def _limit(square: NDArray[np.float64], step_s: float) -> float:
    """Beyond which a week has BUDGET peaks, of statistics of healthy rows `step_s` apart."""
    blocks = len(square) // BLOCK_STEPS
    peaks = np.sort(square[: blocks * BLOCK_STEPS].reshape(blocks, BLOCK_STEPS).max(axis=1))
    tail = max(int(TAIL * blocks), 2)
    from_here = max(float(peaks[-tail - 1]), 1e-12)
    slope = max(float(np.log(np.maximum(peaks[-tail:], from_here) / from_here).mean()), LEAST_TAIL)
    a_week = WEEK_S / (BLOCK_STEPS * step_s) * tail / blocks
    return max(from_here * float(max(a_week / BUDGET, 1.0) ** slope), float(square.max()))


class Told(NamedTuple):
    """An alarm of the machine `asset` starts or ends at `ts`, microseconds. `reading` of either is the point that tells most."""

    asset: int
    ts: int
    what: Sign | End


class _Before(NamedTuple):
    """What was remembered of the machines that the last readings are of."""

    machines: NDArray[np.int64]
    memory: NDArray[np.float64]
    times: NDArray[np.int64]
    counts: NDArray[np.int64]


class Watch:
    """The machines that have a baseline, and what is remembered of each."""

    def __init__(self) -> None:
        self._baselines: dict[int, tuple[Baseline, tuple[int, ...]]] = {}
        self._number: dict[int, int] = {}
        self._assets: list[int] = []
        self._places = Places(np.zeros(0, np.int32), np.zeros(0, np.int16))
        self._fleet: Fleet | None = None
        self._before: _Before | None = None

    def __len__(self) -> int:
        return len(self._baselines)

    def change(self, taken: dict[int, tuple[Baseline, tuple[int, ...]]], left: Collection[int] = (), alarmed: Collection[int] = ()) -> None:
        """Take baselines by asset, with the points of their channels and, behind those, settings; leave some. The others go on.

        alarmed : of those taken, the machines that an alarm was told of already
        """
        kept = {asset: self._memory(asset) for asset in self._number if asset not in taken and asset not in left}
        for asset in left:
            self._baselines.pop(asset, None)
        self._baselines |= taken
        self._assets = sorted(self._baselines)
        self._number = {asset: number for number, asset in enumerate(self._assets)}
        self._fleet = _packed([self._baselines[asset][0] for asset in self._assets])
        self._before = None
        width = 1 + max((max(points) for _, points in self._baselines.values()), default=-1)
        self._places = Places(np.full(width, -1, np.int32), np.zeros(width, np.int16))
        for asset, number in self._number.items():
            points = self._baselines[asset][1]
            self._places.machine[list(points)] = number
            self._places.column[list(points)] = np.arange(len(points))
            if asset in kept:
                for old, new in zip(kept[asset], self._memory(asset), strict=True):
                    new[:] = old
            elif asset in alarmed:
                self._memory(asset).counts[:] = kernel.ALARMED, -kernel.SETTLED

    def _memory(self, asset: int) -> kernel.Memory:
        assert self._fleet is not None  # noqa: S101 - it has the asset
        return kernel.memory_of(self._fleet, self._number[asset])

    def score(self, point: NDArray[np.int32], ts: NDArray[np.int64], value: NDArray[np.float64], name: Callable[[int], str]) -> list[Told]:
        """Advance by readings in any order; what starts and ends, by time.

        name : a point's, by its id
        """
        fleet = self._fleet
        if fleet is None:
            return []
        rows = moments.by_machine(self._places, fleet.times[:, 0], point, ts, value)
        touched = np.flatnonzero(np.diff(rows.first))
        self._before = _Before(touched, kernel.kept(fleet, touched), fleet.times[touched], fleet.counts[touched])
        return self._told(kernel.watch(fleet, rows), name)

    def _told(self, alarms: kernel.Alarms, name: Callable[[int], str]) -> list[Told]:
        found = []
        for k in np.argsort(alarms.ts, kind="stable").tolist():
            asset, ratio = self._assets[int(alarms.machine[k])], float(alarms.ratio[k])
            baseline, points = self._baselines[asset]
            channel, why = baseline.explain(alarms.smooth[k, : baseline.shape.channels], ratio, [name(one) for one in points])
            point = points[channel]
            found.append(
                Told(asset, int(alarms.ts[k]), Sign(NAME, point, round(ratio, 3), why) if alarms.change[k] > 0 else End(NAME, point))
            )
        return found

    def undo(self) -> None:
        """Forget what the last `score` took in."""
        if self._before is not None and self._fleet is not None:
            machines, memory, times, counts = self._before
            kernel.put_back(self._fleet, machines, memory)
            self._fleet.times[machines], self._fleet.counts[machines] = times, counts
        self._before = None

    def done(self) -> None:
        """What the last `score` took in is durable."""
        self._before = None


def _packed(baselines: Sequence[Baseline]) -> Fleet | None:
    if not baselines:
        return None
    shapes = np.array([one.shape for one in baselines], np.int64)
    books = [_book(one) for one in baselines]
    rooms = 2 * shapes[:, 0] + shapes[:, 1]
    memory = np.full(int(rooms.sum()), np.nan)
    at = np.cumsum(rooms) - rooms
    for begin, (channels, settings, _, _) in zip(at.tolist(), shapes.tolist(), strict=True):
        memory[begin + channels + settings : begin + 2 * channels + settings] = 0.0
    lengths = np.array([len(book) for book in books])
    none = np.zeros((len(baselines), 2), np.int64)
    return Fleet(shapes, np.cumsum(lengths) - lengths, at, np.concatenate(books), memory, none, none.copy())


def _book(baseline: Baseline) -> NDArray[np.float64]:
    healthy = baseline.healthy
    parts = (healthy.centre, healthy.scale, healthy.mean, healthy.inverse, healthy.axes, healthy.weight)
    return np.concatenate([np.array([healthy.memory_s, healthy.lower]), *(np.ravel(part) for part in parts)])


def warm_up() -> None:
    """Compile for the types above."""
    healthy = kernel.Healthy(np.zeros((1, 0)), np.zeros(0), np.zeros((1, 1)), np.ones((1, 1)), np.ones((1, 1)), np.ones(1), 1.0, LOWER)
    fleet = _packed([Baseline(healthy, 1, np.zeros(1))])
    assert fleet is not None  # noqa: S101 - of one machine
    places = Places(np.zeros(1, np.int32), np.zeros(1, np.int16))
    rows = moments.by_machine(places, fleet.times[:, 0], np.zeros(1, np.int32), np.zeros(1, np.int64), np.zeros(1))
    kernel.put_back(fleet, rows.first[:1], kernel.kept(fleet, rows.first[:1]))
    kernel.watch(fleet, rows)
