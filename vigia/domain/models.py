"""When a failure model may be put in charge by itself, and to what a roll-back returns."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from vigia.domain.errors import TransitionRefusedError

LEAST_COVERAGE = 0.70
"""The interval that promises 80 % holds at least so many of the lives."""
LEAST_CAUGHT = 0.5
"""Share of the machines whose order would have come in time."""
WORSE = 1.10
"""A new model may miss the one in charge by so much before it counts as worse."""


class UnfitModelError(TransitionRefusedError):
    """The model fails its checks and was not meant to be put in charge all the same."""


class Check(StrEnum):
    """What a model must not fail, by its figures on machines that it had not seen."""

    FIGURES = "It has no figures on machines that it had not seen."
    BRIER = "Its Brier score, {said:.4f}, is no better than that of always saying the share of failures, {limit:.4f}."
    COVERAGE = "Its 80 % interval holds {said:.0%} of the lives."
    CAUGHT = "Its orders would have come in time for {said:.0f} of {limit:.0f} machines."
    CHAMPION = "Its Brier score, {said:.4f}, is worse than that of the model in charge, {limit:.4f}."


@dataclass(frozen=True)
class Complaint:
    """A check that a model fails: its figure, and what it is held against."""

    check: Check
    said: float = 0.0
    limit: float = 0.0

    def __str__(self) -> str:
        return self.check.value.format(said=self.said, limit=self.limit)


def failed_checks(metrics: Mapping[str, object], champion: Mapping[str, object] | None = None) -> list[str]:
    """`complaints`, one sentence each."""
    return [str(one) for one in complaints(metrics, champion)]


def complaints(metrics: Mapping[str, object], champion: Mapping[str, object] | None = None) -> list[Complaint]:
    """What speaks against a model, by its figures on machines that it had not seen; empty: nothing.

    champion : metrics of the model in charge, which it is compared with where both have figures
    """
    figures = _figures(metrics)
    if not figures:
        return [Complaint(Check.FIGURES)]
    found = []
    brier, base = figures.get("brier", 1.0), figures.get("brier_of_the_base_rate", 0.0)
    if not brier < base:
        found.append(Complaint(Check.BRIER, brier, base))
    coverage = figures.get("coverage80", 0.0)
    if not coverage >= LEAST_COVERAGE:
        found.append(Complaint(Check.COVERAGE, coverage, LEAST_COVERAGE))
    machines, caught = figures.get("machines", 0.0), figures.get("caught", 0.0)
    if not caught >= LEAST_CAUGHT * machines:
        found.append(Complaint(Check.CAUGHT, caught, machines))
    before = _figures(champion or {}).get("brier")
    if before is not None and brier > WORSE * before:
        found.append(Complaint(Check.CHAMPION, brier, before))
    return found


@dataclass(frozen=True)
class HorizonFigures:
    """How good a model's probability of a failure within `horizon` (life units) was on machines that it had not seen."""

    horizon: float
    brier: float
    brier_of_the_share: float
    """of always saying the share of failures"""


def horizons(metrics: Mapping[str, object]) -> list[HorizonFigures]:
    """Of each horizon, shortest first; none of a model that was trained before they were kept."""
    kept = metrics.get("horizons")
    found = [
        HorizonFigures(float(one["horizon"]), float(one["brier"]), float(one["brier_of_the_base_rate"]))
        for one in (kept if isinstance(kept, list) else [])
    ]
    return sorted(found, key=lambda one: one.horizon)


def _figures(metrics: Mapping[str, object]) -> dict[str, float]:
    """The numbers under `out_of_fold` and its `orders`."""
    found: dict[str, float] = {}
    section = metrics.get("out_of_fold")
    for part in (section, section.get("orders") if isinstance(section, Mapping) else None):
        if isinstance(part, Mapping):
            found |= {name: float(value) for name, value in part.items() if isinstance(value, int | float)}
    return found
