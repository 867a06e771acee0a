"""Files as strangers have them: each gives a right result, or a sentence that says what to do."""

import gzip
import json
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from vigia.analytics.detectors.subspace import Subspace
from vigia.analytics.detectors.surprise import THRESHOLD, Surprise
from vigia.analytics.evaluate import files
from vigia.analytics.evaluate.errors import DataError
from vigia.cli import app
from vigia.errors import VigiaError

START = datetime(2026, 1, 1)  # noqa: DTZ001 - as the files have them
ROWS = 600


def run(*arguments: object) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["analytics", *map(str, arguments), "--json"], catch_exceptions=False)

    def refuse(word: str) -> None:
        raise AssertionError(word)

    found: dict[str, Any] = json.loads(done.stdout, parse_constant=refuse)
    return found


def said(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["analytics", *map(str, arguments), "--json"])
    assert isinstance(done.exception, VigiaError), done.output
    return str(done.exception)


def stamp(row: int) -> str:
    return str(START + timedelta(seconds=row))


def rows(seed: int = 1) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    load = rng.normal(size=ROWS)
    return np.column_stack((load, load + 0.1 * rng.normal(size=ROWS)))


def skab_text(values: NDArray[np.float64], first: int = 500, last: int = 550) -> str:
    lines = ["datetime;A;B;anomaly;changepoint"]
    lines += [f"{stamp(at)};{a!r};{b!r};{float(first <= at < last)};0.0" for at, (a, b) in enumerate(values.tolist())]
    return "\n".join(lines) + "\n"


@pytest.fixture
def skab(tmp_path: Path) -> Path:
    values = rows()
    values[500:550, 1] += 3.0
    path = tmp_path / "skab/valve2/0.csv"
    path.parent.mkdir(parents=True)
    path.write_text(skab_text(values))
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "  \n") + "   \n\n",
        lambda text: "\ufeff" + text,
        lambda text: text.replace(";", ","),
    ],
)
def test_how_lines_end_and_fields_are_parted_does_not_matter(skab: Path, change: Callable[[str], str]) -> None:
    expected = run("evaluate", "skab", "--data", skab.parent)
    skab.write_bytes(change(skab.read_text()).encode())
    assert run("evaluate", "skab", "--data", skab.parent) == expected


def test_a_file_there_plain_and_compressed_counts_once_and_hidden_ones_never(skab: Path) -> None:
    expected = run("evaluate", "skab", "--data", skab.parent)
    with gzip.open(skab.parent / "0.csv.gz", "wt") as file:
        file.write(skab.read_text())
    (skab.parent / "._0.csv").write_bytes(b"\x00\x05\x16\x07")
    assert run("evaluate", "skab", "--data", skab.parent) == expected


def test_rates_of_what_there_is_none_of_are_null(skab: Path) -> None:
    skab.write_text(skab_text(rows(), 0, 0))
    assert run("evaluate", "skab", "--data", skab.parent)["mar"] is None
    skab.write_text(skab_text(rows(), 0, ROWS))
    assert run("evaluate", "skab", "--data", skab.parent)["far"] is None


def test_a_channel_without_a_value_is_left_out(skab: Path) -> None:
    values = rows()
    values[500:550, 1] += 3.0
    text = skab_text(values).replace("A;B", "A;B;C").split("\n")
    with_empty = [text[0], *(";".join((*line.split(";")[:3], "", *line.split(";")[3:])) for line in text[1:-1])]
    expected = run("evaluate", "skab", "--data", skab.parent)
    skab.write_text("\n".join(with_empty))
    assert run("evaluate", "skab", "--data", skab.parent) == expected


@pytest.mark.parametrize("value", [math.inf, -math.inf, 1e300])
def test_a_reading_that_cannot_be_counts_as_missing(value: float) -> None:
    values, holes = rows(), rows()
    values[100, 0] = values[450, 1] = value
    holes[100, 0] = holes[450, 1] = math.nan
    assert np.array_equal(Subspace.fit(values[:400]).watch(values).ratio, Subspace.fit(holes[:400]).watch(holes).ratio)


def test_constant_channels_do_not_alarm_until_they_move() -> None:
    constant = np.full((ROWS, 2), 7.0)
    learned = Subspace.fit(constant)
    assert np.isfinite(learned.watch(constant).ratio).all()
    assert learned.watch(constant).ratio.max() < 1.0
    assert learned.watch(constant + 0.1).ratio[-1] > 1.0


@pytest.mark.parametrize("value", [math.inf, -math.inf, 1e30, 1e300])
def test_a_series_goes_on_surprising_after_a_reading_that_cannot_be(value: float) -> None:
    ts = np.arange(4_000) * 300_000_000
    series = np.random.default_rng(1).normal(20.0, 1.0, 4_000)
    series[500] = value
    series[3_500] += 1_000.0
    scores = Surprise().score(ts, series)
    assert np.isfinite(scores).all()
    assert scores[3_500] >= THRESHOLD
    assert np.count_nonzero(scores[501:3_500] >= THRESHOLD) <= 10


