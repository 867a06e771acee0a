"""What the watch over ingest asks of the database."""

from dataclasses import dataclass
from typing import Any

from vigia.domain.identities import WARNING_DAYS
from vigia.store import queries
from vigia.store.database import Transaction


@dataclass(frozen=True)
class Missing:
    """Runs of batch numbers that nothing explains, and how many `batches` they are. Those on their way count for a moment."""

    holes: int
    batches: int


@dataclass(frozen=True)
class Ending:
    """How many gateways have a certificate that ends within so many days, or has ended within the last thirty."""

    days: int
    ending: int


@dataclass(frozen=True)
class InCharge:
    """A model in charge and what was found of it last; the fields are those of `store.model_drift.Drift` and of its version."""

    asset_model: str
    failure_mode: str
    version: str
    metrics: dict[str, Any]
    inputs: dict[str, dict[str, float]]
    resolved: dict[str, Any]
    warnings: list[str]


async def models(tx: Transaction) -> list[InCharge]:
    """The models in charge that were looked at."""
    return await queries.rows(tx, "watched_models", InCharge)


async def ending(tx: Transaction) -> list[Ending]:
    """Gateways whose certificates end soon, for each of WARNING_DAYS."""
    return await queries.rows(tx, "watched_certificates", Ending, days=list(WARNING_DAYS))


async def missing(tx: Transaction) -> Missing:
    """What is missing of all edges now."""
    found = await queries.first(tx, "watched_holes", Missing)
    assert found is not None  # noqa: S101 - an aggregate has one row
    return found
