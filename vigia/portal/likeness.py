"""A second opinion on a flagged sensor as one sentence: whether its readings ever took this shape in health."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from vigia.portal.language import Language

_RARE = 0.05


def second_opinion(language: Language, opinion: Mapping[str, Any] | None, zone: str) -> str:
    """What was kept with the finding (`workflows.second_opinion`) in the reader's words, times in `zone`; empty where it tells nothing."""
    if opinion is None or "refused" in opinion:
        return ""
    compared = int(opinion["compared"])
    as_unusual = round(opinion["p_value"] * (compared + 1)) - 1
    health = language.duration(datetime.fromisoformat(opinion["past_until"]) - datetime.fromisoformat(opinion["past_from"]))
    if not as_unusual:
        return language.text(
            "A shape never seen in %(span)s of health: none of %(compared)s healthy stretches was as unusual.",
            span=health,
            compared=language.number(compared),
        )
    if opinion["p_value"] <= _RARE:
        return language.plural(
            "A shape hardly ever seen in %(span)s of health: %(count)s of %(compared)s healthy stretches was as unusual.",
            "A shape hardly ever seen in %(span)s of health: %(count)s of %(compared)s healthy stretches were as unusual.",
            as_unusual,
            span=health,
            compared=language.number(compared),
        )
    nearest = datetime.fromisoformat(opinion["nearest_at"])
    return language.plural(
        "A shape seen in health before, most alike on %(when)s: %(count)s of %(compared)s healthy stretches was as unusual.",
        "A shape seen in health before, most alike on %(when)s: %(count)s of %(compared)s healthy stretches were as unusual.",
        as_unusual,
        when=f"{language.day(nearest, zone)} {language.clock(nearest, zone)}",
        compared=language.number(compared),
    )
