"""What a detector says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Sign:
    """Trouble starts at reading number `reading` of the columns scored.

    `score` is in multiples of the detector's threshold. `why` is JSON-ready: numbers and words that explain the sign to a person.
    """

    detector: str
    reading: int
    score: float
    why: Mapping[str, float | str]


class End(NamedTuple):
    """The trouble that a detector told of is over with reading number `reading`."""

    detector: str
    reading: int


class Scored(NamedTuple):
    """What starts and what ends, each in the order of time. At one reading what ends comes first."""

    signs: list[Sign]
    ends: list[End]
