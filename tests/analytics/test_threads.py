"""The number of threads changes no bit; what is computed on one of several machines is tried in test_compute."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from vigia.analytics.prognosis.calibration import ProbabilityCalibration


@pytest.mark.parametrize("seed", range(3))
def test_a_calibration_is_the_same_with_any_number_of_threads(seed: int) -> None:
    """As many rows as FD001 has: with so many, linear algebra shares out its sums."""
    rng = np.random.default_rng(seed)
    probability = rng.random(20_631)
    fails = rng.random(20_631) < probability**2
    found = set()
    for threads in (1, 2, 3):
        with threadpool_limits(threads, user_api="blas"):
            found.add(ProbabilityCalibration.fit(probability, fails))
    assert len(found) == 1
