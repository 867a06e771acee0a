"""A trained model is honest about unseen machines, says why, and is the same after saving and loading."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import joblib
import numpy as np
import pytest

from vigia.analytics.evaluate import cmapss, turbofan
from vigia.analytics.prognosis import explain
from vigia.analytics.prognosis import model as model_file
from vigia.analytics.prognosis import train as training
from vigia.analytics.prognosis.calibration import LifeIntervals, OutOfUnit, ProbabilityCalibration
from vigia.analytics.prognosis.errors import ModelFileError
from vigia.analytics.prognosis.follow import Cycle, Follower, Outcome
from vigia.analytics.prognosis.horizons import Horizons, of_life
from vigia.analytics.prognosis.model import Method, Prognosis, lowest_health
from vigia.analytics.prognosis.raw import Raw
from vigia.analytics.prognosis.spread import Spread
from vigia.analytics.prognosis.train import History

pytestmark = pytest.mark.xdist_group("prognosis")  # one process trains the model for both modules


def inputs(run: cmapss.Run) -> np.ndarray:
    return np.hstack((run.settings, run.sensors))


def follow(model: Prognosis, run: cmapss.Run) -> list[Outcome]:
    follower = Follower(model)
    row = follower.begin()
    found = follower.advance([[Cycle(row, values, np.nan, wanted=True)] for values in inputs(run)])
    return [outcome for outcome in found if outcome is not None]


def said(outcomes: Sequence[Outcome]) -> list[tuple[object, ...]]:
    """All that the outcomes say, whoever else was judged with them."""
    return [(*one[:5], one.within, one.reasons, one.similar) for one in outcomes]


@pytest.fixture(scope="module")
def unseen(model: Prognosis, runs: list[cmapss.Run]) -> list[list[Outcome]]:
    return [follow(model, run) for run in runs[10:13]]


class Witness:
    """Stands for trees: remembers which machines it was fitted on and refuses to predict them."""

    predicted: ClassVar[set[float]] = set()

    def __init__(self, rows: np.ndarray) -> None:
        self.fitted = set(rows[:, 0])

    def __call__(self, rows: np.ndarray) -> Raw:
        assert self.fitted.isdisjoint(rows[:, 0])
        self.predicted.update(rows[:, 0])
        return Raw(np.zeros(len(rows)), np.zeros(len(rows)), rows[:, :1])

    def chances(self, rows: np.ndarray, _life: np.ndarray, horizons: tuple[float, ...]) -> np.ndarray:
        return np.zeros((len(rows), len(horizons)))


def test_no_machine_is_predicted_by_trees_that_have_seen_it(runs: list[cmapss.Run], monkeypatch: pytest.MonkeyPatch) -> None:
    def whose(_spec: object, histories: list[training.History]) -> np.ndarray:
        return np.concatenate([history.sensors[:1, 2].repeat(len(history.ages)) for history in histories])[:, None]

    monkeypatch.setattr(training, "_features", whose)
    monkeypatch.setattr(training.Boosters, "fit", lambda told, *_: Witness(told.features))
    learned, options = turbofan.histories(runs), turbofan.options(30.0)
    for fold in range(training.FOLDS):
        training._learn_from(training._Task(learned, options), (Method.TREES, fold))
    assert Witness.predicted == {run.sensors[0, 2] for run in runs}
    assert len(Witness.predicted) == len(runs)


def test_probability_rises_and_life_falls_towards_the_failure(unseen: list[list[Outcome]]) -> None:
    for outcomes in unseen:
        assert outcomes[20].probability < 0.05
        assert outcomes[-1].probability > 0.9
        assert outcomes[20].life_p50 > 80
        assert outcomes[-1].life_p50 < 15
        assert outcomes[20].health > 80
        assert outcomes[-1].health < 20


def test_each_horizon_has_its_probability_and_a_longer_one_no_smaller(unseen: list[list[Outcome]], model: Prognosis) -> None:
    assert model.horizons.every == (10.0, 30.0, 60.0)
    for outcome in (one for outcomes in unseen for one in outcomes):
        soon, main, late = outcome.within
        assert 0 <= soon <= main == outcome.probability <= late <= 1
    for outcomes in unseen:
        assert outcomes[-1].within[0] > 0.5
        assert outcomes[-45].within[0] < 0.2 < outcomes[-45].within[2]


def test_every_horizon_keeps_how_good_it_was(model: Prognosis) -> None:
    kept = model.metrics["horizons"]
    assert [one["horizon"] for one in kept] == [10.0, 30.0, 60.0]
    for one in kept:
        assert one["brier"] < one["brier_of_the_base_rate"] / 2
        assert sum(band["rows"] for band in one["reliability"]) == model.metrics["rows"]
    main = kept[1]
    assert main["brier"] == model.metrics["out_of_fold"]["brier"]
    assert main["reliability"] == model.metrics["reliability"]


def test_probabilities_that_cross_are_put_in_order() -> None:
    generator = np.random.default_rng(5)
    life = np.linspace(0, 125, 200)
    noisy = [generator.random(200) < 1 / (1 + np.exp((life - at) / slope)) for at, slope in ((20, 30), (40, 2))]
    told = np.ones(200, np.bool_)
    fitted = Horizons.fit(30.0, (10.0, 60.0), of_life(life, (10.0, 60.0)), [(fails, told) for fails in noisy])
    soon, main, late = fitted(np.full(200, 0.3), of_life(life, (10.0, 60.0))).values()
    assert (soon <= main).all()
    assert (main <= late).all()
    assert (soon == main).any()
    assert (main == late).any()


def test_a_horizon_within_which_all_failed_is_left_out(runs: list[cmapss.Run]) -> None:
    short = [History(*(part[-55:] for part in (one.settings, one.sensors, one.ages, one.remaining))) for one in turbofan.histories(runs)]
    model = training.train(short, turbofan.options(30.0, trees=2))
    assert model.horizons.every == (10.0, 30.0)
    assert [one["horizon"] for one in model.metrics["horizons"]] == [10.0, 30.0]


def test_what_no_verdict_tells_of_a_horizon_teaches_it_nothing(runs: list[cmapss.Run]) -> None:
    ends = [training.Ended.FAILED, training.Ended.CONFIRMED, training.Ended.SOUND, training.Ended.OPEN]
    histories = [replace(one, ended=ended) for one, ended in zip(turbofan.histories(runs[:4]), ends, strict=True)]
    rows = training._rows(histories, turbofan.options(30.0))
    for horizon in (10.0, 60.0):
        fails, told = rows.within(horizon)
        known = [(int(fails[rows.unit == unit].sum()), int((~told)[rows.unit == unit].sum())) for unit in range(4)]
        within = int(horizon) + 1
        assert known == [(within, 0), (5, within - 5), (0, 0), (0, within)]


def test_quantiles_are_ordered_and_within_the_cap(unseen: list[list[Outcome]], model: Prognosis) -> None:
    for outcome in (one for outcomes in unseen for one in outcomes):
        assert 0 <= outcome.life_p10 <= outcome.life_p50 <= outcome.life_p90 <= model.life_cap
        assert 0 <= outcome.probability <= 1
        assert 0 <= outcome.health <= 100


def test_health_only_falls_between_repairs() -> None:
    assert lowest_health(None, 90.0) == 90.0
    assert lowest_health(80.0, 90.0) == 80.0
    assert lowest_health(80.0, 70.0) == 70.0


def test_contributions_add_up_to_the_predicted_loss_of_life(model: Prognosis, runs: list[cmapss.Run]) -> None:
    bank = model.bank()
    rows = np.array([bank.add(), bank.add()])
    for first, second in zip(inputs(runs[10])[-150:], inputs(runs[11])[-150:], strict=True):
        found = bank.step(rows, np.vstack((first, second)))
    healthy = bank.observe(rows, found).healthy()
    lost = model.judge.contributions(found, healthy)
    loss = model.judge(healthy)[1] - model.judge(found)[1]
    assert (loss > 50).all()
    np.testing.assert_allclose(lost.sum(axis=1), loss)


def test_reasons_name_sensors_with_their_healthy_and_present_value(
    unseen: list[list[Outcome]], model: Prognosis, runs: list[cmapss.Run]
) -> None:
    reasons = unseen[0][-1].reasons
    assert 0 < len(reasons) <= 5
    shares = [reason.share for reason in reasons]
    assert shares == sorted(shares, reverse=True)
    assert 0 < sum(shares) <= 1 + 1e-9
    for reason in reasons:
        assert reason.point in model.spec.used
        series = runs[10].sensors[:, cmapss.SENSORS.index(reason.point)]
        assert reason.healthy == pytest.approx(series[:25].mean())
        assert abs(reason.value - series[-8:].mean()) < abs(reason.value - reason.healthy)


def test_every_prediction_has_reasons_and_those_of_a_healthy_machine_are_small(unseen: list[list[Outcome]], model: Prognosis) -> None:
    for outcome in (one for outcomes in unseen for one in outcomes):
        assert 0 < len(outcome.reasons) <= 5
        assert abs(outcome.reasons[0].lost) == max(abs(reason.lost) for reason in outcome.reasons)
    young = unseen[0][30]
    assert young.probability < explain.LEAST_PROBABILITY
    assert len(young.reasons) == 5
    assert sum(abs(reason.lost) for reason in young.reasons) < 10
    assert all(abs(reason.share) < 1 for reason in young.reasons)
    assert not young.similar
    assert sum(reason.lost for reason in unseen[0][-1].reasons) > model.life_cap / 3


def test_where_hardly_any_life_is_lost_what_moved_most_is_told_whichever_way() -> None:
    lost = np.array([[1.0, -2.0, 0.5], [8.0, -2.0, 1.0], [0.0, 0.0, 0.0]])
    found = explain.Reasons.of(("a", "b", "c"), lost, lost, lost, 2)
    assert [[(one.point, one.share, one.lost) for one in its] for its in found] == [
        [("b", -0.4, -2.0), ("a", 0.2, 1.0)],
        [("a", 8 / 7, 8.0), ("c", 1 / 7, 1.0)],
        [("a", 0.0, 0.0), ("b", 0.0, 0.0)],
    ]


def test_saved_and_loaded_it_predicts_the_same(
    model: Prognosis, runs: list[cmapss.Run], unseen: list[list[Outcome]], tmp_path: Path
) -> None:
    path = tmp_path / "models" / "hpc_degradation-1.joblib"
    loaded = model_file.load(path, model_file.save(model, path))
    assert said(follow(loaded, runs[10])) == said(unseen[0])
    assert loaded.metrics == model.metrics


def test_a_file_that_was_altered_is_refused_before_it_is_unpickled(
    model: Prognosis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.joblib"
    sha256 = model_file.save(model, path)
    path.write_bytes(path.read_bytes() + b"x")
    monkeypatch.setattr(joblib, "load", lambda *_: pytest.fail("unpickled"))
    with pytest.raises(ModelFileError, match=r"m\.joblib is not the one that was registered .* `vigia analytics train`"):
        model_file.load(path, sha256)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"gone\.joblib cannot be read \(No such file"):
        model_file.load(tmp_path / "gone.joblib", "0" * 64)


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.joblib"
    joblib.dump({"format": 0}, path)
    with pytest.raises(ModelFileError, match="another version"):
        model_file.load(path, model_file.hashlib.sha256(path.read_bytes()).hexdigest())


def test_training_is_repeatable(runs: list[cmapss.Run]) -> None:
    first, second = (training.train(turbofan.histories(runs[:10]), turbofan.options(30.0, trees=3)) for _ in range(2))
    assert said(follow(first, runs[10])) == said(follow(second, runs[10]))
    assert first.decision == second.decision


def test_calibration_finds_overconfidence() -> None:
    generator = np.random.default_rng(1)
    odds = generator.normal(0, 1, 20_000)
    fails = generator.random(20_000) < 1 / (1 + np.exp(-odds))
    told = 1 / (1 + np.exp(-3 * odds))
    calibrated = ProbabilityCalibration.fit(told, fails)(told)
    assert np.mean((calibrated - fails) ** 2) < np.mean((told - fails) ** 2)
    assert calibrated[calibrated > 0.8].mean() == pytest.approx(fails[calibrated > 0.8].mean(), abs=0.02)


def test_calibration_finds_a_doubt_of_one_side_only_where_failures_are_many() -> None:
    generator = np.random.default_rng(1)
    told = generator.uniform(0, 1, 40_000)
    fails = generator.random(40_000) < told**3  # what is sound is told as it is, what fails three times as likely
    many, few = ProbabilityCalibration.fit(told, fails), ProbabilityCalibration.fit(told[:100], fails[:100])
    assert np.abs(many(told) - told**3).max() < 0.05
    assert many.failing - many.sound > 1 > abs(few.failing - few.sound)
    logistic = ProbabilityCalibration.fit(told, fails, np.inf)
    assert logistic.failing == logistic.sound
    assert np.mean((many(told) - fails) ** 2) < np.mean((logistic(told) - fails) ** 2)


def test_calibration_never_turns_the_order_round() -> None:
    told = np.linspace(0.01, 0.99, 200)
    backwards = ProbabilityCalibration.fit(told, told < 0.3)
    assert backwards(told) == pytest.approx(np.mean(told < 0.3))
    one_sided = ProbabilityCalibration.fit(told, (told > 0.2) & (told < 0.7), 1e-9)
    assert min(one_sided.failing, one_sided.sound) == 0
    assert (np.diff(one_sided(told)) >= 0).all()


def fleet(generator: np.random.Generator, machines: int) -> tuple[OutOfUnit, np.ndarray]:
    """Machines whose cycles err together and whose lives exceed the cap, where the predicted mean is drawn in; and a moment of each."""
    cycles = generator.integers(130, 300, machines)
    unit = np.repeat(np.arange(machines), cycles)
    life = np.minimum(np.concatenate([np.arange(count)[::-1] for count in cycles]), 125.0)
    error = (generator.normal(0, 8, machines)[unit] + generator.normal(0, 4, len(unit))) * np.minimum(life / 60, 1)
    predicted = np.minimum(life + error, 122.0)
    at = np.cumsum(cycles) - 1 - (generator.random(machines) * cycles).astype(int)
    return OutOfUnit(predicted, life, unit), at


def test_the_reliability_curve_tells_what_was_said_and_what_happened() -> None:
    curve = training.reliability(np.array([0.05, 0.05, 0.85, 0.85, 1.0]), np.array([False, True, True, True, True]))
    assert [(one["said"], one["failed"], one["rows"]) for one in curve] == [(0.05, 0.5, 2), (0.85, 1.0, 2), (1.0, 1.0, 1)]


@pytest.mark.parametrize("wanted", [0.8, 0.9])
@pytest.mark.parametrize("apart", [0.0, 4.0, 30.0])
def test_intervals_hold_the_life_as_often_as_they_say_whatever_the_quantiles_said(wanted: float, apart: float) -> None:
    generator = np.random.default_rng(2)
    low, high = (1 - wanted) / 2, (1 + wanted) / 2

    def told(seen: OutOfUnit) -> np.ndarray:
        return seen.predicted + np.array([[-apart], [0.0], [apart]])

    near, far = [], []
    for _ in range(10):
        known, _ = fleet(generator, 100)
        intervals = LifeIntervals.fit((low, 0.5, high), told(known), known, 125.0)
        new, at = fleet(generator, 400)
        ends = intervals(told(new), new.predicted)
        inside = (ends[low] <= new.life) & (new.life <= ends[high])
        near += inside[at][new.predicted[at] < 100].tolist()
        far += inside[at][new.predicted[at] >= 100].tolist()
    assert np.mean(near) == pytest.approx(wanted, abs=0.04)
    assert np.mean(far) > wanted - 0.04  # where most live longer than the cap, the shortest interval may hold more


def test_with_few_machines_nothing_seen_is_left_out() -> None:
    known, _ = fleet(np.random.default_rng(3), 5)
    told = np.tile(known.predicted, (3, 1))
    ends = LifeIntervals.fit((0.05, 0.5, 0.95), told, known, 125.0)(told, known.predicted)
    assert np.mean((ends[0.05] <= known.life) & (known.life <= ends[0.95])) > 0.98


def test_ends_that_would_cross_meet_and_none_leaves_the_range_of_lives() -> None:
    known, _ = fleet(np.random.default_rng(4), 100)
    wide = known.life + np.array([[-40.0], [-20.0], [1.0], [20.0], [40.0]])
    intervals = LifeIntervals.fit((0.05, 0.1, 0.5, 0.9, 0.95), wide, replace(known, predicted=known.life), 125.0)
    narrow = np.linspace(-5, 130, 200) + np.array([[-3.0], [-2.0], [6.0], [2.0], [3.0]])
    ends = np.array(list(intervals(narrow, narrow[2]).values()))
    assert (np.diff(ends, axis=0) >= 0).all()
    assert ends.min() == 0
    assert ends.max() == 125


def test_quantiles_follow_what_the_mean_does_not_know() -> None:
    generator = np.random.default_rng(6)
    mean, doubt = generator.uniform(30, 100, 20_000), generator.uniform(1, 20, 20_000)
    signs, life = np.column_stack((mean, doubt)), mean + doubt * generator.normal(0, 1, 20_000)
    low, middle, high = Spread.fit((0.1, 0.5, 0.9), signs[:15_000], life[:15_000])(signs[15_000:])
    unseen, doubt = life[15_000:], doubt[15_000:]
    assert np.mean(unseen < middle) == pytest.approx(0.5, abs=0.03)
    for some in (doubt < 5, doubt > 15):
        assert np.mean(unseen[some] < low[some]) == pytest.approx(0.1, abs=0.04)
        assert np.mean(unseen[some] > high[some]) == pytest.approx(0.1, abs=0.04)


def test_outcomes_do_not_depend_on_how_cycles_arrive(model: Prognosis, runs: list[cmapss.Run], unseen: list[list[Outcome]]) -> None:
    follower = Follower(model)
    first, second = follower.begin(), follower.begin()
    found: list[list[Outcome]] = [[], []]
    histories = [inputs(runs[10])[:150], inputs(runs[11])[:150]]
    for start, end in ((0, 1), (1, 2), (2, 50), (50, 51), (51, 150)):
        waves = [[Cycle(row, histories[row][n], np.nan, wanted=True) for row in (first, second)] for n in range(start, end)]
        for index, outcome in enumerate(follower.advance(waves)):
            assert outcome is not None
            found[index % 2].append(outcome)
    assert [said(one) for one in found] == [said(one[:150]) for one in unseen[:2]]


def test_history_that_only_builds_the_state_has_no_outcome(model: Prognosis, runs: list[cmapss.Run]) -> None:
    follower = Follower(model)
    row = follower.begin()
    assert follower.advance([[Cycle(row, inputs(runs[0])[0], np.nan, wanted=False)]]) == [None]
    assert follower.advance([]) == []
    follower.end(row)
    assert follower.begin() == row
