"""When a failure model may be put in charge by itself, and to what a roll-back returns."""

from collections.abc import Mapping

LEAST_COVERAGE = 0.70
"""The interval that promises 80 % holds at least so many of the lives."""
LEAST_CAUGHT = 0.5
"""Share of the machines whose order would have come in time."""
WORSE = 1.10
"""A new model may miss the one in charge by so much before it counts as worse."""


def failed_checks(metrics: Mapping[str, object], champion: Mapping[str, object] | None = None) -> list[str]:
    """What speaks against a model, one sentence each, by its figures on machines that it had not seen; empty: nothing.

    champion : metrics of the model in charge, which it is compared with where both have figures
    """
    figures = _figures(metrics)
    if not figures:
        return ["It has no figures on machines that it had not seen."]
    found = []
    brier, base = figures.get("brier", 1.0), figures.get("brier_of_the_base_rate", 0.0)
    if not brier < base:
        found.append(f"Its Brier score, {brier:.4f}, is no better than that of always saying the share of failures, {base:.4f}.")
    coverage = figures.get("coverage80", 0.0)
    if not coverage >= LEAST_COVERAGE:
        found.append(f"Its 80 % interval holds {coverage:.0%} of the lives.")
    machines, caught = figures.get("machines", 0.0), figures.get("caught", 0.0)
    if not caught >= LEAST_CAUGHT * machines:
        found.append(f"Its orders would have come in time for {caught:.0f} of {machines:.0f} machines.")
    before = _figures(champion or {}).get("brier")
    if before is not None and brier > WORSE * before:
        found.append(f"Its Brier score, {brier:.4f}, is worse than that of the model in charge, {before:.4f}.")
    return found


def _figures(metrics: Mapping[str, object]) -> dict[str, float]:
    """The numbers under `out_of_fold` and its `orders`."""
    found: dict[str, float] = {}
    section = metrics.get("out_of_fold")
    for part in (section, section.get("orders") if isinstance(section, Mapping) else None):
        if isinstance(part, Mapping):
            found |= {name: float(value) for name, value in part.items() if isinstance(value, int | float)}
    return found
