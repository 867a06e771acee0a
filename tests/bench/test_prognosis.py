"""The prognosis benchmark scores the whole fleet, and its peers are asked in the same run."""

import pytest

from vigia.bench.prognosis import PrognosisBench, measure


def test_a_small_fleet_is_scored_beside_its_peers() -> None:
    found = measure(PrognosisBench(assets=300, rounds=1, trees=5, units=range(1, 12)))
    assert found["assets_per_s"] == pytest.approx(300 / found["seconds"], rel=0.2)
    assert found["explained_share"] == 1
    assert 0 < found["similar_share"] < 1
    assert set(found["peers"]) == {"hist_gradient_boosting", "isolation_forest"}
    assert all(peer["ratio"] > 0 for peer in found["peers"].values())
