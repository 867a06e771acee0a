"""Features are causal, the same in batch and in service, and each machine's own."""

import numpy as np
import pytest

from vigia.analytics.evaluate import cmapss
from vigia.analytics.kernels.features import BASELINE_CYCLES
from vigia.analytics.prognosis import features
from vigia.analytics.prognosis.conditions import Conditions
from vigia.analytics.prognosis.features import PER_SENSOR, FeatureBank, FeatureSpec


@pytest.fixture(scope="module")
def spec(runs: list[cmapss.Run]) -> FeatureSpec:
    conditions = Conditions.fit(np.vstack([run.settings for run in runs]), np.vstack([run.sensors for run in runs]))
    return FeatureSpec(cmapss.SETTINGS, cmapss.SENSORS, conditions)


@pytest.fixture(scope="module")
def histories(runs: list[cmapss.Run]) -> list[np.ndarray]:
    return [np.hstack((run.settings, run.sensors)) for run in runs]


def test_sensors_that_never_change_give_no_features(spec: FeatureSpec) -> None:
    assert set(spec.used).isdisjoint({"T2", "P2", "epr", "farB", "Nf_dmd", "PCNfR_dmd"})
    assert {"T50", "Ps30", "phi"} <= set(spec.used)
    assert len(spec.names) == len(PER_SENSOR) * len(spec.used)


def test_a_changed_future_never_changes_the_features_of_the_past(spec: FeatureSpec, histories: list[np.ndarray]) -> None:
    generator = np.random.default_rng(3)
    for history in histories[:3]:
        for cut in (1, 17, 60, len(history) - 1):
            other = history.copy()
            other[cut:] += generator.normal(0, 50, other[cut:].shape)
            whole, changed, short = features.of_histories(spec, [history, other, history[:cut]])
            np.testing.assert_array_equal(whole[:cut], changed[:cut])
            np.testing.assert_array_equal(whole[:cut], short)


def test_cycle_by_cycle_gives_exactly_what_the_batch_gives(spec: FeatureSpec, histories: list[np.ndarray]) -> None:
    batch = features.of_histories(spec, histories)
    bank = FeatureBank(spec, capacity=2)
    for history, expected in zip(histories[:4], batch, strict=False):
        row = np.array([bank.add()])
        found = np.vstack([bank.step(row, values[None]) for values in history])
        np.testing.assert_array_equal(found, expected)


def test_machines_that_come_and_go_do_not_disturb_the_others(spec: FeatureSpec, histories: list[np.ndarray]) -> None:
    expected = features.of_histories(spec, [histories[0]])[0]
    bank = FeatureBank(spec, capacity=1)
    kept, guest = bank.add(), None
    for cycle, values in enumerate(histories[0][:100]):
        if cycle % 7 == 0:
            if guest is not None:
                bank.release(guest)
            guest = bank.add()
        found = bank.step(np.array([guest, kept]), np.vstack((histories[1][cycle], values)))
        np.testing.assert_array_equal(found[1], expected[cycle])


def test_a_released_row_starts_anew(spec: FeatureSpec, histories: list[np.ndarray]) -> None:
    bank = FeatureBank(spec, capacity=1)
    used = bank.add()
    for values in histories[1][:70]:
        bank.step(np.array([used]), values[None])
    bank.release(used)
    assert bank.add() == used
    found = np.vstack([bank.step(np.array([used]), values[None]) for values in histories[0][:80]])
    np.testing.assert_array_equal(found, features.of_histories(spec, [histories[0][:80]])[0])


def test_a_missing_reading_carries_the_last_value(spec: FeatureSpec, histories: list[np.ndarray]) -> None:
    gappy, carried = histories[0].copy(), histories[0].copy()
    gappy[50:53, 6] = np.nan
    carried[50:53, 6] = carried[49, 6]
    found, expected = features.of_histories(spec, [gappy, carried])
    np.testing.assert_array_equal(found, expected)


def test_a_sensor_that_is_never_read_counts_as_average(spec: FeatureSpec, histories: list[np.ndarray]) -> None:
    blind = histories[0].copy()
    column = len(cmapss.SETTINGS) + cmapss.SENSORS.index("T50")
    blind[:, column] = np.nan
    found = features.of_histories(spec, [blind])[0]
    of_t50 = [index for index, name in enumerate(spec.names) if name.startswith("T50:")]
    assert np.isfinite(found).all()
    assert (found[:, of_t50] == 0).all()


def test_a_healthy_machine_reads_its_own_baseline(spec: FeatureSpec, histories: list[np.ndarray]) -> None:
    bank = FeatureBank(spec)
    row = np.array([bank.add()])
    for values in histories[0]:
        found = bank.step(row, values[None])
    column = len(cmapss.SETTINGS) + cmapss.SENSORS.index("T50")
    _, baseline = bank.observe(row, found).readings(spec)
    assert baseline[0, spec.used.index("T50")] == pytest.approx(histories[0][:BASELINE_CYCLES, column].mean())


def test_age_is_the_machines_own_count_where_it_has_one(spec: FeatureSpec, histories: list[np.ndarray]) -> None:
    aged = FeatureSpec(spec.settings, spec.sensors, spec.conditions, with_age=True)
    short = histories[0][:5]
    counted = features.of_histories(aged, [short], [np.arange(100.0, 105.0)])[0]
    seen = features.of_histories(aged, [short])[0]
    assert counted[:, -1].tolist() == [100, 101, 102, 103, 104]
    assert seen[:, -1].tolist() == [1, 2, 3, 4, 5]


def test_conditions_are_told_apart_by_their_settings() -> None:
    generator = np.random.default_rng(5)
    true = generator.integers(0, 3, 3000)
    settings = np.column_stack((np.array([0.0, 20.0, 42.0])[true] + generator.normal(0, 0.002, 3000), generator.normal(0, 0.001, 3000)))
    sensors = np.column_stack((np.array([500.0, 480.0, 445.0])[true] + generator.normal(0, 0.5, 3000), np.full(3000, 7.0)))
    conditions = Conditions.fit(settings, sensors)
    assert len(conditions.centres) == 3
    assert conditions.varying.tolist() == [True, False]
    assert conditions.mean[conditions.of(np.array([[20.0, 0.0]]))][0, 0] == pytest.approx(480, abs=0.2)


def test_noise_around_one_setting_is_one_condition(runs: list[cmapss.Run]) -> None:
    conditions = Conditions.fit(np.vstack([run.settings for run in runs]), np.vstack([run.sensors for run in runs]))
    assert len(conditions.centres) == 1
