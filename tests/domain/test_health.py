"""One NE 107 word for a role, and the order of a list by consequence."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from vigia.domain.health import SILENT_AFTER, Health, Signs, Why, assess

NOW = datetime(2026, 1, 8, tzinfo=UTC)
WELL = Signs(installed=True, failed=False, in_work=False, reading_at=NOW)


@pytest.mark.parametrize(
    ("signs", "health", "why"),
    [
        (WELL, Health.NORMAL, Why.NOTHING_UNUSUAL),
        (replace(WELL, conditions=["failure_predicted:hpc_degradation"]), Health.MAINTENANCE_REQUIRED, Why.PREDICTED),
        (replace(WELL, conditions=["drift:T50"]), Health.OFF_SPEC, Why.DRIFTING),
        (replace(WELL, conditions=["rate:T50", "sensor:T50"]), Health.OFF_SPEC, Why.DRIFTING),
        (replace(WELL, conditions=["sensor:T50"]), Health.CHECK, Why.SENSOR_FAULT),
        (replace(WELL, conditions=["drift:T50", "failure_predicted:hpc_degradation"]), Health.MAINTENANCE_REQUIRED, Why.PREDICTED),
        (replace(WELL, failed=True, conditions=["failure_predicted:hpc_degradation"]), Health.FAILURE, Why.FAILED),
        (replace(WELL, conditions=["failed"]), Health.FAILURE, Why.FAILED),
        (replace(WELL, failed=True, in_work=True), Health.CHECK, Why.IN_WORK),
        (replace(WELL, reading_at=None), Health.CHECK, Why.NO_READINGS),
        (replace(WELL, reading_at=NOW - SILENT_AFTER - timedelta(seconds=1)), Health.CHECK, Why.NO_READINGS),
        (replace(WELL, reading_at=NOW - SILENT_AFTER), Health.NORMAL, Why.NOTHING_UNUSUAL),
        (replace(WELL, installed=False), Health.CHECK, Why.NO_MACHINE),
    ],
)
def test_the_word_and_its_reason(signs: Signs, health: Health, why: Why) -> None:
    found = assess(signs, NOW)
    assert (found.health, found.why) == (health, why)


def test_what_costs_most_to_overlook_comes_first() -> None:
    failed = assess(replace(WELL, failed=True), NOW)
    predicted = assess(replace(WELL, conditions=["failure_predicted:x"]), NOW)
    in_work = assess(replace(WELL, in_work=True), NOW)
    assert failed.rank < predicted.rank < in_work.rank < assess(WELL, NOW).rank
