"""The work is done: verdict and cause are kept, a spare takes the role, order, visit, case and alarms close. All or nothing, once."""

from dataclasses import dataclass
from datetime import datetime

from vigia.domain.availability import Category
from vigia.domain.errors import InvalidValueError, SpareUnavailableError, TransitionRefusedError
from vigia.domain.work_orders import State, Verdict, advance
from vigia.store import audit, contracts, failure_cases, installations, states, visits, work_orders
from vigia.store.audit import Action
from vigia.store.changes import announce
from vigia.store.database import Transaction
from vigia.store.installations import Installation, Spare
from vigia.store.states import NewInterval, StateInterval
from vigia.store.visits import Visit
from vigia.store.work_orders import Findings, WorkOrder
from vigia.workflows.start_work_order import locked
from vigia.workflows.step_alarm import retire_all


@dataclass(frozen=True)
class WorkReport:
    """What the technician reports.

    cause_code : ISO 14224 failure mechanism
    replaced_by_serial : the machine that took the role. None: the first serviceable spare of the pool, or, with the verdict
        `wrong`, no change of machine
    """

    verdict: str
    cause_code: str | None = None
    note: str = ""
    replaced_by_serial: str | None = None


@dataclass(frozen=True)
class FinishedWork:
    """What came of it; `replaced_by_serial` is None when the machine stayed."""

    work_order_id: int
    finished_at: datetime
    verdict: str
    serial_number: str
    replaced_by_serial: str | None


async def handle(tx: Transaction, work_order_id: int, report: WorkReport, now: datetime, account_id: int | None) -> FinishedWork:
    """Finish the order at `now`. Finishing it again changes nothing and returns what was written the first time.

    Raises NotFoundError, TransitionRefusedError unless it is in progress, InvalidValueError for an unknown verdict, a time
    before the start or a machine that cannot take the role, SpareUnavailableError when the pool is empty.
    """
    order = await locked(tx, work_order_id)
    if order.finished_at is not None and order.verdict is not None:
        return _result(order)
    visit = await _check(tx, order, report, now)
    spare = await _change_machine(tx, order, report, now)
    findings = Findings(report.verdict, report.cause_code, report.note, spare.asset_id if spare else None)
    await _close_order(tx, order, findings, now, account_id)
    await visits.finish(tx, visit.visit_id, now)
    await _count_time(tx, order, now, stays=spare is None)
    await _close_cases(tx, order, now, account_id, gone=spare is not None)
    detail = {"at": now.isoformat(), "verdict": report.verdict, "replaced_by_serial": spare.serial_number if spare else None}
    await audit.record(tx, Action(account_id, order.customer_id, "finish_work_order", f"work_order:{work_order_id}", detail))
    for kind in ("work_order", "state"):
        await announce(tx, kind, order.customer_id, order.role_id)
    return _result(await work_orders.get(tx, work_order_id) or order)


def _result(order: WorkOrder) -> FinishedWork:
    return FinishedWork(
        order.work_order_id, order.finished_at or order.due_at, order.verdict or "", order.serial_number, order.replaced_by_serial
    )


async def _check(tx: Transaction, order: WorkOrder, report: WorkReport, now: datetime) -> Visit:
    if report.verdict not in set(Verdict):
        raise InvalidValueError(f"A verdict is one of {', '.join(Verdict)}.")
    advance(State(order.state), State.WORK_DONE)
    visit = await visits.open_of_order(tx, order.work_order_id)
    if visit is None or visit.started_at is None:
        raise TransitionRefusedError("The work order has not been started; start it first.")
    if now <= visit.started_at:
        raise InvalidValueError("The work cannot have ended before it started; check the device's clock.")
    return visit


async def _change_machine(tx: Transaction, order: WorkOrder, report: WorkReport, now: datetime) -> Spare | None:
    """Put the spare in the machine's place; None when the machine stays."""
    place = await installations.current(tx, order.asset_id)
    if place is None or place.role_id != order.role_id:
        if report.replaced_by_serial is not None:
            raise InvalidValueError(f"{order.serial_number} has left {order.role_name} already; nothing can replace it there.")
        return None
    if report.verdict == Verdict.WRONG and report.replaced_by_serial is None:
        return None
    spare = await _spare(tx, place, report.replaced_by_serial, now)
    await installations.remove(tx, place, now)
    await installations.install(tx, place.customer_id, place.role_id, spare.asset_id, now)
    await installations.set_condition(tx, order.asset_id, "unserviceable")
    return spare


async def _spare(tx: Transaction, place: Installation, serial: str | None, now: datetime) -> Spare:
    if serial is None:
        spare = await installations.first_spare(tx, place.asset_model_id, now)
        if spare is None:
            raise SpareUnavailableError
        return spare
    spare = await installations.named_spare(tx, place.asset_model_id, serial, now)
    if spare is None:
        raise InvalidValueError(f"There is no {serial} of this model; check the serial number.")
    if spare.installed:
        raise InvalidValueError(f"{serial} is installed elsewhere; name a spare.")
    if not spare.serviceable:
        raise InvalidValueError(f"{serial} is not serviceable; name another spare.")
    return spare


async def _close_order(tx: Transaction, order: WorkOrder, findings: Findings, now: datetime, account_id: int | None) -> None:
    state = State(order.state)
    for following in (State.WORK_DONE, State.VERIFIED, State.CLOSED):
        state = advance(state, following)
        await work_orders.set_state(tx, order, state, now, account_id)
    if findings.verdict != Verdict.WRONG:
        await work_orders.complete_all_steps(tx, order.work_order_id, now)
    await work_orders.finish(tx, order.work_order_id, findings, now)


async def _close_cases(tx: Transaction, order: WorkOrder, now: datetime, account_id: int | None, *, gone: bool) -> None:
    """End what was open for the machine: all of it when it is gone, else this case."""
    await retire_all(tx, order.asset_id, now, account_id)
    if not gone:
        await failure_cases.close(tx, order.failure_case_id, now)
        return
    await failure_cases.close_all_of_asset(tx, order.asset_id, now)
    for other in await work_orders.open_of_asset(tx, order.asset_id):
        await work_orders.set_state(tx, other, State.CANCELLED, now, account_id)
        await work_orders.end_without_work(tx, other.work_order_id, now)
        visit = await visits.open_of_order(tx, other.work_order_id)
        if visit is not None:
            await visits.finish(tx, visit.visit_id, now)


async def _count_time(tx: Transaction, order: WorkOrder, now: datetime, *, stays: bool) -> None:
    """End the stretch of work. A new machine is up from its first operating reading, one that stays from `now`."""
    current = await states.current(tx, order.role_id)
    if current is not None:
        await _end_work(tx, order, current, now)
    if stays:
        begin = now if current is None else max(now, current.started_at)
        await states.begin(tx, NewInterval(order.customer_id, order.role_id, order.asset_id, Category.UP, begin))


async def _end_work(tx: Transaction, order: WorkOrder, current: StateInterval, now: datetime) -> None:
    """Planned work beyond the duration the contract agreed is the supplier's excess."""
    contract = await contracts.in_force(tx, order.customer_id, now)
    agreed_until = now if contract is None else current.started_at + contract.visit_duration
    if current.category != Category.PLANNED_AGREED or now <= agreed_until:
        await states.end(tx, current, now)
        return
    await states.end(tx, current, agreed_until)
    excess = NewInterval(
        order.customer_id,
        order.role_id,
        order.asset_id,
        Category.SUPPLIER_PLANNED_EXCESS,
        agreed_until,
        now,
        order.work_order_id,
    )
    await states.begin(tx, excess)