@pytest.fixture
def nab(tmp_path: Path) -> Path:
    path = tmp_path / "nab/real/machine.csv"
    path.parent.mkdir(parents=True)
    value = np.random.default_rng(1).normal(10, 1, 1_000)
    value[700:720] += 12
    path.write_text("timestamp,value\n" + "".join(f"{stamp(300 * at)},{one}\n" for at, one in enumerate(value.tolist())))
    windows = {"real/machine.csv": [[stamp(300 * 690), stamp(300 * 740)], [stamp(300 * 900), stamp(300 * 920)]], "real/gone.csv": []}
    (tmp_path / "nab/combined_windows.json").write_text(json.dumps(windows))
    return path


def test_a_window_after_the_files_end_is_no_window(nab: Path) -> None:
    nab.write_text("\n".join(nab.read_text().split("\n")[:801]))
    assert run("evaluate", "nab", "--data", nab.parents[1])["windows"] == 1


def test_a_file_without_rows_and_result_files_change_no_figure(nab: Path) -> None:
    expected = run("evaluate", "nab", "--data", nab.parents[1])
    (nab.parent / "gone.csv").write_text("timestamp,value\n")
    again = run("evaluate", "nab", "--data", nab.parents[1], "--out", nab.parents[1] / "results")
    assert again == expected | {"files": 2}
    assert run("evaluate", "nab", "--data", nab.parents[1], "--out", nab.parents[1] / "results") == again


@pytest.mark.parametrize("labels", ["[1]", "{", '{"real/machine.csv": [["a"]]}', '{"real/machine.csv": 1}', '{"x.csv": []}'])
def test_labels_that_cannot_be_used_are_a_sentence(nab: Path, labels: str) -> None:
    (nab.parents[1] / "combined_windows.json").write_text(labels)
    assert "combined_windows.json" in said("evaluate", "nab", "--data", nab.parents[1])


@pytest.fixture
def tep(tmp_path: Path) -> Path:
    mixing = np.random.default_rng(0).normal(size=(10, 52))

    def healthy(seed: int, count: int) -> NDArray[np.float64]:
        rng = np.random.default_rng(seed)
        return np.asarray(rng.normal(size=(count, 10)) @ mixing + 0.2 * rng.normal(size=(count, 52)))

    np.savetxt(tmp_path / "d00.dat", healthy(1, 500).T)
    faulty = healthy(2, 960)
    faulty[160:, 5] += 3.0
    np.savetxt(tmp_path / "d21_te.dat", faulty, newline=" \r\n")
    return tmp_path


def test_false_alarms_are_counted_before_the_faults_where_d00_te_is_missing(tep: Path) -> None:
    found = run("evaluate", "tep", "--data", tep)
    assert list(found["detection_rate_by_fault"]) == ["21"]
    assert found["far"] == found["far_before_faults"] < 0.02
    assert found["detection_rate"] > 0.95


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("d21_te.dat", "", "d21_te.dat is empty"),
        ("d21_te.dat", " ".join(["1.0"] * 52) + "\n", "has 1 rows; the fault begins after 160"),
        ("d00.dat", " ".join(["1.0"] * 52) + "\n", "d00.dat: a healthy baseline of 1 rows"),
    ],
)
def test_a_file_too_short_is_a_sentence(tep: Path, name: str, text: str, told: str) -> None:
    (tep / name).write_text(text)
    assert told in said("evaluate", "tep", "--data", tep)


def own(path: Path, header: str, lines: list[str]) -> Path:
    path.write_text(header + "\n" + "\n".join(lines) + "\n")
    return path


def test_a_mode_too_short_to_learn_is_named_and_the_others_judged(tmp_path: Path) -> None:
    lines = [f"{stamp(at)},{a},{b},{'rare' if at >= 580 else 'm'}" for at, (a, b) in enumerate(rows().tolist())]
    found = run("detect", "--csv", own(tmp_path / "own.csv", "at,a,b,mode", lines), "--time", "at", "--mode", "mode")
    assert (found["modes"], found["modes_too_short"], found["healthy_rows"]) == (["m", "rare"], ["rare"], 116)


def test_a_channel_that_begins_later_is_left_out_of_those_together(tmp_path: Path) -> None:
    lines = [f"{stamp(at)},{a},{b},{a if at > 300 else ''}" for at, (a, b) in enumerate(rows().tolist())]
    found = run("detect", "--csv", own(tmp_path / "own.csv", "at,a,b,late", lines), "--time", "at")
    assert found["channels"] == ["a", "b", "late"]
    assert not any("late" in one["channels"] for one in found["findings"] if one["detector"] == "channels together")


