"""When a contract's orders are raised: what a failure, a visit and life thrown away cost, and the rules these choose among."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from vigia.analytics.prognosis.decision import GRID, Costs, Trial, expected
from vigia.api.fields import Id
from vigia.api.session import ServiceManager, Transaction
from vigia.domain.contracts import Contract, ContractCosts
from vigia.domain.errors import InvalidValueError, NotFoundError
from vigia.portal.charts import percent
from vigia.portal.context import fleet_ui, now_of
from vigia.portal.language import N_, Language
from vigia.portal.rendering import answer
from vigia.store import contracts, models, pages
from vigia.store.contracts import StatedCosts
from vigia.store.database import Transaction as StoreTransaction
from vigia.store.models import ModelVersion
from vigia.store.sessions import Session
from vigia.workflows import state_contract_costs
from vigia.workflows.choose_rule import ChosenRule, OrderRules

router = APIRouter()

_SAID = {
    "stated": N_("The costs are stated. From the next prediction on, orders follow them."),
    "withdrawn": N_("No costs are stated any more. From the next prediction on, orders follow each model's own rule."),
}
_PARTS = ("failure", "visit", "lost_life")
_COLUMN = 0.7
"""Of a bar's place."""


@dataclass(frozen=True)
class Line:
    """A rule beside others. `trial` is None where every machine runs to failure."""

    label: str
    chosen: bool
    trial: Trial | None
    cost: float
    missed: float
    lead_p10: float
    lead_p50: float
    lead_p90: float
    """life left at the order; 0 without orders"""


@dataclass(frozen=True)
class Bar:
    """What orders at that probability are expected to cost beside the visit, drawn: failures below, life thrown away on top."""

    probability: float
    x: str
    width: str
    middle: str
    lost_y: str
    lost_height: str
    failed_y: str
    failed_height: str
    chosen: bool


@dataclass(frozen=True)
class RuleView:
    """A rule that costs have chosen for machines of one failure mode. `lead` is the median of theirs."""

    failure_mode: str
    version: str
    machines: int
    lead: float
    rule: Trial
    lines: tuple[Line, ...]
    bars: tuple[Bar, ...]
    at_edge: bool
    """no later or earlier rule was tried"""
    tried_on: int


@dataclass(frozen=True)
class CostsView:
    """The costs of machines of one model, as typed where that was refused. `rules` is empty while they are not stated."""

    asset_model: str
    name: str
    life_unit: str
    stated: bool
    typed: Mapping[str, str]
    errors: Mapping[str, str]
    rules: tuple[RuleView, ...]


@dataclass(frozen=True)
class ContractPage:
    """A contract's costs, a part for each model of machine that stands under it."""

    contract: Contract
    customer: str
    parts: tuple[CostsView, ...]
    said: str


class CostsForm(BaseModel):
    """The costs as they are sent; all empty: they are stated no more."""

    asset_model: str = ""
    failure: str = ""
    visit: str = ""
    lost_life: str = ""


@dataclass(frozen=True)
class _Refused:
    form: CostsForm
    errors: Mapping[str, str]


@router.get("/contracts/{contract_id}")
async def show(request: Request, contract_id: Id, caller: ServiceManager, tx: Transaction, said: str = "") -> Response:
    """The costs and the rules they choose."""
    return await _page(request, contract_id, caller, tx, said)


@router.post("/contracts/{contract_id}/costs")
async def state(request: Request, contract_id: Id, caller: ServiceManager, tx: Transaction, form: Annotated[CostsForm, Form()]) -> Response:
    """State the costs, or with three empty fields state them no more."""
    amounts = {part: _amount(getattr(form, part)) for part in _PARTS}
    errors = {part: N_("Write an amount of 0 or more, such as 8000 or 8000.50.") for part in _PARTS if amounts[part] is None}
    given = [part for part in _PARTS if getattr(form, part).strip()]
    if given:
        errors |= {part: N_("State all three, or none.") for part in _PARTS if part not in given}
        try:
            stated = None if errors else ContractCosts.of(*(amounts[part] for part in _PARTS))
        except InvalidValueError:
            errors = dict.fromkeys(_PARTS, N_("Write an amount of 0 or more, such as 8000 or 8000.50."))
    else:
        stated, errors = None, {}
    if errors:
        return await _page(request, contract_id, caller, tx, _Refused(form, errors))
    await state_contract_costs.handle(tx, contract_id, form.asset_model, stated, caller.account_id)
    return RedirectResponse(f"/contracts/{contract_id}?said={'withdrawn' if stated is None else 'stated'}", 303)


