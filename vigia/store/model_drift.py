"""Whether models in charge still fit: counts of what the fleet sends, what became of predictions, and what was found, a row a day."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, cast

from psycopg.types.json import Jsonb

from vigia.domain.drift import Moved, Resolved
from vigia.store import queries
from vigia.store.database import Transaction
from vigia.store.models import ModelVersion

SAMPLED = 5_000
"""Predictions whose inputs are looked at, the newest first."""
CONFIRMED = 5.0
"""As in training: life units before a confirmed failure in which the machine counts as failing soon."""


@dataclass(frozen=True)
class Drift:
    """One row of `model_drift`. `inputs` by name, `resolved` with the fields of `domain.drift.Resolved`."""

    model_version_id: int
    day: date
    machines: int
    inputs: dict[str, dict[str, float]]
    resolved: dict[str, Any]
    warnings: list[str]

    @property
    def worst(self) -> tuple[str, float] | None:
        """The input that has moved furthest at like wear, and its index."""
        found = [(name, one["psi_at_like_wear"]) for name, one in self.inputs.items()]
        return max(found, key=lambda one: one[1]) if found else None


@dataclass(frozen=True)
class _Count:
    name: str
    band: int
    bin: int
    readings: int


async def spread(tx: Transaction, model: ModelVersion, since: datetime, until: datetime) -> dict[str, list[list[float]]]:
    """Counts by band and bin, of each input of which something was read; empty if the model does not say how its inputs were spread."""
    learned = model.inputs or {}
    inputs: Mapping[str, Mapping[str, Sequence[Any]]] = learned.get("inputs", {})
    if not inputs:
        return {}
    rows = await queries.rows(
        tx,
        "model_drift_spread",
        _Count,
        model_version_id=model.model_version_id,
        since=since,
        until=until,
        at_most=SAMPLED,
        life_edges=learned["life_edges"],
        names=list(inputs),
        edges=Jsonb({name: one["edges"] for name, one in inputs.items()}),
    )
    found: dict[str, list[list[float]]] = {}
    for row in rows:
        counts = found.setdefault(row.name, [[0.0] * len(band) for band in inputs[row.name]["counts"]])
        counts[row.band][row.bin] += row.readings
    return found


async def machines(tx: Transaction, model_version_id: int, since: datetime, until: datetime) -> int:
    """Machines of which the model predicted something in that time."""
    return cast("int", await queries.value(tx, "model_drift_machines", model_version_id=model_version_id, since=since, until=until))


async def resolved(tx: Transaction, model: ModelVersion, shadow: ModelVersion | None = None) -> Resolved:
    """What became of the model's predictions; with `shadow`, of those that this one made too."""
    found = await queries.first(
        tx,
        "model_drift_resolved",
        Resolved,
        model_version_id=model.model_version_id,
        shadow_id=None if shadow is None else shadow.model_version_id,
        confirmed=CONFIRMED,
        life_cap=float(model.metrics.get("life_cap", "inf")),
    )
    assert found is not None  # noqa: S101 - an aggregate has one row
    return found


async def keep(tx: Transaction, model_version_id: int, day: date, found: tuple[int, Mapping[str, Moved], Resolved, Sequence[str]]) -> bool:
    """Store what was found (machines, inputs, resolved, warnings); False if that day has its row already."""
    seen, inputs, outcome, warned = found
    stored = await queries.execute(
        tx,
        "model_drift_keep",
        model_version_id=model_version_id,
        day=day,
        machines=seen,
        inputs=Jsonb({name: asdict(one) for name, one in inputs.items()}),
        resolved=Jsonb(asdict(outcome)),
        warnings=list(warned),
    )
    return bool(stored)


async def newest(tx: Transaction, model_version_id: int | None = None) -> dict[int, Drift]:
    """What was found last, by model; of one model or of all."""
    return {one.model_version_id: one for one in await queries.rows(tx, "model_drift_newest", Drift, model_version_id=model_version_id)}


async def warned(tx: Transaction) -> int:
    """How many models in charge were last found beyond a limit."""
    return cast("int", await queries.value(tx, "model_drift_warned"))


async def champions(tx: Transaction) -> list[ModelVersion]:
    """All models in charge."""
    return await queries.rows(tx, "model_champions", ModelVersion)
