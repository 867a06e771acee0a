"""A finding or a prediction raises, updates or clears an alarm here; a predicted failure opens its case.

A drifting sensor alone opens no case: it tells people, and is suppressed while a graver alarm of the machine explains it. A sensor that is
itself at fault has an alarm of its own, which belongs to no case and which nothing of the machine explains.

A sensor that reads otherwise because the machine works otherwise raises none (ISA-18.2: suppressed by design). Until a machine's usual day
is known no limit can promise how seldom a healthy one is beyond it: so long a week's first alarm of a single sensor is its last.

What is over with the readings returns to normal; what somebody has to acknowledge stays until then.
"""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog

from vigia.analytics.detectors.drift import DEFAULTS
from vigia.analytics.detectors.subspace import BaselineError
from vigia.analytics.detectors.together import Baseline
from vigia.domain.alarms import Event
from vigia.domain.risk import Action, Priority, Rule, decide, priority_of
from vigia.store import alarms, baselines, causes, failure_cases, findings, installations
from vigia.store.alarms import NewAlarm, StoredAlarm
from vigia.store.causes import FindingCause, PredictionCause
from vigia.store.changes import announce
from vigia.store.database import Transaction
from vigia.store.failure_cases import NewCase
from vigia.store.locks import lock_role
from vigia.workflows import operating_mode
from vigia.workflows.jobs import defer
from vigia.workflows.step_alarm import show_most_important, step

_PREFIX: Mapping[str, str] = {"drift": alarms.DRIFT, "rate": alarms.RATE, "sensor": alarms.SENSOR, "together": alarms.TOGETHER}
_OF_ONE_SENSOR = {alarms.DRIFT, alarms.RATE}
_A_WEEK = timedelta(days=7)
_LOOKED_CLOSER = {*_OF_ONE_SENSOR, alarms.TOGETHER}

log = structlog.get_logger()


async def handle_finding(tx: Transaction, finding_id: int) -> int | None:
    """The alarm's id, or None if there is none.

    That is so when the machine has left its role since, when it works otherwise than while the sensor's baseline was learned, when the
    sensor is watched together with the others (that watch keeps a budget of false alarms), and when nothing else keeps it, for the second
    in a week.
    """
    cause = await causes.finding(tx, finding_id)
    place = None if cause is None else await installations.current(tx, cause.asset_id)
    if cause is None or place is None or cause.at <= place.installed_at:
        return None
    prefix = _PREFIX[cause.detector]
    other = await operating_mode.other(tx, finding_id)
    if other is not None:
        await findings.explain(tx, finding_id, other)
        log.info("no alarm: another operating mode", finding=finding_id, asset=cause.asset_id, **other)
        return None
    if prefix in _OF_ONE_SENSOR and await _watched_together(tx, finding_id):
        await findings.explain(tx, finding_id, {"watched": "together"})
        return None
    await lock_role(tx, place.role_id)
    open_cases = await failure_cases.open_of_asset(tx, cause.asset_id)
    case_id = open_cases[0].failure_case_id if open_cases else None
    of_case = None if prefix == alarms.SENSOR else case_id
    new = NewAlarm(place.customer_id, place.role_id, cause.asset_id, prefix + cause.point, of_case, Priority.LOW, cause.at, cause.reason)
    if prefix in _OF_ONE_SENSOR and _unsure(cause) and await alarms.of_other_sensors(tx, new, cause.at - _A_WEEK):
        await findings.explain(tx, finding_id, {"budget": "spent"})
        return None
    alarm_id = await _raise(tx, new)
    await show_most_important(tx, cause.asset_id, cause.at)
    if prefix in _LOOKED_CLOSER:
        await defer(tx, "second_opinion", finding_id=finding_id)
    return alarm_id


def _unsure(cause: FindingCause) -> bool:
    """Whether the sensor's baseline holds no usual day."""
    return float(cause.why.get("learned_over_h", math.inf)) * 3_600 < DEFAULTS.usual


async def handle_over(tx: Transaction, asset_id: int, point_id: int, detector: str, at: datetime) -> None:
    """What was found in a point is over since `at`, and so are the conditions of the alarms it raised."""
    over = await findings.end(tx, asset_id, point_id, detector, at)
    place = await installations.current(tx, asset_id)
    if place is None or not over:
        return
    await lock_role(tx, place.role_id)
    for alarm in await alarms.open_of_asset(tx, asset_id):
        if alarm.reason.get("finding_id") in over:
            await step(tx, alarm, Event.CLEAR, at)
    await show_most_important(tx, asset_id, at)