async def _page(request: Request, contract_id: int, caller: Session, tx: StoreTransaction, told: str | _Refused = "") -> Response:
    refused = told if isinstance(told, _Refused) else None
    contract = await contracts.get(tx, contract_id)
    if contract is None:
        raise NotFoundError
    ui = await fleet_ui(request, caller, tx, live=False)
    language = ui.language
    stated = {one.asset_model: one for one in await contracts.costs(tx, contract_id)}
    parts = []
    for kind in await pages.models_of_contract(tx, contract_id):
        costs = stated.get(kind.code)
        own = refused if refused is not None and refused.form.asset_model == kind.code else None
        rules = [] if costs is None else await _rules(tx, language, contract_id, costs, now_of(ui))
        parts.append(
            CostsView(
                asset_model=kind.code,
                name=kind.name,
                life_unit=kind.life_unit,
                stated=costs is not None,
                typed=_typed(costs) if own is None else own.form.model_dump(),
                errors={} if own is None else {part: language.text(text) for part, text in own.errors.items()},
                rules=tuple(rules),
            )
        )
    customer = await pages.customer_name(tx, contract.customer_id)
    said = language.text(_SAID[told]) if isinstance(told, str) and told in _SAID else ""
    page = ContractPage(contract, customer, tuple(parts), said)
    return answer("operations/contract.html", page, ui, 200 if refused is None else 422)


def _amount(text: str) -> Decimal | None:
    try:
        amount = Decimal(text.strip())
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and amount >= 0 else None


def _typed(costs: StatedCosts | None) -> dict[str, str]:
    return dict.fromkeys(_PARTS, "") if costs is None else {part: str(getattr(costs, part)) for part in _PARTS}


async def _rules(tx: StoreTransaction, language: Language, contract_id: int, stated: StatedCosts, now: datetime) -> Sequence[RuleView]:
    found = []
    for version in await models.versions(tx, stated.asset_model):
        if not version.champion:
            continue
        rules = OrderRules(version)
        chosen: dict[int, list[ChosenRule]] = defaultdict(list)
        for terms in await contracts.terms(tx, version.failure_mode, now, contract_id=contract_id):
            one = await rules.of_terms(tx, terms) if terms.asset_model == stated.asset_model else None
            if one is not None:
                chosen[one.model_rule_id].append(one)
        found += [_rule(language, version, rules, of_rule) for of_rule in chosen.values()]
    return sorted(found, key=lambda one: (one.failure_mode, -one.machines))


def _rule(language: Language, version: ModelVersion, rules: OrderRules, machines: Sequence[ChosenRule]) -> RuleView:
    """Of the machines for which the same rule was chosen, the one of the median lead speaks."""
    typical = sorted(machines, key=lambda one: one.costs.lead)[len(machines) // 2]
    best, costs = typical.trial, typical.costs
    row = sorted((one for one in rules.tried if one.rule.consecutive == best.rule.consecutive), key=lambda one: one.rule.probability)
    place, own = row.index(best), rules.own_trial()
    compared = [(language.text(N_("This rule")), best)]
    if own is not None and own is not best:
        compared.append((language.text(N_("The model's own")), own))
    if place:
        compared.append((language.text(N_("A step earlier")), row[place - 1]))
    if place < len(row) - 1:
        compared.append((language.text(N_("A step later")), row[place + 1]))
    lines = [_line(label, one, costs, chosen=one is best) for label, one in compared]
    lines.append(Line(language.text(N_("No prediction")), False, None, costs.failure, 1.0, 0.0, 0.0, 0.0))  # noqa: FBT003 - a field
    ends = {GRID[0].consecutive, GRID[-1].consecutive}
    return RuleView(
        failure_mode=version.failure_mode,
        version=version.version,
        machines=len(machines),
        lead=costs.lead,
        rule=best,
        lines=tuple(lines),
        bars=tuple(_bars(row, costs, place)),
        at_edge=place in {0, len(row) - 1} or best.rule.consecutive in ends,
        tried_on=best.machines,
    )


def _line(label: str, trial: Trial, costs: Costs, *, chosen: bool) -> Line:
    comes_to = expected(trial, costs)
    return Line(label, chosen, trial, comes_to.cost, max(comes_to.missed, 0.0), *trial.lead())


def _bars(row: Sequence[Trial], costs: Costs, chosen: int) -> Sequence[Bar]:
    of_rules = [expected(one, costs) for one in row]
    failed = np.array([costs.failure * max(one.missed, 0.0) for one in of_rules])
    visits = np.array([costs.visit * one.ordered / one.machines for one in row])
    lost = np.maximum(np.array([one.cost for one in of_rules]) - failed - visits, 0.0)
    highest, each = max(float((failed + lost).max()), 1e-9), 1 / len(row)
    failed, lost = failed / highest, lost / highest
    return [
        Bar(
            probability=one.rule.probability,
            x=percent((number + (1 - _COLUMN) / 2) * each),
            width=percent(_COLUMN * each),
            middle=percent((number + 0.5) * each),
            lost_y=percent(1 - failed[number] - lost[number]),
            lost_height=percent(lost[number]),
            failed_y=percent(1 - failed[number]),
            failed_height=percent(failed[number]),
            chosen=number == chosen,
        )
        for number, one in enumerate(row)
    ]
