"""Report by exception lets news pass and nothing else."""

import math

from vigia.edge.report import ByException, Rule
from vigia.edge.samples import Sample, Value


def passing(rules: list[Rule], *readings: tuple[int, Value | None]) -> list[Value | None]:
    report = ByException(rules)
    return [sample.value for ts, value in readings for sample in report.new([Sample("d", "p", ts, value)])]


def test_without_a_rule_everything_passes() -> None:
    assert passing([], (0, 1.0), (1, 1.0)) == [1.0, 1.0]
    assert passing([Rule("d", "other", 1.0, None)], (0, 1.0), (1, 1.0)) == [1.0, 1.0]


def test_a_number_passes_when_it_left_the_dead_band_around_the_last_one_sent() -> None:
    assert passing([Rule("*", "p", 1.0, None)], (0, 10.0), (1, 10.6), (2, 10.9), (3, 11.0), (4, 10.1)) == [10.0, 11.0]


def test_without_a_dead_band_a_change_passes() -> None:
    assert passing([Rule("*", "*", 0.0, None)], (0, 1), (1, 1), (2, 2), (3, 1.0)) == [1, 2, 1.0]


def test_it_is_never_silent_for_longer_than_allowed() -> None:
    assert passing([Rule("*", "*", 9.0, 10)], (0, 1.0), (9, 1.0), (10, 1.1), (19, 1.2), (20, 1.3)) == [1.0, 1.1, 1.3]


def test_not_a_number_passes_once() -> None:
    assert [str(value) for value in passing([Rule("*", "*", 1.0, None)], (0, 1.0), (1, math.nan), (2, math.nan), (3, 1.0))] == [
        "1.0",
        "nan",
        "1.0",
    ]


def test_a_change_of_quality_or_type_passes() -> None:
    report = ByException([Rule("*", "*", 9.0, None)])
    assert (
        len(report.new([Sample("d", "p", 0, 1.0), Sample("d", "p", 1, 1.0, 0), Sample("d", "p", 2, None, 0), Sample("d", "p", 3, "x", 0)]))
        == 4
    )


def test_the_first_rule_that_fits_counts() -> None:
    assert passing([Rule("d", "p", 5.0, None), Rule("*", "*", 0.0, None)], (0, 1.0), (1, 2.0)) == [1.0]


def test_another_machine_at_the_device_starts_afresh() -> None:
    report = ByException([Rule("*", "*", 9.0, None)])
    report.new([Sample("d", "p", 0, 1.0)])
    report.forget(["d"])
    assert report.new([Sample("d", "p", 1, 1.0)])
