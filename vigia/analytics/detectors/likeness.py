"""A second opinion on what a detector flagged: whether a stretch of this shape was ever seen while the machine was healthy.

The recent stretch is cut into windows; each one's distance to its nearest likeness in the healthy past is the distance of z-normalised
shapes (the AB join of matrix profiles, Yeh et al. 2016), and the largest of them, the discord, is the stretch's own. Stretches as long,
taken from the past itself and held against the rest of it, say how large that is in health: the share as far from its likeness is a
conformal p-value (Vovk et al. 2005). Shape alone is compared: a level never seen before, reached in a familiar way, is familiar here.

For windows this short one matrix product does it, in less time than the fast Fourier transforms that long ones need.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

METHOD: Final = "matrix_profile"
WINDOW: Final = 24
"""Steps of the channel in one shape."""
STRETCH: Final = 2 * WINDOW
"""Steps of the recent stretch, whose most unusual window is told."""
MOST_PAST: Final = 5000
"""Steps of the past that are looked at: the newest."""
GUARD: Final = STRETCH
"""Steps before the recent stretch that are neither: what made the finding may have begun in them."""
_STRIDE: Final = WINDOW // 4
_MOST_COMPARED: Final = 100
_LEAST_COMPARED: Final = 19  # with fewer, nothing could be as rare as one in twenty
_LONGEST_HOLE: Final = 3  # steps between two readings that are still joined by a line
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FLAT: Final = 1e-9  # of the past's deviation: less is rounding, not shape

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Likeness:
    """The recent stretch beside the healthy past. Times are microseconds since 1970 UTC.

    `distance` is between z-normalised windows of WINDOW steps: 0 is the same shape, 2 sqrt(WINDOW) its mirror image. `p_value` is from
    `compared` stretches of the past.
    """

    at_us: int
    distance: float
    p_value: float
    compared: int
    nearest_us: int
    past_from_us: int
    past_until_us: int
    step_us: int


class TooLittleError(ValueError):
    """What was read does not allow an opinion; the message is one of the words of `Refusal`."""


PAST_TOO_SHORT: Final = "past_too_short"
NO_SHAPE: Final = "no_shape"


def usual_step(ts_us: NDArray[np.int64]) -> int:
    """Microseconds between two readings as a rule: the median. Raises TooLittleError with fewer than three of them."""
    steps = np.diff(np.unique(ts_us))
    if len(steps) < 2:  # noqa: PLR2004 - one step is no rule
        raise TooLittleError(PAST_TOO_SHORT)
    return int(np.median(steps))


def on_grid(ts_us: NDArray[np.int64], value: Floats, grid_us: NDArray[np.int64], step_us: int) -> Floats:
    """`value` at the moments of the grid, by a line between its neighbours; NaN outside, and where they lie more than three steps apart.

    ts_us : int64[n], ascending; value : float64[n], NaN is left out; grid_us : int64[k], ascending; returns float64[k]
    """
    known = ~np.isnan(value)
    ts_us, first = np.unique(ts_us[known], return_index=True)
    if not len(ts_us):
        return np.full(len(grid_us), np.nan)
    value = value[known][first]
    after = np.clip(np.searchsorted(ts_us, grid_us), 0, len(ts_us) - 1)
    before = np.where(ts_us[after] == grid_us, after, np.maximum(after - 1, 0))
    joined = (ts_us[before] <= grid_us) & (grid_us <= ts_us[after]) & (ts_us[after] - ts_us[before] <= _LONGEST_HOLE * step_us)
    return np.where(joined, np.interp(grid_us, ts_us, value), np.nan)


def opinion(ts_us: NDArray[np.int64], value: Floats, healthy_from_us: int, found_us: int) -> dict[str, float | str]:
    """What `compare` finds, or why it does not (`refused`), as it is kept and told; times in ISO 8601."""
    try:
        found = compare(ts_us, value, healthy_from_us, found_us)
    except TooLittleError as refusal:
        return {"method": METHOD, "refused": str(refusal)}
    return {
        "method": METHOD,
        "at": _said(found.at_us),
        "distance": found.distance,
        "p_value": found.p_value,
        "compared": found.compared,
        "nearest_at": _said(found.nearest_us),
        "past_from": _said(found.past_from_us),
        "past_until": _said(found.past_until_us),
        "step_s": found.step_us / 1e6,
        "window_s": WINDOW * found.step_us / 1e6,
    }


def compare(ts_us: NDArray[np.int64], value: Floats, healthy_from_us: int, found_us: int) -> Likeness:
    """What the readings up to and shortly after `found_us` look like beside those since `healthy_from_us`.

    ts_us : int64[n], ascending; value : float64[n], the channel's unit, what is not finite is missing
    Raises TooLittleError when the past is too short, or the recent stretch has holes or never changes.
    """
    used = (ts_us >= healthy_from_us) & np.isfinite(value)
    ts_us, value = ts_us[used], value[used]
    step = usual_step(ts_us)
    end = min(int(ts_us[-1]), found_us + WINDOW // 2 * step)
    steps = min(int((end - ts_us[0]) // step) + 1, MOST_PAST + GUARD + STRETCH)
    grid = end - step * np.arange(steps - 1, -1, -1, dtype=np.int64)
    series = on_grid(ts_us, value, grid, step)
    past, recent = series[: max(0, steps - STRETCH - GUARD)], series[-STRETCH:]
    if len(past) < STRETCH:
        raise TooLittleError(PAST_TOO_SHORT)
    usable = _shaped(past, past)
    starts = _stretches(usable)
    if len(starts) < _LEAST_COMPARED:
        raise TooLittleError(PAST_TOO_SHORT)
    if not _shaped(recent, past).all():
        raise TooLittleError(NO_SHAPE)
    shapes = normalised(past, usable)
    distance, window, nearest = _discord(normalised(recent)[::_STRIDE], shapes, usable)
    own = [_discord(shapes[at : at + STRETCH - WINDOW + 1 : _STRIDE], shapes, _apart(usable, at))[0] for at in starts]
    own = [one for one in own if np.isfinite(one)]
    if len(own) < _LEAST_COMPARED or not np.isfinite(distance):
        raise TooLittleError(PAST_TOO_SHORT)
    rarer = sum(one >= distance for one in own)
    return Likeness(
        at_us=int(grid[steps - STRETCH + window]),
        distance=distance,
        p_value=(1 + rarer) / (len(own) + 1),
        compared=len(own),
        nearest_us=int(grid[nearest]),
        past_from_us=int(grid[0]),
        past_until_us=int(grid[len(past) - 1]),
        step_us=step,
    )


def normalised(series: Floats, usable: NDArray[np.bool_] | None = None) -> Floats:
    """Every window of `series` with mean 0 and deviation 1, and zeros for one that is not `usable`: float64[n - WINDOW + 1, WINDOW]."""
    windows = np.lib.stride_tricks.sliding_window_view(series, WINDOW)
    if usable is not None:
        windows = np.where(usable[:, None], windows, 0.0)
    away = windows - windows.mean(axis=1, keepdims=True)
    deviation = away.std(axis=1, keepdims=True)
    return np.asarray(np.divide(away, deviation, out=np.zeros_like(away), where=deviation > 0), np.float64)


def _stretches(usable: NDArray[np.bool_]) -> Sequence[int]:
    """Where the stretches of the past begin that stand for health: evenly spread, at least half a window apart, without holes."""
    last = len(usable) + WINDOW - 1 - STRETCH
    starts = np.arange(0, last + 1, max(WINDOW // 2, -(-last // _MOST_COMPARED)))
    return [int(at) for at in starts if usable[at : at + STRETCH - WINDOW + 1].all()]


def _shaped(series: Floats, past: Floats) -> NDArray[np.bool_]:
    """Which windows have a shape: every reading there, and not all the same. bool[n - WINDOW + 1]."""
    known = past[~np.isnan(past)]
    flat = _FLAT * max(float(known.std()) if len(known) else 0.0, float(np.abs(known).max(initial=0.0)))
    windows = np.lib.stride_tricks.sliding_window_view(series, WINDOW)
    return np.asarray(windows.max(axis=1) - windows.min(axis=1) > flat, np.bool_)


def _apart(usable: NDArray[np.bool_], at: int) -> NDArray[np.bool_]:
    """Windows that share no reading with the stretch at `at`."""
    apart = usable.copy()
    apart[max(0, at - WINDOW + 1) : at + STRETCH] = False
    return apart


def _discord(stretch: Floats, past: Floats, usable: NDArray[np.bool_]) -> tuple[float, int, int]:
    """The stretch's window that is farthest from its nearest likeness among the `usable`: distance, where it begins, where the likeness.

    stretch, past : normalised windows, one a row; every _STRIDE-th of the stretch
    """
    if not usable.any():
        return np.inf, 0, 0
    nearest = np.where(usable, stretch @ past.T, -np.inf).argmax(axis=1)  # the largest product is the smallest distance
    distance = np.linalg.norm(stretch - past[nearest], axis=1)
    worst = int(distance.argmax())
    return float(distance[worst]), worst * _STRIDE, int(nearest[worst])


def _said(us: int) -> str:
    return (_EPOCH + timedelta(microseconds=us)).isoformat()
