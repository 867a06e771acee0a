"""The figures of `vigia bench query` come from queries that return what is stored, and nothing stays."""

from pathlib import Path

from bench_harness import check_nothing_stays, databases

from vigia.bench.query import QueryBench, Week, measure


def test_a_small_week_is_measured_for_staff_and_for_the_customer(either_dsn: str, tmp_path: Path) -> None:
    before = databases(either_dsn)
    found = measure(QueryBench(tmp_path / "home", either_dsn, rows=100_000, repetitions=2))
    check_nothing_stays(either_dsn, before)
    assert not (tmp_path / "home").exists()
    expected = {
        "one_point_7d_1000px": 7 * 24 * 60,
        "twenty_points_24h": 20 * 24 * 60,
        "last_value_100_points": 100,
        "raw_one_point_1h": 60,
        "raw_one_point_1h_open_day": 60,
    }
    for who in ("staff", "customer"):
        figures = found[who]
        assert isinstance(figures, dict)
        assert {name: each["rows_returned"] for name, each in figures.items()} == expected
        assert all(0 < each["p50_ms"] <= each["p95_ms"] for each in figures.values())
    assert found["days_packed"] == (0 if found["database"] == "plain" else 5)
    assert isinstance(found["bytes_per_row"], float)


def test_the_usual_week_has_a_hundred_million_readings_of_ten_thousand_points() -> None:
    week = Week(100_000_000)
    an_hour = week.watched * 3_600 / week.every_s + (week.points - week.watched) * week.burst_s
    assert week.points == 10_000
    assert abs(an_hour * 7 * 24 / 100_000_000 - 1) < 0.01
