"""Whether a model in charge still fits the fleet: how its inputs have moved, and what became of its predictions.

The population stability index and its limits 0.1 and 0.25 are the customary ones of credit scoring (Siddiqi, Credit Risk Scorecards, 2006);
they are a rule of thumb, not a test (Yurdakul and Naranjo, Statistical properties of the population stability index, 2020).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

from vigia.domain.models import LEAST_COVERAGE

PSI_SLIGHT = 0.1
PSI_LIMIT = 0.25
LEAST_SHARE = 1e-4
"""An empty bin counts as so much, which keeps the index finite."""
LEAST_READINGS = 500
"""Of one input: fewer make an index of chance."""
LEAST_MACHINES = 10
"""Machines differ from each other: a few are no fleet."""
LEAST_ENDED = 5
"""Machines whose end is known: fewer say nothing of a model."""
BRIER_LIMIT = 1.5
"""So many times the Brier score that it had on machines not seen."""


@dataclass(frozen=True)
class Moved:
    """How far one input has moved. `psi` as it is; `psi_at_like_wear` beside machines as worn as the fleet's are now."""

    psi: float
    psi_at_like_wear: float
    readings: int


@dataclass(frozen=True)
class Resolved:
    """What became of a model's predictions; None: nothing of that kind is known yet.

    machines : whose end is known; brier : of `told` predictions; held : share of `lives` that lay in the 80 % interval
    """

    machines: int
    told: int
    brier: float | None
    lives: int
    held: float | None
    brier_in_shadow: float | None = None
    """of a model in the shadow, over the same predictions"""


def psi(expected: Sequence[float], found: Sequence[float]) -> float:
    """The population stability index of counts, or shares, in the same bins."""
    total = 0.0
    for before, now in zip(_shares(expected), _shares(found), strict=True):
        total += (now - before) * log(now / before)
    return total


def moved(counts: Sequence[Sequence[float]], found: Sequence[Sequence[float]]) -> Moved:
    """How far an input has moved; both arguments are counts by band of predicted life and bin.

    A fleet that ages together moves its inputs without the model being wrong: at like wear, each band of life counts as often
    as in the fleet.
    """
    whole, seen = [sum(bins) for bins in zip(*counts, strict=True)], [sum(bins) for bins in zip(*found, strict=True)]
    expected = [0.0] * len(whole)
    for band, now in zip(counts, found, strict=True):
        like = band if sum(band) else whole
        for place, count in enumerate(like):
            expected[place] += sum(now) * count / sum(like)
    return Moved(psi(whole, seen), psi(expected, seen), int(sum(seen)))


def warnings(inputs: Mapping[str, Moved], machines: int, resolved: Resolved, metrics: Mapping[str, Any]) -> list[str]:
    """What is beyond its limit, as codes: `inputs`, `brier`, `interval`. Too few machines or readings warn of nothing."""
    found = []
    firm = [one for one in inputs.values() if one.readings >= LEAST_READINGS]
    if machines >= LEAST_MACHINES and any(one.psi_at_like_wear > PSI_LIMIT for one in firm):
        found.append("inputs")
    if resolved.machines < LEAST_ENDED:
        return found
    limit = brier_limit(metrics)
    if limit is not None and resolved.brier is not None and resolved.brier > limit:
        found.append("brier")
    if resolved.held is not None and resolved.held < LEAST_COVERAGE:
        found.append("interval")
    return found


def brier_limit(metrics: Mapping[str, Any]) -> float | None:
    """The Brier score beyond which a model with these figures warns; None when it has none on machines not seen."""
    figures = metrics.get("out_of_fold")
    promised = figures.get("brier") if isinstance(figures, Mapping) else None
    return None if promised is None else BRIER_LIMIT * float(promised)


def _shares(counts: Sequence[float]) -> list[float]:
    whole = sum(counts) or 1.0
    return [max(count / whole, LEAST_SHARE) for count in counts]
