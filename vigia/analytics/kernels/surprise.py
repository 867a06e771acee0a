"""One pass over one series: how surprising each reading is, given all before it, as a number that means the same for every series.

Four simple predictors (the last reading, a running mean, the same half hour of the day, and of the week) are weighted by how well they
did lately. Four statistics of what they missed are watched: a single residual, a run of residuals, a run of large ones, and a run away
from the long-term level. Each is turned into a tail probability by a running quantile and the mean excess above it, so that a series
with wild spikes has to spike wildly before it surprises.
"""

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

DAY_BINS: Final = 48
WEEK_BINS: Final = 7 * DAY_BINS
PREDICTORS: Final = 4
STATISTICS: Final = 4
HOLD: Final = 200  # readings: an event is told once in so many

COUNT, LAST_TS, LAST, MEAN, CENTRE, SPREAD, LEVEL, LEVEL_SPREAD, MAGNITUDE, RUN, WILD, AWAY, HIGHEST, HIGHEST_AT = range(14)
MISSED: Final = 14  # mean miss of each predictor
QUANTILE: Final = MISSED + PREDICTORS
EXCESS: Final = QUANTILE + STATISTICS
SIZE: Final = EXCESS + STATISTICS
ABOVE: Final = SIZE + STATISTICS
RECENT: Final = ABOVE + STATISTICS  # ring of the last scores
DAY: Final = RECENT + HOLD
WEEK: Final = DAY + DAY_BINS
STATE_WIDTH: Final = WEEK + WEEK_BINS

MOST: Final = 300.0  # no float is less likely than 1e-300
_KNOWN: Final = 10.0  # readings after which a mean is one
_SETTLED: Final = 30.0  # and after which an outlier can be told
_WILDEST: Final = 1000.0  # times the usual magnitude: a reading further out counts as this far out
_DAY_S, _WEEK_S = 86_400, 604_800
_BIN_S: Final = _DAY_S // DAY_BINS
_US: Final = 1_000_000


class Settings(NamedTuple):
    """Weights are those of the newest reading in a running mean."""

    mean: float  # of the running mean that predicts
    day: float  # of the same half hour of the day
    week: float  # of the same half hour of the week
    missed: float  # of a predictor's record
    trust: float  # a predictor's weight is its mean miss to the power of minus this
    spread: float  # of the residuals' mean and variance, and the level's
    clip: float  # while it learns, a residual further out (in standard deviations) counts as this far out
    run: float  # of a run of residuals
    wild: float  # of a run of large residuals
    far: float  # no residual counts for more standard deviations in a run
    tail: float  # the share of readings above the running quantile
    warm: int  # readings before the first score


@njit(cache=True, nogil=True)
def _predict(s: NDArray[np.float64], x: float, day: int, week: int, settings: Settings) -> float:
    """What the predictors say together; keeps their record. NaN while none knows."""
    said = (s[LAST], s[MEAN], s[DAY + day], s[WEEK + week])
    weighted = total = 0.0
    least = 1e-9 * max(s[MAGNITUDE], 1e-300)
    for k in range(PREDICTORS):
        if np.isnan(said[k]):
            continue
        missed = s[MISSED + k]
        off = abs(x - said[k])
        if missed < 0.0:
            s[MISSED + k] = off
            continue
        weight = (s[MAGNITUDE] / max(missed, least)) ** settings.trust
        weighted += weight * said[k]
        total += weight
        s[MISSED + k] = missed + settings.missed * (off - missed)
    return weighted / total if total > 0.0 else np.nan


@njit(cache=True, nogil=True)
def _standard(s: NDArray[np.float64], centre: int, x: float, settings: Settings) -> float:
    """`x` in standard deviations from the running mean at `centre`, whose variance follows it; then both learn it."""
    count = s[COUNT]
    weight = max(settings.spread, 1.0 / count)
    deviation = np.sqrt(s[centre + 1])
    off = x - s[centre]
    z = off / max(deviation, 1e-6 * s[MAGNITUDE], 1e-300) if count > _KNOWN else 0.0
    if count > _SETTLED and deviation > 0.0:
        off = min(max(off, -settings.clip * deviation), settings.clip * deviation)
    s[centre] += weight * off
    s[centre + 1] = (1.0 - weight) * (s[centre + 1] + weight * off * off)
    return z


