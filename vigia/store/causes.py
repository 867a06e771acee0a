"""What makes a workflow act: a prediction with its model's decision numbers, a finding with its sensor."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vigia.domain.risk import Rule
from vigia.store import model_rules, queries
from vigia.store.database import Transaction


@dataclass(frozen=True)
class PredictionCause:
    """A prediction as a reason. Lives and `horizon` are in `life_unit`."""

    prediction_id: int
    customer_id: int
    role_id: int
    asset_id: int
    failure_mode: str
    at: datetime
    horizon: float
    probability: float
    probabilities: list[dict[str, float]]
    life_p10: float
    life_p50: float
    life_p90: float
    health: float
    contributions: list[dict[str, Any]]
    similar_cases: list[dict[str, Any]]
    model_version: str
    model_metrics: dict[str, Any]
    life_unit: str

    def reason(self, rule: Rule) -> dict[str, object]:
        """As it is kept with the alarm and the order that it caused by `rule`."""
        return {
            "prediction_id": self.prediction_id,
            "at": self.at.isoformat(),
            "probability": self.probability,
            "horizon": self.horizon,
            "probabilities": self.probabilities,
            "life_p10": self.life_p10,
            "life_p50": self.life_p50,
            "life_p90": self.life_p90,
            "life_unit": self.life_unit,
            "health": self.health,
            "contributions": self.contributions,
            "similar_cases": self.similar_cases,
            "model_version": self.model_version,
            "method": self.model_metrics.get("method", "trees"),
            "rule": rule.told,
        }


@dataclass(frozen=True)
class FindingCause:
    """A finding as a reason. `score` is in multiples of the detector's threshold."""

    finding_id: int
    customer_id: int
    asset_id: int
    detector: str
    at: datetime
    score: float
    why: dict[str, Any]
    point: str
    unit: str

    @property
    def reason(self) -> dict[str, object]:
        """As it is kept with the alarm it caused."""
        return {
            "finding_id": self.finding_id,
            "at": self.at.isoformat(),
            "detector": self.detector,
            "point": self.point,
            "unit": self.unit,
            "score": self.score,
            "why": self.why,
        }


@dataclass(frozen=True)
class _Probability:
    probability: float


async def prediction(tx: Transaction, prediction_id: int) -> PredictionCause | None:
    """The prediction, or None."""
    return await queries.first(tx, "cause_prediction", PredictionCause, prediction_id=prediction_id)


async def rule(tx: Transaction, cause: PredictionCause, model_rule_id: int | None) -> Rule:
    """The rule of that id, which the contract's costs chose; None: the model's own."""
    chosen = None if model_rule_id is None else await model_rules.get(tx, model_rule_id)
    if chosen is None:
        return Rule.of_model(cause.model_metrics)
    return Rule(chosen.probability, chosen.consecutive, chosen.clear_probability, by_cost=True)


async def probabilities(tx: Transaction, cause: PredictionCause, count: int) -> list[float]:
    """The last `count` failure probabilities of its asset and failure mode up to this prediction, newest last."""
    found = await queries.rows(
        tx,
        "cause_probabilities",
        _Probability,
        asset_id=cause.asset_id,
        failure_mode=cause.failure_mode,
        until=cause.at,
        count=count,
    )
    return [row.probability for row in reversed(found)]


async def finding(tx: Transaction, finding_id: int) -> FindingCause | None:
    """The finding, or None."""
    return await queries.first(tx, "cause_finding", FindingCause, finding_id=finding_id)
