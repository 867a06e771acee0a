"""Sets of batch numbers kept as spans: a long backlog costs as little as a short one."""

from bisect import bisect_left
from collections.abc import Iterator


class Spans:
    """A set of integers as disjoint, sorted spans; both ends of a span are included."""

    def __init__(self) -> None:
        self._spans: list[tuple[int, int]] = []

    def __bool__(self) -> bool:
        return bool(self._spans)

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self._spans)

    def __contains__(self, number: int) -> bool:
        at = bisect_left(self._spans, number, key=lambda span: span[1])
        return at < len(self._spans) and self._spans[at][0] <= number

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._spans)

    def add(self, first: int, last: int) -> None:
        """Add the numbers `first` to `last`; none when `last` is lower."""
        if last < first:
            return
        # Spans that touch or overlap become one.
        start = bisect_left(self._spans, first - 1, key=lambda span: span[1])
        end = start
        while end < len(self._spans) and self._spans[end][0] <= last + 1:
            first, last = min(first, self._spans[end][0]), max(last, self._spans[end][1])
            end += 1
        self._spans[start:end] = [(first, last)]

    def discard_to(self, last: int) -> None:
        """Remove every number up to `last`."""
        while self._spans and self._spans[0][0] <= last:
            first_last = self._spans.pop(0)
            if first_last[1] > last:
                self._spans.insert(0, (last + 1, first_last[1]))

    def first(self) -> tuple[int, int]:
        """The lowest span. Raises IndexError when the set is empty."""
        return self._spans[0]

    def clear(self) -> None:
        """Remove everything."""
        self._spans.clear()
