"""A machine reports that it operates or has failed; what its role's time counts as from then on is written here."""

from datetime import datetime

from vigia.domain.availability import Category
from vigia.domain.failure_cases import UNSPECIFIED, FailureCase
from vigia.domain.risk import Priority
from vigia.domain.states import CYCLE, Reported, Stretch, stretches
from vigia.domain.work_orders import State, advance
from vigia.store import alarms, contracts, failure_cases, installations, states, visits, work_orders
from vigia.store.alarms import NewAlarm
from vigia.store.changes import announce
from vigia.store.database import Transaction
from vigia.store.failure_cases import NewCase
from vigia.store.installations import Installation
from vigia.store.locks import lock_role
from vigia.store.states import NewInterval
from vigia.store.work_orders import WorkOrder
from vigia.workflows import dispatch_day
from vigia.workflows.finding_to_alarm import clear_alarm, raise_alarm
from vigia.workflows.jobs import defer

_REPORTED = (Category.UP, Category.SUPPLIER_DOWN)


async def handle(tx: Transaction, asset_id: int, state: int, at: datetime) -> None:
    """The asset's state point changed to `state` (see domain.states) with the reading of `at`.

    Readings of a machine that has left its role since, or that is being worked on, change nothing.
    """
    seen = await installations.at(tx, asset_id, at)
    if seen is None:
        return
    await lock_role(tx, seen.role_id)
    place = await installations.at(tx, asset_id, at)
    if place is None or place.removed_at is not None or await _in_work(tx, asset_id):
        return
    if await _is_late(tx, place, state, at):
        await _rewrite(tx, place, at)
    if state == Reported.OPERATING:
        await _operating(tx, place, at)
    elif state == Reported.FAILED:
        await _failed(tx, place, at)


async def _in_work(tx: Transaction, asset_id: int) -> bool:
    for order in await work_orders.open_of_asset(tx, asset_id):
        visit = await visits.open_of_order(tx, order.work_order_id)
        if visit is not None and visit.started_at is not None:
            return True
    return False


async def _is_late(tx: Transaction, place: Installation, state: int, at: datetime) -> bool:
    """Whether what is written down begins after the time that this reading speaks for."""
    last = await states.newest(tx, place.role_id)
    if last is None:
        return False
    runs_already = state == Reported.OPERATING and last.category == Category.UP and last.ended_at is None
    return at < last.started_at or (runs_already and max(place.installed_at, at - CYCLE) < last.started_at)


async def _rewrite(tx: Transaction, place: Installation, at: datetime) -> None:
    """A late reading: what the role's time counted as around it follows anew from all readings, where nothing but readings made it."""
    written = await states.stretches_from(tx, place.role_id, at - CYCLE)
    before = written.pop(0) if written and written[0].ended_at is not None and written[0].ended_at < at - CYCLE else None
    if not written or any(
        one.work_order_id is not None
        or one.asset_id != place.asset_id
        or one.category not in _REPORTED
        or one.started_at < place.installed_at
        for one in written
    ):
        return
    earliest = place.installed_at if before is None or before.ended_at is None else max(place.installed_at, before.ended_at)
    first = None
    if before is not None and at > written[0].started_at:
        first = Stretch(Category(written[0].category), written[0].started_at)
    changes = await states.reported(tx, place.asset_id, earliest if first is None else first.started_at)
    made = stretches(changes, earliest, first)
    if not made or made[0].started_at > written[0].started_at:
        return  # readings that made what is written are no longer kept
    if [(one.category, one.started_at, one.ended_at) for one in written] == [(one.category, one.started_at, one.ended_at) for one in made]:
        return
    await states.remove(tx, written)
    for one in made:
        await states.begin(tx, NewInterval(place.customer_id, place.role_id, place.asset_id, one.category, one.started_at, one.ended_at))
    await announce(tx, "state", place.customer_id, place.role_id)


async def _operating(tx: Transaction, place: Installation, at: datetime) -> None:
    since = max(place.installed_at, at - CYCLE)
    last = await states.newest(tx, place.role_id)
    if last is not None and last.ended_at is None:
        if last.category == Category.UP or at <= last.started_at:
            return
        # It runs again without anybody's visit: at the latest when it said so.
        since = since if since > last.started_at else at
        await states.end(tx, last, since)
        await clear_alarm(tx, place.asset_id, alarms.FAILED, at)
    elif last is not None and last.ended_at is not None:
        since = max(since, last.ended_at)
    await states.begin(tx, NewInterval(place.customer_id, place.role_id, place.asset_id, Category.UP, since))
    await announce(tx, "state", place.customer_id, place.role_id)


async def _failed(tx: Transaction, place: Installation, at: datetime) -> None:
    await _down(tx, place, at)
    case = await _case(tx, place, at)
    await failure_cases.record_failure(tx, case.failure_case_id, at)
    await raise_alarm(
        tx,
        NewAlarm(
            place.customer_id,
            place.role_id,
            place.asset_id,
            alarms.FAILED,
            case.failure_case_id,
            Priority.CRITICAL,
            at,
            {"failed_at": at.isoformat()},
        ),
    )
    orders = await work_orders.open_of_asset(tx, place.asset_id)
    if not orders:
        await defer(tx, "case_to_work_order", failure_case_id=case.failure_case_id, at=at)
    for order in orders:
        await _make_urgent(tx, order, at)


async def _down(tx: Transaction, place: Installation, at: datetime) -> None:
    last = await states.newest(tx, place.role_id)
    if last is not None:
        ended_later = last.ended_at is not None and last.ended_at > at
        if last.started_at > at or ended_later or (last.ended_at is None and last.category == Category.SUPPLIER_DOWN):
            return
        if last.ended_at is None:
            await states.end(tx, last, at)
    await states.begin(tx, NewInterval(place.customer_id, place.role_id, place.asset_id, Category.SUPPLIER_DOWN, at))
    await announce(tx, "state", place.customer_id, place.role_id)


async def _case(tx: Transaction, place: Installation, at: datetime) -> FailureCase:
    """The case that foresaw it, the one with an order first; else a new one."""
    found = await failure_cases.open_of_asset(tx, place.asset_id)
    if found:
        return found[0]
    return await failure_cases.open_case(
        tx, NewCase(place.customer_id, place.role_id, place.asset_id, UNSPECIFIED, opened_at=at, failed_at=at)
    )


async def _make_urgent(tx: Transaction, order: WorkOrder, failed_at: datetime) -> None:
    """The prediction came true before the visit: the order stays what it was, and hurries."""
    contract = await contracts.in_force(tx, order.customer_id, failed_at)
    if contract is None:
        return
    await work_orders.make_urgent(tx, order.work_order_id, failed_at + contract.corrective_lead + contract.visit_duration)
    if order.state in {State.DRAFT, State.TRIAGED}:
        # A failed machine gets its visit whether or not somebody approved the prediction.
        await work_orders.set_state(tx, order, advance(State(order.state), State.APPROVED), failed_at)
        await defer(tx, "dispatch_day", at=failed_at)
    await dispatch_day.after_failure(tx, order, contract, failed_at)
    await announce(tx, "work_order", order.customer_id, order.role_id)
