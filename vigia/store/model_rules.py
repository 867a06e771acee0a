"""The rules for raising orders that were tried when a model was trained, on machines that it had not seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vigia.store import queries
from vigia.store.database import Transaction


@dataclass(frozen=True)
class ModelRule:
    """One row of `model_rule`."""

    model_rule_id: int
    probability: float
    consecutive: int
    clear_probability: float
    machines: int
    ordered: int
    """those for which an order would have been raised"""
    at_order: list[float]
    """life left at the order, in the asset model's life unit, ascending: of each of the ordered, or quantiles"""


@dataclass(frozen=True)
class RuleNumbers:
    """What a rule decides by."""

    probability: float
    consecutive: int
    clear_probability: float


async def add(tx: Transaction, model_version_id: int, tried: Sequence[Mapping[str, Any]]) -> None:
    """Keep the rules that were tried; each has the columns of `ModelRule` but the id."""
    async with tx.cursor() as cursor:
        await cursor.executemany(queries.sql("model_rules_add"), [{"model_version_id": model_version_id, **one} for one in tried])


async def of_version(tx: Transaction, model_version_id: int) -> list[ModelRule]:
    """The rules of a model version, in the order they were tried; none of a version trained before they were kept."""
    return await queries.rows(tx, "model_rules", ModelRule, model_version_id=model_version_id)


async def get(tx: Transaction, model_rule_id: int) -> RuleNumbers | None:
    """The rule, or None."""
    return await queries.first(tx, "model_rule", RuleNumbers, model_rule_id=model_rule_id)