@njit(cache=True, nogil=True)
def _tail(s: NDArray[np.float64], k: int, v: float, settings: Settings) -> float:
    """-log10 of how likely a value of statistic `k` above `v` was, by what came before; then learns it."""
    count, quantile, excess = s[COUNT], s[QUANTILE + k], s[EXCESS + k]
    score = 0.0
    if count > settings.warm:
        usual = -np.log10(settings.tail)
        if v > quantile:
            score = usual + (v - quantile) / max(excess, 1e-12) / 2.302585
        elif quantile > 0.0:
            score = usual * v / quantile
    far = quantile + 10.0 * excess
    weight = max(settings.spread, 1.0 / count)
    s[SIZE + k] += weight * ((min(v, far) if count > settings.warm else v) - s[SIZE + k])
    step = max(0.01, 1.0 / np.sqrt(count)) * s[SIZE + k]
    if count == 1.0:
        quantile = v
    if v > quantile:
        quantile += step * (1.0 - settings.tail)
        s[ABOVE + k] += 1.0
        most = 20.0 * excess if s[ABOVE + k] > _KNOWN else np.inf
        excess += max(0.02, 1.0 / s[ABOVE + k]) * (min(max(v - quantile, 0.0), most) - excess)
    else:
        quantile -= step * settings.tail
    s[QUANTILE + k], s[EXCESS + k] = quantile, excess
    return score


@njit(cache=True, nogil=True)
def _once(s: NDArray[np.float64], score: float) -> float:
    """`score` where it is the highest of the last HOLD, else 0: one event is told once, and again when it gets worse."""
    at = int(s[COUNT]) % HOLD
    if s[COUNT] - s[HIGHEST_AT] >= HOLD:
        s[HIGHEST] = 0.0
        for back in range(1, HOLD):
            if s[RECENT + (at - back) % HOLD] > s[HIGHEST]:
                s[HIGHEST] = s[RECENT + (at - back) % HOLD]
                s[HIGHEST_AT] = s[COUNT] - back
    s[RECENT + at] = score
    if score <= s[HIGHEST]:
        return 0.0
    s[HIGHEST], s[HIGHEST_AT] = score, s[COUNT]
    return score


@njit(cache=True, nogil=True)
def _learn(s: NDArray[np.float64], x: float, day: int, week: int, settings: Settings) -> None:
    s[LAST] = x
    s[MEAN] += settings.mean * (x - s[MEAN])
    for at, weight in ((DAY + day, settings.day), (WEEK + week, settings.week)):
        s[at] = x if np.isnan(s[at]) else s[at] + weight * (x - s[at])


@njit(cache=True, nogil=True)
def surprise(s: NDArray[np.float64], ts: NDArray[np.int64], value: NDArray[np.float64], settings: Settings) -> NDArray[np.float64]:
    """Advance `s` (float64[STATE_WIDTH], from `new_state`) by the readings of one series; float64[n], the score of each.

    ts : microseconds since 1970 UTC; a reading that is not newer than the newest is skipped, as are NaN and infinity: their score is 0
    A score is about -log10 of the probability of what was seen, and 0 where the same event was told within the last HOLD readings.
    """
    scores = np.zeros(len(value))
    for i in range(len(value)):
        x = value[i]
        if not np.isfinite(x) or ts[i] <= s[LAST_TS]:
            continue
        second = ts[i] // _US
        day, week = (second % _DAY_S) // _BIN_S, (second % _WEEK_S) // _BIN_S
        if s[COUNT] == 0.0:
            s[MEAN] = x
        if s[COUNT] > _SETTLED and s[MAGNITUDE] > 0.0:
            x = min(max(x, -_WILDEST * s[MAGNITUDE]), _WILDEST * s[MAGNITUDE])
        s[COUNT] += 1.0
        s[LAST_TS] = ts[i]
        s[MAGNITUDE] += max(0.001, 1.0 / s[COUNT]) * (abs(x) - s[MAGNITUDE])
        said = _predict(s, x, day, week, settings)
        z = _standard(s, CENTRE, 0.0 if np.isnan(said) else x - said, settings)
        level = _standard(s, LEVEL, x, settings)
        near = min(max(z, -settings.far), settings.far)
        s[RUN] += settings.run * (near - s[RUN])
        s[WILD] += settings.wild * (abs(near) - s[WILD])
        s[AWAY] += settings.run * (min(max(level, -settings.far), settings.far) - s[AWAY])
        score = _tail(s, 0, abs(z), settings)
        score = max(score, _tail(s, 1, abs(s[RUN]), settings))
        score = max(score, _tail(s, 2, s[WILD], settings))
        score = max(score, _tail(s, 3, abs(s[AWAY]), settings))
        scores[i] = _once(s, min(score, MOST))
        _learn(s, x, day, week, settings)
    return scores


def new_state() -> NDArray[np.float64]:
    """The state of a series never seen."""
    state = np.zeros(STATE_WIDTH)
    state[LAST_TS] = np.iinfo(np.int64).min
    state[LAST] = np.nan
    state[MISSED : MISSED + PREDICTORS] = -1.0
    state[DAY:] = np.nan
    return state
