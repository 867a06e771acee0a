"""The detecting benchmark measures what it says it does."""

import numpy as np

from vigia.analytics import detectors
from vigia.bench import detect


def test_every_part_is_measured() -> None:
    found = detect.measure(rounds=1, peers=False)
    speeds = ("ewma_cusum_values_per_s", "pca_rows_per_s", "pass_values_per_s", "single_values_per_s", "together_values_per_s")
    for figure in (*speeds, "pass_readings", "pass_findings"):
        assert int(str(found[figure])) > 0, figure


def test_the_batch_is_mixed_as_ingests_are() -> None:
    """Each point's readings by time, some before what it has seen, some without a value; points speak unequally often."""
    fleet = detect.made(1)
    batch, state = detect.mixed_batch(fleet, 1), detect.learned(fleet)
    late = batch.ts <= state["last_ts"][batch.row]
    assert 0.01 < late.mean() < 0.03
    assert 0.005 < np.isnan(batch.value).mean() < 0.02
    assert len(np.unique(np.bincount(batch.row))) > 5
    assert (np.diff(batch.ts)[np.diff(batch.row) == 0] >= 0).all()
    assert (state["learned"] == detectors.DEFAULTS.learn).all()
