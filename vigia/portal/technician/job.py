"""One job on the phone: diagnosis, start, steps, verdict, complete. What was typed survives every refusal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from vigia.api.errors import NotFoundError
from vigia.api.session import Technician, Transaction
from vigia.domain.errors import DomainError, InvalidValueError, SpareUnavailableError
from vigia.portal import words
from vigia.portal.context import fleet_ui
from vigia.portal.language import N_, Language
from vigia.portal.operations.work_orders import ReasonView, reason_view
from vigia.portal.rendering import answer
from vigia.store import fleet, pages
from vigia.store.pages import OrderRow, StepRow
from vigia.store.sessions import Session
from vigia.workflows import complete_step, finish_work_order, start_work_order
from vigia.workflows.finish_work_order import WorkReport

router = APIRouter()

_NOTE_LIMIT = 4000


@dataclass(frozen=True)
class Choice:
    """An option of the report."""

    value: str
    label: str
    chosen: bool


@dataclass(frozen=True)
class Typed:
    """What the person has entered into the report so far."""

    verdict: str = ""
    cause_code: str = ""
    note: str = ""
    replaced_by: str = ""


@dataclass(frozen=True)
class JobPage:
    """A job. `errors` names the field of the report ('' for the job as a whole) and what is wrong with it."""

    order: OrderRow
    reason: ReasonView
    steps: tuple[StepRow, ...]
    done: int
    verdicts: tuple[Choice, ...]
    causes: tuple[Choice, ...]
    typed: Typed
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def step_share(self) -> str:
        """How much of the job is done, as an SVG length."""
        return f"{100 * self.done / max(1, len(self.steps)):.1f}%"


@router.get("/jobs/{work_order_id}")
async def show(request: Request, work_order_id: int, caller: Technician, tx: Transaction) -> Response:
    """The job."""
    return await _answer(request, caller, tx, work_order_id)


@router.post("/jobs/{work_order_id}/start")
async def start(request: Request, work_order_id: int, caller: Technician, tx: Transaction) -> Response:
    """Begin the work."""
    try:
        async with tx.transaction():
            await start_work_order.handle(tx, work_order_id, await fleet.now(tx), caller.account_id)
    except DomainError as error:
        return await _answer(request, caller, tx, work_order_id, Refused("", error))
    return RedirectResponse(f"/jobs/{work_order_id}", 303)


@router.post("/jobs/{work_order_id}/steps/{position}")
async def tick(request: Request, work_order_id: int, position: int, caller: Technician, tx: Transaction) -> Response:
    """A step is done."""
    try:
        async with tx.transaction():
            await complete_step.handle(tx, work_order_id, position, await fleet.now(tx), caller.account_id)
    except DomainError as error:
        return await _answer(request, caller, tx, work_order_id, Refused("", error))
    return RedirectResponse(f"/jobs/{work_order_id}", 303)


class ReportForm(BaseModel):
    """The fields of the report as they are sent."""

    verdict: str = ""
    cause_code: str = ""
    note: str = ""
    replaced_by: str = ""


@router.post("/jobs/{work_order_id}/finish")
async def finish(
    request: Request, work_order_id: int, caller: Technician, tx: Transaction, form: Annotated[ReportForm, Form()]
) -> Response:
    """Complete the job; refused with the reason beside the field, the input kept."""
    typed = Typed(form.verdict, form.cause_code, form.note[:_NOTE_LIMIT], form.replaced_by.strip().upper())
    if typed.verdict not in words.VERDICTS or typed.cause_code not in words.CAUSES:
        return await _answer(request, caller, tx, work_order_id, Refused("", None, typed))
    order = await _order(tx, work_order_id)
    # A replayed fleet's clock may stand still between two clicks; work takes time all the same.
    at = await fleet.now(tx)
    if order.started_at is not None:
        at = max(at, order.started_at + timedelta(minutes=1))
    try:
        async with tx.transaction():
            report = WorkReport(typed.verdict, typed.cause_code, typed.note.strip(), typed.replaced_by or None)
            await finish_work_order.handle(tx, work_order_id, report, at, caller.account_id)
    except DomainError as error:
        place = (
            "replaced_by"
            if isinstance(error, SpareUnavailableError) or (isinstance(error, InvalidValueError) and typed.replaced_by)
            else ""
        )
        return await _answer(request, caller, tx, work_order_id, Refused(place, error, typed))
    return RedirectResponse(f"/jobs/{work_order_id}", 303)


@dataclass(frozen=True)
class Refused:
    """Why a step of the job was not taken. `error` None: the report is not complete."""

    place: str
    error: DomainError | None
    typed: Typed = field(default_factory=Typed)


async def _order(tx: Transaction, work_order_id: int) -> OrderRow:
    order = await pages.order(tx, work_order_id)
    if order is None:
        raise NotFoundError
    return order


async def _answer(request: Request, caller: Session, tx: Transaction, work_order_id: int, refused: Refused | None = None) -> Response:
    ui = await fleet_ui(request, caller, tx, live=False)
    order = await _order(tx, work_order_id)
    steps = tuple(await pages.order_steps(tx, work_order_id))
    typed = refused.typed if refused else Typed()
    language = ui.language
    page = JobPage(
        order=order,
        reason=reason_view(language, order.reason, order.life_unit),
        steps=steps,
        done=sum(1 for step in steps if step.done_at is not None),
        verdicts=tuple(Choice(code, language.text(label), code == typed.verdict) for code, label in words.VERDICTS.items()),
        causes=tuple(Choice(code, language.text(label), code == typed.cause_code) for code, label in words.CAUSES.items()),
        typed=typed,
        errors=_errors(language, refused, order) if refused else {},
    )
    status = 200 if refused is None else 422 if refused.error is None else 409
    return answer("technician/job.html", page, ui, status)


def _errors(language: Language, refused: Refused, order: OrderRow) -> dict[str, str]:
    if refused.error is None:
        found = {}
        if refused.typed.verdict not in words.VERDICTS:
            found["verdict"] = language.text("Say whether the prediction was right.")
        if refused.typed.cause_code not in words.CAUSES:
            found["cause_code"] = language.text("Choose what was found.")
        return found
    if refused.place == "replaced_by":
        if isinstance(refused.error, SpareUnavailableError):
            return {"replaced_by": language.text("No serviceable spare engine is in the pool. Call the dispatcher.")}
        return {"replaced_by": language.text("That serial number is not a serviceable spare of this model. Check it, or leave it empty.")}
    state = words.word(language, words.ORDER_STATES, order.state).lower()
    return {"": language.text(N_("This was not possible now: the order is %(state)s. Nothing was lost."), state=state)}
