"""With a handful of failures the prognosis rests on wear or on survival, says which, and is honest about machines it has not seen."""

from dataclasses import replace

import numpy as np
import pytest

from vigia.analytics.evaluate import cmapss, turbofan
from vigia.analytics.prognosis import features
from vigia.analytics.prognosis.errors import TrainingDataError
from vigia.analytics.prognosis.explain import AGE, LEAST_LOSS
from vigia.analytics.prognosis.follow import Cycle, Follower, Outcome
from vigia.analytics.prognosis.model import Method, Prognosis
from vigia.analytics.prognosis.survival import Weibull
from vigia.analytics.prognosis.train import History, train


def follow(model: Prognosis, history: History) -> list[Outcome]:
    follower, inputs = Follower(model), np.hstack((history.settings, history.sensors))
    row = follower.begin()
    waves = [[Cycle(row, values, age, wanted=True)] for values, age in zip(inputs, history.ages, strict=True)]
    return [outcome for outcome in follower.advance(waves) if outcome is not None]


@pytest.fixture(scope="module")
def five(runs: list[cmapss.Run]) -> Prognosis:
    return train(turbofan.histories(runs[:5]), turbofan.options(30.0))


def blind(history: History) -> History:
    """The same life, of a machine whose sensors say nothing."""
    return replace(history, sensors=np.random.default_rng(len(history.ages)).normal(0, 1, history.sensors.shape))


def test_five_real_failures_teach_how_far_engines_wear(five: Prognosis, runs: list[cmapss.Run]) -> None:
    assert (five.method, five.metrics["method"]) == (Method.WEAR, "wear")
    for history in turbofan.histories(runs[10:16]):
        outcomes = follow(five, history)
        assert outcomes[20].probability < 0.2
        assert outcomes[-1].probability > 0.7
        assert outcomes[-1].life_p50 < 30 < outcomes[40].life_p50
        assert outcomes[-1].reasons
        assert all(one.within[0] <= one.within[1] == one.probability <= one.within[2] for one in outcomes)
        assert sum(reason.share for reason in outcomes[-1].reasons) <= 1 + 1e-9 or len(outcomes[-1].reasons) == 5


def test_sensors_that_say_nothing_leave_the_survival_curve(runs: list[cmapss.Run]) -> None:
    model = train([blind(history) for history in turbofan.histories(runs[:5])], turbofan.options(30.0))
    assert (model.method, model.metrics["method"]) == (Method.SURVIVAL, "survival")
    outcomes = follow(model, blind(turbofan.histories(runs[10:11])[0]))
    assert outcomes[20].probability < outcomes[-1].probability
    assert outcomes[-1].life_p50 < outcomes[20].life_p50
    for one in outcomes:
        assert one.within[0] <= one.within[1] == one.probability <= one.within[2]
    assert (np.diff([one.within[2] for one in outcomes]) >= 0).all()  # the older, the likelier
    for one, age in zip(outcomes, runs[10].cycles, strict=True):
        ((point, share, lost, value, healthy),) = one.reasons
        assert (point, value, healthy) == (AGE, age, 0.0)
        assert lost == pytest.approx(model.judge.weibull.mean_life(np.zeros(1), 125.0)[0] - model.judge(np.array([[age]]))[1][0])
        assert share == pytest.approx(min(lost / LEAST_LOSS, 1.0))
        assert not one.similar


def test_the_interval_of_few_machines_is_wide(five: Prognosis, runs: list[cmapss.Run]) -> None:
    inside = [
        outcome.life_p10 <= min(left, five.life_cap) <= outcome.life_p90
        for history in turbofan.histories(runs[5:16])
        for outcome, left in zip(follow(five, history), history.remaining, strict=True)
    ]
    assert np.mean(inside) > 0.75


@pytest.mark.parametrize("first", [0, 9])
def test_the_interval_of_three_machines_holds_what_it_says(first: int, runs: list[cmapss.Run]) -> None:
    known = turbofan.histories(runs[first : first + 3])
    model, inside = train(known, turbofan.options(30.0)), []
    for history in turbofan.histories(runs[:first] + runs[first + 3 :]):
        (rows,) = features.of_histories(model.spec, [np.hstack((history.settings, history.sensors))], [history.ages])
        said, life = model.forecast(rows), np.minimum(history.remaining, model.life_cap)
        inside += ((said.p10 <= life) & (life <= said.p90)).tolist()
    assert np.mean(inside) > 0.8


def test_one_failure_is_too_few(runs: list[cmapss.Run]) -> None:
    with pytest.raises(TrainingDataError, match="at least 2"):
        train(turbofan.histories(runs[:1]), turbofan.options(30.0))


def test_ten_failures_teach_trees(model: Prognosis) -> None:
    assert model.method is Method.TREES


@pytest.mark.parametrize("censored", [False, True])
def test_the_survival_curve_is_found_again(censored: bool) -> None:  # noqa: FBT001 - a parameter of the test
    generator = np.random.default_rng(4)
    lives = 200 * generator.weibull(4.0, 3000)
    seen_until = generator.uniform(100, 300, len(lives)) if censored else np.full(len(lives), np.inf)
    fitted = Weibull.fit(np.minimum(lives, seen_until), lives <= seen_until)
    assert fitted.shape == pytest.approx(4.0, rel=0.05)
    assert fitted.scale == pytest.approx(200, rel=0.02)
    old = lives[lives > 150]
    assert fitted.survival(np.array([150.0]), 30.0)[0] == pytest.approx(np.mean(old > 180), abs=0.03)
    assert fitted.mean_life(np.array([150.0]), 125.0)[0] == pytest.approx(np.minimum(old - 150, 125).mean(), rel=0.05)


def test_with_one_failure_machines_are_taken_to_wear_out() -> None:
    fitted = Weibull.fit(np.array([100.0, 80.0, 60.0]), np.array([True, False, False]))
    assert fitted.survival(np.array([90.0]), 10.0)[0] < fitted.survival(np.array([10.0]), 10.0)[0]