async def _watched_together(tx: Transaction, finding_id: int) -> bool:
    known = await baselines.of_finding(tx, finding_id)
    try:
        return known is not None and bool(Baseline.from_bytes(known.body))
    except BaselineError:  # which ingest leaves out as well
        return False


async def handle_prediction(tx: Transaction, prediction_id: int, model_rule_id: int | None = None) -> int | None:
    """The failure case's id if the prediction raised an alarm, else None.

    Decides by the rule that who made the prediction decided by (None: the model's own), from the predictions as they stand, so that a
    repeated job changes nothing. A machine that has failed already needs no prediction.
    """
    cause = await causes.prediction(tx, prediction_id)
    if cause is None:
        return None
    await lock_role(tx, cause.role_id)
    place = await installations.current(tx, cause.asset_id)
    if place is None or place.role_id != cause.role_id:
        return None
    rule = await causes.rule(tx, cause, model_rule_id)
    alarm = await _open_alarm(tx, cause.asset_id, alarms.FAILURE_PREDICTED + cause.failure_mode)
    active = alarm is not None and alarm.status.active
    action = decide(await causes.probabilities(tx, cause, rule.consecutive), rule, active=active)
    if action is Action.RAISE:
        failed = any(case.failed_at is not None for case in await failure_cases.open_of_asset(tx, cause.asset_id))
        return None if failed else await _failure_predicted(tx, cause, rule, model_rule_id)
    if alarm is not None and action is Action.CLEAR:
        await step(tx, alarm, Event.CLEAR, cause.at)
        await show_most_important(tx, cause.asset_id, cause.at)
    elif alarm is not None and active:
        await _escalate(tx, alarm, cause, rule)
    return None


async def raise_alarm(tx: Transaction, new: NewAlarm) -> None:
    """Raise an alarm, or tell the open one of the same condition the newest reason; the gravest of the machine stays in sight."""
    await _raise(tx, new)
    await show_most_important(tx, new.asset_id, new.at)


async def clear_alarm(tx: Transaction, asset_id: int, condition: str, now: datetime) -> None:
    """The condition no longer holds; nothing happens when no such alarm is open."""
    alarm = await _open_alarm(tx, asset_id, condition)
    if alarm is not None:
        await step(tx, alarm, Event.CLEAR, now)
        await show_most_important(tx, asset_id, now)


async def _failure_predicted(tx: Transaction, cause: PredictionCause, rule: Rule, model_rule_id: int | None) -> int:
    case = await failure_cases.open_case(
        tx,
        NewCase(
            cause.customer_id,
            cause.role_id,
            cause.asset_id,
            cause.failure_mode,
            opened_at=cause.at,
            prediction_id=cause.prediction_id,
            model_rule_id=model_rule_id,
        ),
    )
    condition = alarms.FAILURE_PREDICTED + cause.failure_mode
    priority = priority_of(cause.life_p50)
    await raise_alarm(
        tx,
        NewAlarm(cause.customer_id, cause.role_id, cause.asset_id, condition, case.failure_case_id, priority, cause.at, cause.reason(rule)),
    )
    await defer(tx, "case_to_work_order", failure_case_id=case.failure_case_id, at=cause.at)
    return case.failure_case_id


async def _raise(tx: Transaction, new: NewAlarm) -> int:
    raised = await alarms.raise_new(tx, new)
    if raised is not None:
        await announce(tx, "alarm", new.customer_id, new.role_id)
        return raised.alarm_id
    alarm = await _open_alarm(tx, new.asset_id, new.condition)
    assert alarm is not None  # noqa: S101 - the role is locked: the alarm that was in the way is still open
    await step(tx, alarm, Event.RAISE, new.at)
    await alarms.describe(tx, alarm, new.priority, new.reason, new.failure_case_id)
    return alarm.alarm_id


async def _escalate(tx: Transaction, alarm: StoredAlarm, cause: PredictionCause, rule: Rule) -> None:
    """Tell an open alarm that the failure has come closer; a smaller urgency is not worth a change."""
    priority = priority_of(cause.life_p50)
    if priority.rank < Priority(alarm.priority).rank:
        await alarms.describe(tx, alarm, priority, cause.reason(rule))
        await announce(tx, "alarm", alarm.customer_id, alarm.role_id)


async def _open_alarm(tx: Transaction, asset_id: int, condition: str) -> StoredAlarm | None:
    return next((alarm for alarm in await alarms.open_of_asset(tx, asset_id) if alarm.condition == condition), None)
