"""How a benchmark's figure becomes too good: each way is shut."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vigia.analytics.detectors.subspace import Subspace
from vigia.analytics.detectors.surprise import Surprise
from vigia.analytics.evaluate import nab, own, skab, tep
from vigia.analytics.prognosis.train import History, TrainingOptions, train

START = datetime(2026, 1, 1)  # noqa: DTZ001 - as the files have them
ROWS = 700


def stamp(row: int) -> str:
    return str(START + timedelta(seconds=row))


def made(seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    load = rng.normal(size=ROWS)
    return np.column_stack((load, load + 0.1 * rng.normal(size=ROWS)))


def write(path: Path, seed: int, faulty: int = 500, end: int = ROWS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{stamp(at)};{a!r};{b!r};{float(at >= faulty)}" for at, (a, b) in enumerate(made(seed)[:end].tolist())]
    path.write_text("datetime;A;B;anomaly\n" + "\n".join(lines))


@pytest.mark.parametrize("row", [450, 600])
def test_rows_after_one_change_nothing_at_it(row: int) -> None:
    """No centred window, and no scaling by the whole file."""
    rows = made(1)
    wild = rows.copy()
    wild[row:] = 1e3
    ts = np.arange(ROWS) * 60_000_000
    for score in (
        lambda rows: Subspace.fit(rows[:400]).watch(rows).ratio,
        lambda rows: skab.watch(skab.Experiment("one", ("A", "B"), rows, None)).ratio,
        lambda rows: Surprise().score(ts[: len(rows)], rows[:, 0]),
        lambda rows: nab.score(nab.Series("one", [], ts[: len(rows)], rows[:, 0], [])),
    ):
        assert np.array_equal(score(wild)[:row], score(rows)[:row])
        assert np.allclose(score(rows[:row]), score(rows)[:row], rtol=1e-9)


def test_what_is_found_in_ones_own_file_does_not_depend_on_later_rows() -> None:
    rows = made(1)
    rows[300:310, 1] += 5.0
    wild = rows.copy()
    wild[500:] = 1e3
    ts = np.arange(ROWS) * 1_000_000

    def found(rows: NDArray[np.float64], detector: str) -> list[own.OwnFinding]:
        findings = own.detect(own.OwnFile(ts, ("A", "B"), rows, None, ()), 0.2).findings
        return [one for one in findings if one.last < "1970-01-01T00:08" and one.detector == detector]

    for detector in (own.TOGETHER, own.ALONE):
        assert found(rows, detector)
        assert found(wild, detector) == found(rows, detector)


def test_a_file_more_or_less_changes_no_other_files_scores(tmp_path: Path) -> None:
    for name, seed in (("valve1/0.csv", 1), ("valve1/1.csv", 2), ("other/0.csv", 3)):
        write(tmp_path / name, seed)
    all_of_them = {one.name: statistics.ratio for one, statistics in skab.measure(tmp_path)[1]}
    (tmp_path / "valve1/0.csv").unlink()
    less = {one.name: statistics.ratio for one, statistics in skab.measure(tmp_path)[1]}
    assert sorted(less) == ["other/0.csv", "valve1/1.csv"]
    assert all(np.array_equal(ratio, all_of_them[name]) for name, ratio in less.items())


def test_labels_change_no_score(tmp_path: Path) -> None:
    write(tmp_path / "valve1/0.csv", 1)
    told = skab.measure(tmp_path)[1][0][1].ratio
    write(tmp_path / "valve1/0.csv", 1, faulty=420)
    assert np.array_equal(skab.measure(tmp_path)[1][0][1].ratio, told)


def test_windows_and_other_files_change_no_streaming_score(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        path = tmp_path / f"real/{name}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("timestamp,value\n" + "".join(f"{stamp(300 * at)},{one}\n" for at, one in enumerate(made(seed)[:, 0].tolist())))

    def scores(windows: dict[str, list[list[str]]]) -> dict[str, list[float]]:
        (tmp_path / "combined_windows.json").write_text(json.dumps(windows))
        return {series.name: found.tolist() for series, found in nab.measure(tmp_path)[1]}

    both = scores({"real/a.csv": [[stamp(300 * 500), stamp(300 * 550)]], "real/b.csv": []})
    assert scores({"real/a.csv": [], "real/b.csv": []}) == both
    (tmp_path / "real/a.csv").unlink()
    assert scores({"real/b.csv": []}) == {"real/b.csv": both["real/b.csv"]}


def test_rows_are_counted_one_by_one() -> None:
    """No point adjustment: one alarm in an anomaly finds one row, not all."""
    truth, alarm = np.zeros(100, np.bool_), np.zeros(100, np.bool_)
    truth[40:60] = alarm[45] = True
    assert skab.f1(alarm, truth) == pytest.approx(2 / 21)


@pytest.mark.parametrize("scale", [lambda rows: rows * 1.0, lambda rows: np.vstack((rows[:160], rows[160:] * 50.0))])
def test_the_limit_of_the_process_comes_from_d00_alone(tmp_path: Path, scale: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> None:
    mixing = np.random.default_rng(0).normal(size=(10, 52))

    def healthy(seed: int, count: int) -> NDArray[np.float64]:
        rng = np.random.default_rng(seed)
        return np.asarray(rng.normal(size=(count, 10)) @ mixing + 0.2 * rng.normal(size=(count, 52)))

    np.savetxt(tmp_path / "d00.dat", healthy(1, 300))
    np.savetxt(tmp_path / "d01_te.dat", scale(healthy(2, 300)))
    before = tep.measure(tmp_path)[1]["01"].ratio[:160]
    expected = Subspace.fit(np.loadtxt(tmp_path / "d00.dat")).watch(np.loadtxt(tmp_path / "d01_te.dat")[:160])
    assert np.allclose(before, expected.ratio, rtol=1e-9)


def test_a_machine_is_judged_by_what_was_learned_from_others_alone() -> None:
    """Each machine has a mark that tells it, and nothing of its wear: with rows of it on both sides the mark would tell its life."""
    rng = np.random.default_rng(1)
    lives = rng.permutation(np.arange(40, 120, 4))
    histories = []
    for mark, life in zip(rng.normal(size=len(lives)).tolist(), lives.tolist(), strict=True):
        ages = np.arange(1.0, life + 1)
        sensors = np.column_stack((mark + 0.01 * rng.normal(size=life), rng.normal(size=life)))
        histories.append(History(np.zeros((life, 1)), sensors, ages, life - ages))
    options = TrainingOptions("any", ("setting",), ("mark", "noise"), with_age=True, trees=20)
    rmse = train(histories, options).metrics["out_of_fold"]["rmse_capped"]
    without_mark = [[np.mean([life - age for life in lives if life >= age]) - (own - age) for age in range(1, own + 1)] for own in lives]
    assert rmse > 0.9 * np.sqrt(np.mean(np.square(np.concatenate(without_mark))))
