"""The demo's runs are read as they were recorded, and a wrong file is named."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from vigia.analytics.evaluate import cmapss
from vigia.analytics.evaluate.cmapss import CmapssError


def test_the_demo_ships_all_hundred_engines(training_file: Path) -> None:
    runs = cmapss.read_runs(training_file)
    assert [run.unit for run in runs] == list(range(1, 101))
    assert sum(len(run.cycles) for run in runs) == 20_631
    assert all((np.diff(run.cycles) == 1).all() and run.cycles[0] == 1 for run in runs)
    assert runs[0].remaining()[[0, -1]].tolist() == [191, 0]
    assert cmapss.load_lives(training_file)[1] == 192


def test_columns_are_named_and_have_units(training_file: Path) -> None:
    run = cmapss.read_runs(training_file, [1])[0]
    first = dict(zip(cmapss.SENSORS, run.sensors[0], strict=True))
    assert (first["T2"], first["T50"], first["Nf"], first["W32"]) == (518.67, 1400.60, 2388.06, 23.4190)
    assert run.settings[0].tolist() == [-0.0007, -0.0004, 100.0]
    assert len(cmapss.COLUMNS) == 26
    assert len(cmapss.UNITS) == len(cmapss.SENSORS)


def test_plain_text_reads_like_gzip(training_file: Path, tmp_path: Path) -> None:
    plain = tmp_path / "train.txt"
    with gzip.open(training_file) as packed:
        plain.write_bytes(packed.read())
    for one, other in zip(cmapss.read_runs(plain, [3, 4]), cmapss.read_runs(training_file, [3, 4]), strict=True):
        np.testing.assert_array_equal(one.sensors, other.sensors)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("1 2 3\n", "has 3 columns"), ("a b c\n", "is not a C-MAPSS file"), ("", "is empty")],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: str, complaint: str) -> None:
    wrong = tmp_path / "wrong.txt"
    wrong.write_text(content)
    with pytest.raises(CmapssError, match=complaint):
        cmapss.read_runs(wrong)


def test_a_broken_gzip_file_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.txt.gz"
    wrong.write_bytes(b"not gzip")
    with pytest.raises(CmapssError, match="cannot be read"):
        cmapss.read_runs(wrong)


def test_a_unit_that_is_not_there_is_named(training_file: Path) -> None:
    with pytest.raises(CmapssError, match="has no unit 101"):
        cmapss.read_runs(training_file, [101])