def test_one_channel_is_looked_at_alone_in_each_mode(tmp_path: Path) -> None:
    lines = [f"{stamp(at)},{a + 100 * (at // 50 % 2)},{'high' if at // 50 % 2 else 'low'}" for at, (a, _) in enumerate(rows().tolist())]
    path = own(tmp_path / "own.csv", "at,a,mode", lines)
    found = run("detect", "--csv", path, "--time", "at", "--mode", "mode")
    assert all(one["mode"] in {"high", "low"} and one["score"] < 6 for one in found["findings"])


def test_a_time_is_iso_or_seconds_in_any_order(tmp_path: Path) -> None:
    table = files.Table(tmp_path, {"at": ["1970-01-01T01:00:01+01:00", " 1970-01-01 00:00:01 ", "1", "1.5"]})
    assert table.moments("at").tolist() == [1_000_000, 1_000_000, 1_000_000, 1_500_000]
    lines = [f"{at},{a},{b}" for at, (a, b) in enumerate(rows().tolist())]
    straight = run("detect", "--csv", own(tmp_path / "a.csv", "at,a,b", lines), "--time", "at")
    shuffled = [lines[at] for at in np.random.default_rng(1).permutation(ROWS)]
    assert run("detect", "--csv", own(tmp_path / "b.csv", "at,a,b", shuffled), "--time", "at") == straight


@pytest.mark.parametrize("text", ["nan", "inf", "1e30", "1700000000000", "", "0001-01-01T00:00:00+05:00"])
def test_a_time_that_is_none_is_a_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match="is not a time; write"):
        files.Table(tmp_path, {"at": [text]}).moments("at")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\n \n", "is empty"),
        (b"a,b,a\n1,2,3\n", "more than one column 'a'"),
        ("a,b\n1,ñ\n".encode("latin-1"), "save it as UTF-8"),
        (b'a\n"' + b"x" * 200_000, "not a CSV file"),
    ],
)
def test_a_table_that_cannot_be_read_is_a_sentence(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "own.csv").write_bytes(content)
    with pytest.raises(DataError, match=told):
        files.read_table(tmp_path / "own.csv")


def test_a_damaged_archive_is_a_sentence(tmp_path: Path) -> None:
    packed = gzip.compress(b"a,b\n" + np.random.default_rng(1).bytes(500))
    (tmp_path / "own.csv.gz").write_bytes(packed[:40] + b"xxxx" + packed[44:])
    with pytest.raises(DataError):
        files.read_table(tmp_path / "own.csv.gz")


def cmapss(folder: Path, sensors: float, left: str = "10") -> Path:
    """Three engines of 40 cycles, to learn from and to test."""
    rng = np.random.default_rng(1)
    lines = [
        " ".join([str(unit), str(cycle), "0", "0", "100", *(f"{500 + sensors * one:.3f}" for one in rng.normal(size=21))])
        for unit in (1, 2, 3)
        for cycle in range(1, 41)
    ]
    (folder / "train_FD003.txt").write_text(" \r\n".join(lines))
    (folder / "test_FD003.txt").write_text("\n".join(lines))
    (folder / "RUL_FD003.txt").write_text(f"{left}\n20\n30")
    return folder


@pytest.mark.parametrize(
    ("sensors", "left", "horizon", "told"),
    [
        (1.0, "nan", 30, "RUL_FD003 holds a line that is not 0 or more"),
        (1.0, "-1", 30, "RUL_FD003 holds a line that is not 0 or more"),
        (0.0, "10", 30, "no sensor that ever changes"),
        (1.0, "10", 39, "give a shorter --horizon"),
    ],
)
def test_engines_that_teach_nothing_are_a_sentence(tmp_path: Path, sensors: float, left: str, horizon: int, told: str) -> None:
    folder = cmapss(tmp_path, sensors, left)
    assert told in said("evaluate", "cmapss", "--data", folder, "--subset", "FD003", "--horizon", horizon)


def test_blank_and_unnumbered_engines_are_a_sentence(tmp_path: Path) -> None:
    train = cmapss(tmp_path, 1.0) / "train_FD003.txt"
    text = train.read_text()
    train.write_text("nan" + text[1:])
    assert "a row has no unit" in said("evaluate", "cmapss", "--data", tmp_path, "--subset", "FD003")
    train.write_text(" \n")
    assert "is empty" in said("evaluate", "cmapss", "--data", tmp_path, "--subset", "FD003")


def test_three_engines_are_enough_for_figures(tmp_path: Path) -> None:
    found = run("evaluate", "cmapss", "--data", cmapss(tmp_path, 1.0), "--subset", "FD003")
    assert (found["train_units"], found["test_units"]) == (3, 3)
    assert 0 <= found["rmse_capped"] < 60
