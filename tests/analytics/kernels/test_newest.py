"""The last rows of each point against a plain look."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import DTypeLike

from vigia.analytics.kernels.newest import last_of_each, unique_sorted


@pytest.mark.parametrize("kind", [np.int32, np.int64])
@settings(deadline=None)
@given(number=st.lists(st.integers(-2, 9), max_size=40).map(sorted))
def test_each_point_has_one_last_row(kind: DTypeLike, number: list[int]) -> None:
    point = np.array(number, kind)
    at = last_of_each(point)
    assert at.tolist() == [i for i in range(len(number)) if i + 1 == len(number) or number[i + 1] != number[i]]
    assert unique_sorted(point).tolist() == sorted(set(number))
    assert unique_sorted(point).dtype == point.dtype
