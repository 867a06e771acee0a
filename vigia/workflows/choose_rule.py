"""By which rule a machine's orders are raised is chosen here: what its contract says things cost decides, else the model's own rule holds.

The prognosis chooses and names the rule with the job that follows, so that what asks for an alarm and what raises it never disagree.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from vigia.analytics.prognosis import decision
from vigia.analytics.prognosis.decision import Costs, Decision, Trial
from vigia.domain.contracts import life_within
from vigia.domain.risk import Rule
from vigia.store import contracts, model_rules
from vigia.store.contracts import Terms
from vigia.store.database import Transaction
from vigia.store.model_rules import ModelRule
from vigia.store.models import ModelVersion

DEFAULT_LEAD = decision.MISSED_BELOW
"""Life units from the order to the visit of a machine of which nobody can tell yet how fast it is used."""
REMEMBERED = 1_000


@dataclass(frozen=True)
class ChosenRule:
    """The rule that is expected to cost least at `costs`."""

    model_rule_id: int
    costs: Costs
    trial: Trial

    @property
    def rule(self) -> Rule:
        """What it decides by."""
        numbers = self.trial.rule
        return Rule(numbers.probability, numbers.consecutive, numbers.clear_probability, by_cost=True)


@dataclass(frozen=True)
class OrderRule:
    """The rule that raises a machine's orders. `model_rule_id` is None where it is the model's own."""

    rule: Rule
    model_rule_id: int | None = None

    @property
    def named(self) -> dict[str, int]:
        """The argument by which a job names it."""
        return {} if self.model_rule_id is None else {"model_rule_id": self.model_rule_id}


class OrderRules:
    """The rules of a model version: its own, and what it is known that others would have done."""

    def __init__(self, version: ModelVersion) -> None:
        self.own = Rule.of_model(version.metrics)
        self.longest_run = max(self.own.consecutive, decision.LONGEST_RUN)
        self._version = version
        self._tried: dict[int, Trial] | None = None
        self._cheapest = lru_cache(REMEMBERED)(self._choose)

    async def by_machine(self, tx: Transaction, asset_ids: Collection[int], at: datetime) -> dict[int, OrderRule]:
        """The rule of each of these machines: where the contract in force at `at` states costs the one they choose, else `own`."""
        found = dict.fromkeys(asset_ids, OrderRule(self.own))
        for terms in await contracts.terms(tx, self._version.failure_mode, at, asset_ids=list(asset_ids)):
            chosen = await self.of_terms(tx, terms)
            if chosen is not None:
                found[terms.asset_id] = OrderRule(chosen.rule, chosen.model_rule_id)
        return found

    async def of_terms(self, tx: Transaction, terms: Terms) -> ChosenRule | None:
        """The rule at these terms; None if the version was trained before it was kept what other rules would have done."""
        if self._tried is None:
            self._tried = {one.model_rule_id: _trial(one) for one in await model_rules.of_version(tx, self._version.model_version_id)}
        if not self._tried:
            return None
        lead = life_within(terms.lead, terms.life_unit, units=terms.units, span=terms.span)
        return self._cheapest(Costs(terms.failure, terms.visit, terms.lost_life, DEFAULT_LEAD if lead is None else lead))

    def _choose(self, costs: Costs) -> ChosenRule:
        tried = self._tried or {}
        best = decision.cheapest(tried.values(), costs)
        return ChosenRule(next(key for key, one in tried.items() if one is best), costs, best)

    @property
    def tried(self) -> Collection[Trial]:
        """What it is known that each rule would have done, once `of_terms` has looked."""
        return (self._tried or {}).values()

    def own_trial(self) -> Trial | None:
        """What the model's own rule would have done, once `of_terms` has looked; None if it is not among those that were tried."""
        numbers = self.own.probability, self.own.consecutive
        return next((one for one in self.tried if (one.rule.probability, one.rule.consecutive) == numbers), None)


def _trial(row: ModelRule) -> Trial:
    rule = Decision(row.probability, row.consecutive, row.clear_probability)
    return Trial(rule, row.machines, row.ordered, tuple(row.at_order))
