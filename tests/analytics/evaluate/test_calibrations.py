"""The comparison of calibrations, on real engines."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from vigia.analytics.evaluate import calibrations, cmapss
from vigia.cli import app


def folder(to: Path, runs: list[cmapss.Run]) -> Path:
    rows = [np.column_stack((np.full(len(run.cycles), run.unit), run.cycles, run.settings, run.sensors)) for run in runs]
    np.savetxt(to / "train_FD001.txt", np.vstack(rows))
    return to


def test_every_way_is_compared_on_engines_it_has_not_seen(runs: list[cmapss.Run], tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["analytics", "evaluate", "calibration", "--data", str(folder(tmp_path, runs[:12])), "--json"], catch_exceptions=False
    )
    found: dict[str, Any] = json.loads(done.stdout)
    assert (found["subset"], found["units"]) == ("FD001", 12)
    assert [(one["horizon"], one["score"]) for one in found["compared"]] == [
        (horizon, score) for horizon in (10.0, 30.0, 60.0) for score in ("trees", "life")
    ]
    for one in found["compared"]:
        assert set(one["brier"]) == set(one["log_loss"]) == {"none", "logistic", "isotonic", "beta"}
        assert max(one["brier"].values()) < one["brier_of_the_base_rate"]
        assert one["brier"]["beta"] == pytest.approx(one["brier"]["logistic"], rel=0.1)
    life_within_10 = found["compared"][1]
    assert life_within_10["brier"]["beta"] < 0.8 * life_within_10["brier"]["none"]


def test_too_few_engines_are_a_sentence(runs: list[cmapss.Run], tmp_path: Path) -> None:
    with pytest.raises(cmapss.CmapssError, match="holds 4 engines; trees are learned from 10 or more"):
        calibrations.evaluate(folder(tmp_path, runs[:4]), "FD001")


def test_horizons_that_not_every_engine_outlives_are_left_out(runs: list[cmapss.Run], tmp_path: Path) -> None:
    short = [cmapss.Run(run.unit, *(part[-n:] for part in (run.cycles, run.settings, run.sensors))) for n, run in enumerate(runs[:10], 25)]
    found = calibrations.evaluate(folder(tmp_path, short), "FD001")
    assert {one.horizon for one in found.compared} == {10.0}
