"""What a detector says."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Sign:
    """Trouble starts at reading number `reading` of the columns scored.

    `score` is in multiples of the detector's threshold. `why` is JSON-ready: numbers and words that explain the sign to a person.
    """

    detector: str
    reading: int
    score: float
    why: Mapping[str, float | str]
