"""What the manufacturer pays under a contract, and what the rules that raise its orders are expected to cost. For staff."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from vigia.analytics.prognosis.decision import Expected, expected
from vigia.api.fields import Id, Name
from vigia.api.problems import declared
from vigia.api.routes.contracts import CONTRACTS, ContractRow
from vigia.api.session import ServiceManager, Staff, Transaction
from vigia.domain.contracts import ContractCosts
from vigia.store import contracts, fleet, models
from vigia.store.contracts import StatedCosts, Terms
from vigia.workflows import state_contract_costs
from vigia.workflows.choose_rule import ChosenRule, OrderRules

router = APIRouter(prefix="/api/v1", tags=["outcome"])

Money = Annotated[Decimal | None, Field(default=None, ge=0, max_digits=14, decimal_places=2)]
CENT = Decimal("0.01")


class RaisingRule(BaseModel):
    """An order is raised at that probability or more, so many times in a row, and what that is expected to come to."""

    probability: float = Field(examples=[0.8])
    consecutive: int = Field(examples=[5])
    expected_cost: Decimal = Field(description="Of a machine from new to its order or failure, in currency.", examples=["8890.67"])
    expected_missed: float = Field(description="Share of machines that fail before the visit.", examples=[0.0005])


class MachineCosts(BaseModel):
    """How the orders of a machine are timed."""

    role_id: int = Field(examples=[5])
    asset_id: int = Field(examples=[12])
    failure_mode: str = Field(examples=["hpc_degradation"])
    model_version: str = Field(examples=["20260101T120000Z-1a2b3c4d"])
    lead: float = Field(description="From the order to the visit, in life_unit.", examples=[8])
    rule: RaisingRule = Field(description="The one that costs least: it raises the orders.")
    own_rule: RaisingRule | None = Field(description="The model's own, which would hold without costs.")
    cost_without_prediction: Decimal = Field(description="When every machine runs to failure.", examples=["60000.00"])


class ModelCosts(BaseModel):
    """Costs for machines of one model. Money is a decimal string in `currency`."""

    asset_model: str = Field(examples=["cmapss-fd001"])
    failure: Decimal = Field(description="A failure that no visit forestalled.", examples=["60000.00"])
    visit: Decimal = Field(description="A planned visit with what it replaces.", examples=["8000.00"])
    lost_life: Decimal = Field(description="Each life_unit that a machine had left when it was replaced.", examples=["60.00"])
    life_unit: str = Field(description="UCUM.", examples=["{cycle}"])
    machines: list[MachineCosts] = Field(description="Those that stand somewhere now; none while the model keeps no trials of other rules.")


class StatedContractCosts(BaseModel):
    """What a contract says things cost the manufacturer. Empty: the model's own rule raises its orders."""

    contract_id: int = Field(examples=[1])
    currency: str = Field(description="ISO 4217.", examples=["EUR"])
    costs: list[ModelCosts]


class CostsWanted(BaseModel):
    """Costs for machines of one model, in the contract's currency: all three, or none to state them no more."""

    model_config = ConfigDict(extra="forbid")

    asset_model: Name = Field(description="Its code.", examples=["cmapss-fd001"])
    failure: Money = Field(examples=["60000.00"])
    visit: Money = Field(examples=["8000.00"])
    lost_life: Money = Field(description="For each life unit.", examples=["60.00"])


@router.get("/contracts/{contract_id}/costs", operation_id="get_contract_costs", responses=declared(403, 404))
async def get_costs(contract_id: Id, _caller: Staff, tx: Transaction) -> StatedContractCosts:
    """What things cost, by asset model, and for each machine the rule that raises its orders beside others."""
    return await _told(tx, await CONTRACTS.one(tx, contract_id))


@router.put("/contracts/{contract_id}/costs", operation_id="state_contract_costs", responses=declared(403, 404))
async def state_costs(contract_id: Id, wanted: CostsWanted, caller: ServiceManager, tx: Transaction) -> StatedContractCosts:
    """State what things cost. The rule that raises orders follows with the next prediction."""
    stated = ContractCosts.of(wanted.failure, wanted.visit, wanted.lost_life)
    await state_contract_costs.handle(tx, contract_id, wanted.asset_model, stated, caller.account_id)
    return await _told(tx, await CONTRACTS.one(tx, contract_id))


async def _told(tx: Transaction, contract: ContractRow) -> StatedContractCosts:
    stated, now = await contracts.costs(tx, contract.contract_id), await fleet.now(tx)
    return StatedContractCosts(
        contract_id=contract.contract_id,
        currency=contract.currency,
        costs=[await _of_model(tx, contract.contract_id, one, now) for one in stated],
    )


async def _of_model(tx: Transaction, contract_id: int, stated: StatedCosts, now: datetime) -> ModelCosts:
    machines = []
    for version in await models.versions(tx, stated.asset_model):
        if not version.champion:
            continue
        rules = OrderRules(version)
        for terms in await contracts.terms(tx, version.failure_mode, now, contract_id=contract_id):
            chosen = await rules.of_terms(tx, terms) if terms.asset_model == stated.asset_model else None
            if chosen is not None:
                machines.append(_machine(terms, chosen, rules, version.version, version.failure_mode))
    return ModelCosts(
        asset_model=stated.asset_model,
        failure=stated.failure,
        visit=stated.visit,
        lost_life=stated.lost_life,
        life_unit=stated.life_unit,
        machines=machines,
    )


def _machine(terms: Terms, chosen: ChosenRule, rules: OrderRules, version: str, failure_mode: str) -> MachineCosts:
    own = rules.own_trial()
    return MachineCosts(
        role_id=terms.role_id,
        asset_id=terms.asset_id,
        failure_mode=failure_mode,
        model_version=version,
        lead=chosen.costs.lead,
        rule=_rule(chosen.rule.probability, chosen.rule.consecutive, expected(chosen.trial, chosen.costs)),
        own_rule=None if own is None else _rule(own.rule.probability, own.rule.consecutive, expected(own, chosen.costs)),
        cost_without_prediction=_money(chosen.costs.failure),
    )


def _rule(probability: float, consecutive: int, comes_to: Expected) -> RaisingRule:
    return RaisingRule(
        probability=probability, consecutive=consecutive, expected_cost=_money(comes_to.cost), expected_missed=max(comes_to.missed, 0.0)
    )


def _money(amount: float) -> Decimal:
    return Decimal(amount).quantize(CENT)
