"""What a back-test is told of a contract in the database."""

import statistics

from vigia.analytics.evaluate.cmapss import FAILURE_MODE
from vigia.analytics.prognosis.decision import Costs
from vigia.domain.contracts import life_within
from vigia.errors import ConfigError
from vigia.store import contracts, fleet
from vigia.store.database import Transaction


async def costs_of(tx: Transaction, name: str, asset_model: str, lead: float) -> Costs:
    """What the contract of that name states, and the median lead of its machines in life units; `lead` where nobody can tell."""
    found = await contracts.named(tx, name)
    if len(found) != 1:
        raise ConfigError(f"--contract {name!r}: {'several contracts have' if found else 'no contract has'} that name.")
    stated = next((one for one in await contracts.costs(tx, found[0].contract_id) if one.asset_model == asset_model), None)
    if stated is None:
        raise ConfigError(f"--contract {name!r} states no costs for {asset_model!r}: state them with PUT /api/v1/contracts/{{id}}/costs.")
    terms = await contracts.terms(tx, FAILURE_MODE, await fleet.now(tx), contract_id=found[0].contract_id)
    leads = [life_within(one.lead, one.life_unit, units=one.units, span=one.span) for one in terms if one.asset_model == asset_model]
    known = [one for one in leads if one is not None]
    return Costs(float(stated.failure), float(stated.visit), float(stated.lost_life), statistics.median(known) if known else lead)
