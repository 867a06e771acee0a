"""Up time, down time and the figures made of them. Each figure carries its name, because they differ.

Time falls into mutually exclusive categories after IEC 61400-26; of categories that claim the same time the first in
`PRIORITY` wins. Durations are summed over machines and periods first and divided once: ratios are never averaged.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

_ZERO = timedelta(0)


class Category(StrEnum):
    """What a stretch of time counts as."""

    DATA_UNKNOWN = "data_unknown"
    FORCE_MAJEURE = "force_majeure"
    CUSTOMER_CAUSED = "customer_caused"
    EXTERNAL_UTILITY = "external_utility"
    PLANNED_AGREED = "planned_agreed"
    CUSTOMER_IDLE = "customer_idle"
    SUPPLIER_PLANNED_EXCESS = "supplier_planned_excess"
    SUPPLIER_DOWN = "supplier_down"
    DERATED = "derated"
    UP = "up"


PRIORITY = tuple(Category)
"""The order in which categories claim the same time."""

COUNTED_UP = frozenset({Category.UP, Category.DERATED})
COUNTED_DOWN = frozenset({Category.SUPPLIER_DOWN, Category.SUPPLIER_PLANNED_EXCESS})
EXCLUDED = frozenset(Category) - COUNTED_UP - COUNTED_DOWN
"""Outside the guarantee; printed beside it."""

EXTERNALLY_DISABLED = frozenset({Category.FORCE_MAJEURE, Category.CUSTOMER_CAUSED, Category.EXTERNAL_UTILITY})
"""Able to run but kept from it from outside: up time after EN 13306."""

_NEEDS_EVIDENCE = COUNTED_UP


@dataclass(frozen=True)
class Interval:
    """A machine's place in one category; `end` None: still so."""

    category: Category
    start: datetime
    end: datetime | None = None


@dataclass(frozen=True)
class Evidence:
    """Time for which a reading of the state point speaks."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class Elements:
    """Time in each category, and failures; of one machine or, added, of many."""

    time: Mapping[Category, timedelta]
    operating: timedelta = _ZERO
    failures: int = 0

    def __add__(self, other: "Elements") -> "Elements":
        """The two together; figures are then made from the sums."""
        return Elements(
            {category: self.of(category) + other.of(category) for category in Category},
            self.operating + other.operating,
            self.failures + other.failures,
        )

    def of(self, *categories: Category) -> timedelta:
        """Time in any of the categories."""
        return sum((self.time.get(category, _ZERO) for category in categories), _ZERO)

    @property
    def total(self) -> timedelta:
        """All time, known or not."""
        return self.of(*Category)

    @property
    def counted_up(self) -> timedelta:
        """Time that speaks for the guarantee."""
        return self.of(*COUNTED_UP)

    @property
    def counted_down(self) -> timedelta:
        """Time that speaks against the guarantee."""
        return self.of(*COUNTED_DOWN)

    @property
    def contract_availability(self) -> float | None:
        """Counted up / (counted up + counted down); None when no time counts."""
        return _ratio(self.counted_up, self.counted_up + self.counted_down)

    @property
    def time_based_availability(self) -> float | None:
        """EN 15341 M10: up time in required time / required time; None without required time.

        Externally disabled time counts as up. Idle time, agreed planned work and unknown time are not required time.
        """
        up = self.counted_up + self.of(*EXTERNALLY_DISABLED)
        return _ratio(up, up + self.counted_down)

    @property
    def restoration_based_availability(self) -> float | None:
        """EN 15341 M12: operating time / (operating time + time to restoration); None without either."""
        return _ratio(self.operating, self.operating + self.of(Category.SUPPLIER_DOWN))

    @property
    def mtbf(self) -> timedelta | None:
        """Mean operating time between failures; None without a failure: then see `mtbf_lower_bound`."""
        return self.operating / self.failures if self.failures else None

    @property
    def mttr(self) -> timedelta | None:
        """Mean time to restoration, from the failure to the regained function, waiting included; None without a failure."""
        return self.of(Category.SUPPLIER_DOWN) / self.failures if self.failures else None

    def mtbf_lower_bound(self, confidence: float = 0.95) -> timedelta | None:
        """With no failure in the operating time: the mean that is exceeded with `confidence` (one-sided); else None."""
        if self.failures or not self.operating:
            return None
        return self.operating / -math.log1p(-confidence)


NOTHING = Elements({})


def elements(start: datetime, end: datetime, intervals: Iterable[Interval], evidence: Iterable[Evidence]) -> Elements:
    """One machine's time between `start` and `end` by category; operating time and failures are the caller's to add.

    Up and derated time counts only where `evidence` speaks for it; the rest of it, and time without an interval, is unknown.
    """
    clipped = [(interval.category, *_clip(interval.start, interval.end, start, end)) for interval in intervals]
    claims = [claim for claim in clipped if claim[1] < claim[2]]
    proofs = merged([Evidence(*_clip(proof.start, proof.end, start, end)) for proof in evidence])
    cuts = sorted({start, end, *(at for claim in claims for at in claim[1:]), *(at for proof in proofs for at in (proof.start, proof.end))})
    time = dict.fromkeys(Category, _ZERO)
    proof_index = 0
    for begin, finish in pairwise(cuts):
        while proof_index < len(proofs) and proofs[proof_index].end <= begin:
            proof_index += 1
        proven = proof_index < len(proofs) and proofs[proof_index].start <= begin
        time[_category(begin, finish, claims, proven=proven)] += finish - begin
    return Elements(time)


def merged(evidence: Iterable[Evidence]) -> list[Evidence]:
    """The same time as disjoint stretches in order."""
    joined: list[Evidence] = []
    for proof in sorted((proof for proof in evidence if proof.start < proof.end), key=lambda proof: proof.start):
        if joined and proof.start <= joined[-1].end:
            joined[-1] = Evidence(joined[-1].start, max(joined[-1].end, proof.end))
        else:
            joined.append(proof)
    return joined


def _category(begin: datetime, finish: datetime, claims: Sequence[tuple[Category, datetime, datetime]], *, proven: bool) -> Category:
    claiming = [category for category, start, end in claims if start <= begin and finish <= end]
    if not claiming:
        return Category.DATA_UNKNOWN
    first = min(claiming, key=PRIORITY.index)
    return Category.DATA_UNKNOWN if first in _NEEDS_EVIDENCE and not proven else first


def _clip(start: datetime, end: datetime | None, earliest: datetime, latest: datetime) -> tuple[datetime, datetime]:
    return max(start, earliest), latest if end is None else min(end, latest)


def _ratio(part: timedelta, whole: timedelta) -> float | None:
    return part / whole if whole else None
