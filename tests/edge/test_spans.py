"""Spans behave like a set of integers."""

from hypothesis import given
from hypothesis import strategies as st

from vigia.edge.spans import Spans

STEPS = st.lists(st.tuples(st.sampled_from(["add", "discard_to"]), st.integers(1, 40), st.integers(0, 8)), max_size=30)


@given(STEPS)
def test_spans_hold_what_a_set_would_hold(steps: list[tuple[str, int, int]]) -> None:
    spans, naive = Spans(), set[int]()
    for step, first, length in steps:
        if step == "add":
            spans.add(first, first + length - 1)
            naive |= set(range(first, first + length))
        else:
            spans.discard_to(first)
            naive = {number for number in naive if number > first}
        assert [number for low, high in spans for number in range(low, high + 1)] == sorted(naive)
        assert len(spans) == len(naive)
        assert bool(spans) == bool(naive)
        assert {number for number in range(60) if number in spans} == naive
        assert all(high + 1 < low for (_, high), (low, _) in zip(list(spans), list(spans)[1:], strict=False))
