"""A sensor at fault is told apart from a machine at fault, and by how it fails."""

import numpy as np
import pytest
from numpy.typing import NDArray
from one_sensor import watched

NOISE = np.random.default_rng(1).normal(50.0, 2.0, 400)
RANGE = (0.0, 100.0)


def after(value: float | NDArray[np.float64], rows: int = 100) -> NDArray[np.float64]:
    values = NOISE.copy()
    values[300 : 300 + rows] = value
    return values


@pytest.mark.parametrize(
    ("values", "fault", "reading"),
    [
        pytest.param(after(np.nan), "drop_out", 304, id="no value any more"),
        pytest.param(after(0.0), "drop_out", 304, id="zero, where the machine never was: a broken wire"),
        pytest.param(after(100.0), "saturation", 304, id="at the end of its range"),
        pytest.param(after(103.0), "saturation", 304, id="beyond it"),
        pytest.param(after(51.0), "flat_line", 330, id="stuck where it was"),
    ],
)
def test_each_fault_is_one_finding_of_the_sensor_and_none_of_the_machine(values: NDArray[np.float64], fault: str, reading: int) -> None:
    (sign,) = watched(values, limits=RANGE)
    assert (sign.detector, sign.reading, sign.why["fault"]) == ("sensor", reading, fault)
    assert sign.score >= 1.0
    assert abs(float(sign.why["baseline"]) - 50.0) < 1.0


def test_a_fault_that_ends_may_come_again() -> None:
    values = after(np.nan, rows=20)
    values[350:370] = 100.0
    assert [sign.why["fault"] for sign in watched(values, limits=RANGE)] == ["drop_out", "saturation"]


def test_a_machine_that_reaches_the_end_of_the_range_slowly_has_drifted_before() -> None:
    values = NOISE + np.clip(np.arange(400) - 200.0, 0, None)
    signs = watched(np.minimum(values, 100.0), limits=RANGE)
    assert [sign.detector for sign in signs] == ["drift", "sensor"]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(np.full(500, 7.0), id="one that never changes"),
        pytest.param(np.round(NOISE / 4) * 4, id="one that knows few values"),
        pytest.param(np.where(np.arange(2_000) % 40, 21.6, 21.61), id="one that changes seldom"),
        pytest.param(np.abs(np.random.default_rng(3).normal(0.0, 1.0, 500)).round(), id="one that is often zero"),
        pytest.param(np.minimum(NOISE + 49.0, 100.0), id="one that is often at the end of its range"),
    ],
)
def test_what_is_usual_for_a_sensor_is_no_fault(values: NDArray[np.float64]) -> None:
    assert watched(values, "sensor", limits=RANGE) == []


def test_single_gaps_and_zeros_are_no_fault_and_count_for_nothing() -> None:
    values = NOISE.copy()
    values[[60, 100, 101, 250]] = [np.nan, 0.0, 0.0, np.inf]
    assert watched(values, limits=RANGE) == []
