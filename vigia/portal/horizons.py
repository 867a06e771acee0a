"""How likely an engine is to fail within each of several horizons, in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vigia.portal import words
from vigia.portal.language import Language


@dataclass(frozen=True)
class Chance:
    """'within 30 cycles' and '12%'; nothing is said to be certain that is not."""

    within: str
    probability: str


def chances(language: Language, probabilities: Sequence[Mapping[str, float]], life_unit: str) -> tuple[Chance, ...]:
    """The probabilities kept with a prediction, shortest horizon first; none where only one horizon was asked."""
    if len(probabilities) < 2:  # noqa: PLR2004 - the one horizon is said elsewhere
        return ()
    return tuple(
        Chance(
            language.text("within %(horizon)s", horizon=words.life(language, one["horizon"], life_unit)),
            language.likelihood(one["probability"]),
        )
        for one in probabilities
    )
