"""Similar past cases: the nearest moment of each known machine, never of the machine itself, and what became of it."""

import numpy as np
import pytest

from vigia.analytics.evaluate import cmapss, turbofan
from vigia.analytics.prognosis.explain import LEAST_HEALTH, LEAST_PROBABILITY
from vigia.analytics.prognosis.features import PER_SENSOR
from vigia.analytics.prognosis.follow import Cycle, Follower, Outcome
from vigia.analytics.prognosis.model import Prognosis
from vigia.analytics.prognosis.similar import CASES, MOMENTS, Known, Library

pytestmark = pytest.mark.xdist_group("prognosis")

SENSORS = 3


def library(generator: np.random.Generator, machines: int) -> tuple[Library, list[np.ndarray]]:
    lives = [generator.normal(0, 1, (60, len(PER_SENSOR) * SENSORS)) for _ in range(machines)]
    known = [Known(work_order_id=40 + at, asset_id=100 + at, ended="failed") for at in range(machines)]
    return Library.of(known, [(life, np.arange(60.0)[::-1]) for life in lives], SENSORS, 125.0), lives


def test_the_nearest_moment_of_each_machine_is_found_as_by_looking_at_all() -> None:
    generator = np.random.default_rng(5)
    known, lives = library(generator, 12)
    asked = generator.normal(0, 1, (20, lives[0].shape[1]))
    found = known.cases(asked, np.arange(20), np.full(20, 103))
    for row, cases in zip(asked, found, strict=True):
        expected = []
        for at, life in enumerate(lives):
            apart = np.sqrt(np.mean(np.square((life - row)[:, known.columns] / known.scale), axis=1))
            nearest = int(np.argmin(apart))
            expected.append((apart[nearest], 40 + at, 59.0 - nearest))
        wanted = sorted(one for one in expected if one[1] != 43)[:CASES]
        assert [(case.known.work_order_id, case.lived_on) for case in cases] == [one[1:] for one in wanted]
        assert [case.distance for case in cases] == pytest.approx([one[0] for one in wanted], rel=1e-4)


@pytest.mark.parametrize("machines", [0, 1, 2, 400])
def test_the_library_is_bounded_and_may_be_short(machines: int) -> None:
    generator = np.random.default_rng(6)
    known, _ = library(generator, machines)
    assert known.points.shape[1] <= MOMENTS
    cases = known.cases(generator.normal(0, 1, (4, len(PER_SENSOR) * SENSORS)), np.arange(4), np.zeros(4, np.int64))
    assert [len(one) for one in cases] == [min(machines, CASES)] * 4


def test_what_became_of_similar_machines_tells_the_life_of_one_never_seen(model: Prognosis, runs: list[cmapss.Run]) -> None:
    history = turbofan.histories(runs[10:11])[0]
    follower = Follower(model)
    row, inputs = follower.begin(), np.hstack((history.settings, history.sensors))
    outcomes: list[Outcome] = [one for one in follower.advance([[Cycle(row, its, np.nan, wanted=True)] for its in inputs]) if one]
    assert all(len(one.similar) in {0, CASES} for one in outcomes)
    assert not any(one.similar for one in outcomes if one.probability <= LEAST_PROBABILITY and one.health >= LEAST_HEALTH)
    assert all(one.similar for one in outcomes if one.probability > 2 * LEAST_PROBABILITY)
    last = outcomes[-1].similar
    assert {case.known.ended for case in last} == {"failed"}
    assert len({case.known.run for case in last}) == CASES
    assert {case.known.run for case in last} <= {str(run.unit) for run in runs[:10]}
    missed = [
        np.median([case.lived_on for case in one.similar]) - left for one, left in zip(outcomes[-80:], history.remaining[-80:], strict=True)
    ]
    assert np.median(np.abs(missed)) < 20
