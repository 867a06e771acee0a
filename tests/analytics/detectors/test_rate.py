"""Fast changes, the same way several times in a row."""

import numpy as np
from one_sensor import SECOND_US, watched

NOISE = np.random.default_rng(1).normal(50.0, 0.2, 400)


def test_a_bearing_that_heats_up_fast_is_told_while_it_climbs() -> None:
    values = NOISE.copy()
    values[300:310] += np.arange(1, 11) * 3.0
    values[310:] += 30.0
    (sign,) = watched(values, "rate")
    assert 302 <= sign.reading <= 304
    assert sign.why["direction"] == "up"
    assert 2.0 < float(sign.why["per_second"]) < 4.0
    assert 0.1 < float(sign.why["usual_per_second"]) < 0.4
    assert sign.score > 1.0


def test_a_jump_and_a_spike_are_no_ramp() -> None:
    jump, spike = NOISE.copy(), NOISE.copy()
    jump[300:] += 30.0
    spike[300] += 30.0
    assert watched(jump, "rate") == watched(spike, "rate") == []


def test_the_same_climb_in_more_time_is_slow() -> None:
    values = NOISE.copy()
    values[300:310] += np.arange(1, 11) * 3.0
    step = np.full(400, SECOND_US)
    step[300:310] = 60 * SECOND_US
    assert watched(values, "rate", ts=np.cumsum(step)) == []


def test_noise_is_never_fast() -> None:
    assert watched(np.random.default_rng(2).normal(0.0, 1.0, 200_000), "rate") == []
