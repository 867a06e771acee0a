"""Work orders: the list, and one order from its reason to its verdict."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response

from vigia.api.errors import NotFoundError
from vigia.api.session import Caller, Transaction
from vigia.portal import words
from vigia.portal.context import fleet_ui
from vigia.portal.horizons import Chance, chances
from vigia.portal.language import Language
from vigia.portal.readings import Share, shares
from vigia.portal.rendering import answer
from vigia.portal.similar import SimilarCase, similar_cases
from vigia.store import pages
from vigia.store.pages import OrderCounts, OrderEventRow, OrderRow, StepRow

router = APIRouter()


@dataclass(frozen=True)
class OrdersPage:
    """Open or finished work orders."""

    orders: tuple[OrderRow, ...]
    counts: OrderCounts
    past: bool
    staff: bool


@dataclass(frozen=True)
class ReasonView:
    """The prediction as it stood when the order was raised; numbers it lacks are None or empty."""

    at: datetime | None
    probability: float | None
    horizon: str
    chances: tuple[Chance, ...]
    life: str
    life_range: str
    shares: tuple[Share, ...]
    similar: tuple[SimilarCase, ...]
    model_version: str
    rule: str
    """by which rule the order was raised, in a sentence"""


@dataclass(frozen=True)
class OrderPage:
    """One work order. `done` counts the finished steps; `mine`: the caller is the technician who does it."""

    order: OrderRow
    reason: ReasonView
    steps: tuple[StepRow, ...]
    done: int
    events: tuple[OrderEventRow, ...]
    staff: bool
    mine: bool


@router.get("/work-orders")
async def show_list(request: Request, caller: Caller, tx: Transaction, view: str = "open") -> Response:
    """The orders the caller may see."""
    ui = await fleet_ui(request, caller, tx)
    past = view == "past"
    page = OrdersPage(
        tuple(await pages.orders(tx, open_only=not past)), await pages.order_counts(tx), past, staff=caller.customer_id is None
    )
    return answer("operations/work_orders.html", page, ui)


@router.get("/work-orders/{work_order_id}")
async def show(request: Request, work_order_id: int, caller: Caller, tx: Transaction) -> Response:
    """One order."""
    ui = await fleet_ui(request, caller, tx)
    order = await pages.order(tx, work_order_id)
    if order is None:
        raise NotFoundError
    steps = tuple(await pages.order_steps(tx, work_order_id))
    page = OrderPage(
        order=order,
        reason=reason_view(ui.language, order.reason, order.life_unit),
        steps=steps,
        done=sum(1 for step in steps if step.done_at is not None),
        events=tuple(await pages.order_events(tx, work_order_id)),
        staff=caller.customer_id is None,
        mine=caller.kind == "technician" and order.technician_id == caller.account_id and order.finished_at is None,
    )
    return answer("operations/work_order.html", page, ui)


def reason_view(language: Language, reason: Mapping[str, Any], life_unit: str) -> ReasonView:
    """The reason kept with an order. One that was raised after a failure has no prediction."""
    low, middle, high = (reason.get(f"life_{name}") for name in ("p10", "p50", "p90"))
    horizon = reason.get("horizon")
    at = reason.get("at")
    return ReasonView(
        at=datetime.fromisoformat(at) if isinstance(at, str) else None,
        probability=None if reason.get("probability") is None else float(reason["probability"]),
        horizon="" if horizon is None else words.life(language, float(horizon), life_unit),
        chances=chances(language, reason.get("probabilities") or (), life_unit),
        life="" if middle is None else words.life(language, float(middle), life_unit),
        life_range="" if low is None or high is None else language.span(float(low), float(high)),
        shares=shares(language, reason.get("contributions") or (), life_unit)[:5],
        similar=similar_cases(language, reason.get("similar_cases") or (), life_unit),
        model_version=str(reason.get("model_version", "")),
        rule=_rule(language, reason["rule"]) if "rule" in reason else "",
    )


def _rule(language: Language, rule: Mapping[str, Any]) -> str:
    times, least = int(rule["consecutive"]), language.percent(rule["probability"])
    if rule["by_cost"]:
        return language.plural(
            "Raised at %(probability)s or more: the rule that is expected to cost least under this contract.",
            "Raised at %(probability)s or more, %(count)s times in a row: the rule that is expected to cost least under this contract.",
            times,
            probability=least,
        )
    return language.plural(
        "Raised at %(probability)s or more: the model's own rule.",
        "Raised at %(probability)s or more, %(count)s times in a row: the model's own rule.",
        times,
        probability=least,
    )
