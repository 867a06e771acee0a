"""What every page with fleet data begins with: the fleet's time, the layout, the counts of the menu."""

from datetime import UTC, datetime, timedelta

from fastapi import Request

from vigia.portal.language import language_of
from vigia.portal.look import look_of
from vigia.portal.rendering import Ui, menu, static_version
from vigia.store import fleet, model_drift, pages
from vigia.store.database import Transaction
from vigia.store.sessions import Session

_REPLAY_FROM = timedelta(hours=1)


async def fleet_ui(request: Request, caller: Session, tx: Transaction, *, live: bool = True, notice: str = "") -> Ui:
    """The layout of a page with fleet data. `live`: it follows changes by itself."""
    now = await fleet.now(tx)
    look = look_of(request, caller)
    language = language_of(look.language)
    counts = {"/alarms": (await pages.alarm_counts(tx)).unseen} if caller.kind != "technician" else {}
    if caller.kind == "service_manager":
        counts["/models"] = await model_drift.warned(tx)
    return Ui(
        language=language,
        look=look,
        path=request.url.path,
        version=static_version(),
        caller=caller,
        now=now,
        replay=abs(datetime.now(UTC) - now) > _REPLAY_FROM,
        live=live,
        nav=menu(caller, request.url.path, language, counts),
        notice=notice,
    )


def now_of(ui: Ui) -> datetime:
    """The fleet's time on a page that has one."""
    assert ui.now is not None  # noqa: S101 - fleet_ui sets it
    return ui.now
