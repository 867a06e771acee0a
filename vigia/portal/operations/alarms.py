"""The alarms: open ones by consequence, acknowledged and shelved from here; and those that are over."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from vigia.api.session import Caller, ServiceManager, Transaction
from vigia.domain.alarms import Shelve
from vigia.domain.errors import InvalidValueError, TransitionRefusedError
from vigia.domain.health import FAILED_CONDITION
from vigia.portal.context import fleet_ui
from vigia.portal.language import N_, Language
from vigia.portal.likeness import second_opinion
from vigia.portal.rendering import answer
from vigia.store import fleet, pages
from vigia.store.pages import AlarmCounts, AlarmRow
from vigia.workflows import acknowledge_alarm, shelve_alarm

router = APIRouter()

SHELVE_HOURS = (1, 4, 8, 24)

_SAID = {
    "acknowledged": N_("The alarm is acknowledged."),
    "shelved": N_("The alarm is shelved. It comes back by itself."),
    "unshelved": N_("The alarm is back in the list."),
    "refused": N_("The alarm has changed meanwhile; the list shows how it stands now."),
}

_SEEN = frozenset({"acknowledged", "normal"})
_HIDDEN = frozenset({"shelved", "suppressed", "out_of_service"})


@dataclass(frozen=True)
class AlarmView:
    """An alarm and what the caller may do with it. `opinion`: whether the shape of its readings was ever seen in health, or empty."""

    row: AlarmRow
    opinion: str
    can_acknowledge: bool
    can_shelve: bool
    can_unshelve: bool

    @property
    def show_life(self) -> bool:
        """Whether a remaining life says anything: not of what has failed, nor of what is over."""
        return self.row.life_p50 is not None and self.row.cleared_at is None and self.row.condition != FAILED_CONDITION


@dataclass(frozen=True)
class AlarmsPage:
    """The open alarms, or those that are over. `hidden` are shelved or explained by another alarm: shown apart."""

    alarms: tuple[AlarmView, ...]
    hidden: tuple[AlarmView, ...]
    counts: AlarmCounts
    over: bool
    staff: bool
    shelve_hours: tuple[int, ...]


@router.get("/alarms")
async def show(request: Request, caller: Caller, tx: Transaction, view: str = "open", said: str = "") -> Response:
    """The alarms the caller may see."""
    over = view == "over"
    ui = await fleet_ui(request, caller, tx)
    if said in _SAID:
        ui = await fleet_ui(request, caller, tx, notice=ui.language.text(_SAID[said]))
    manager = caller.kind == "service_manager"
    views = [_view(ui.language, row, manager=manager) for row in await pages.alarms(tx, open_only=not over)]
    page = AlarmsPage(
        alarms=tuple(one for one in views if one.row.state not in _HIDDEN),
        hidden=tuple(one for one in views if one.row.state in _HIDDEN),
        counts=await pages.alarm_counts(tx),
        over=over,
        staff=caller.customer_id is None,
        shelve_hours=SHELVE_HOURS,
    )
    return answer("operations/alarms.html", page, ui)


@router.post("/alarms/{alarm_id}/acknowledge")
async def acknowledge(alarm_id: int, caller: ServiceManager, tx: Transaction) -> Response:
    """Seen."""
    try:
        async with tx.transaction():
            await acknowledge_alarm.handle(tx, alarm_id, await fleet.now(tx), caller.account_id)
    except TransitionRefusedError:
        return _back("refused")
    return _back("acknowledged")


@router.post("/alarms/{alarm_id}/shelve")
async def shelve(alarm_id: int, caller: ServiceManager, tx: Transaction, hours: Annotated[int, Form()] = SHELVE_HOURS[0]) -> Response:
    """Out of sight for some hours of fleet time, or until the condition clears."""
    now = await fleet.now(tx)
    try:
        async with tx.transaction():
            await shelve_alarm.handle(tx, alarm_id, Shelve(now + timedelta(hours=hours), one_shot=True), now, caller.account_id)
    except (TransitionRefusedError, InvalidValueError):
        return _back("refused")
    return _back("shelved")


@router.post("/alarms/{alarm_id}/unshelve")
async def unshelve(alarm_id: int, caller: ServiceManager, tx: Transaction) -> Response:
    """Back into sight."""
    try:
        async with tx.transaction():
            await shelve_alarm.unshelve(tx, alarm_id, await fleet.now(tx), caller.account_id)
    except TransitionRefusedError:
        return _back("refused")
    return _back("unshelved")


def _view(language: Language, row: AlarmRow, *, manager: bool) -> AlarmView:
    return AlarmView(
        row,
        second_opinion(language, row.second_opinion, row.time_zone),
        can_acknowledge=manager and row.state not in _SEEN | _HIDDEN,
        can_shelve=manager and row.state not in _HIDDEN and row.state != "normal",
        can_unshelve=manager and row.state == "shelved",
    )


def _back(said: str) -> Response:
    return RedirectResponse(f"/alarms?said={said}", 303)
