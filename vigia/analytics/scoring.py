"""A whole fleet judged anew by one model, from its readings in the database, to see what it says before it is put in charge.

Nothing is stored. A unit of work is a block of machines whose readings are read where the unit is done, for reading takes longer than
judging (docs/decisions/0022-whoever-scores-a-block-reads-it.md).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from vigia.analytics import training
from vigia.analytics.compute import Compute
from vigia.analytics.inputs import Inputs, PointMap
from vigia.analytics.prognosis import model as model_file
from vigia.analytics.prognosis.model import Prognosis
from vigia.analytics.prognosis.score import Machine, judge_newest
from vigia.store import fleet, installations, predictions
from vigia.store.database import Clock, Database
from vigia.store.models import ModelVersion
from vigia.store.predictions import FollowedPoint, Stretch

MACHINES_AT_ONCE = 64


@dataclass(frozen=True)
class Scored:
    """What a model says of a machine after its newest cycle; lives in the asset model's life unit."""

    serial_number: str
    site: str
    role: str
    at: datetime
    """of that cycle"""
    cycles: int
    """since its installation"""
    probability: float
    life_p10: float
    life_p50: float
    life_p90: float
    health: float
    """the lowest since the installation"""


@dataclass(frozen=True)
class _Task:
    """What all blocks share."""

    dsn: str
    clock: Clock
    model: Prognosis


@dataclass(frozen=True)
class Place:
    """A machine where it stands."""

    serial_number: str
    site: str
    role: str
    stretch: Stretch


async def places(database: Database, asset_model_id: int, at: datetime | None = None) -> list[Place]:
    """All machines of that asset model that stand in a role, or stood in one at `at`, with their readings until then; by serial number."""
    async with database.transaction() as tx:
        until = await fleet.now(tx) if at is None else at
        found = await installations.standing(tx, asset_model_id, until)
    return [Place(one.serial_number, one.site, one.role, Stretch(one.asset_id, one.installed_at, until)) for one in found]


def score(version: ModelVersion, home: Path, found: Sequence[Place], of: tuple[str, Clock], where: Compute) -> list[Scored]:
    """What that model says of each machine that has flown, the likeliest to fail first. `of`: the database's DSN and clock.

    Raises ModelFileError, and DatabaseUnavailableError where a unit is done that cannot reach the database.
    """
    model = model_file.load(training.models_folder(home) / version.file_name, version.sha256)
    blocks = [found[first : first + MACHINES_AT_ONCE] for first in range(0, len(found), MACHINES_AT_ONCE)]
    scored = [one for block in where.map(_score_block, _Task(*of, model), blocks) for one in block]
    return sorted(scored, key=lambda one: (-one.probability, one.serial_number))


def _score_block(task: _Task, block: Sequence[Place]) -> list[Scored]:
    """A unit of work."""
    read = asyncio.run(_read(task, [place.stretch for place in block]))
    flown = [place for place in block if read[place.stretch.asset_id]]
    if not flown:
        return []
    machines = [read[place.stretch.asset_id] for place in flown]
    newest = judge_newest(
        task.model, [Machine(np.array([one.values for _, one in its]), np.array([one.age for _, one in its])) for its in machines]
    )
    numbers = (newest.probability, newest.p10, newest.p50, newest.p90, newest.health)
    return [
        Scored(place.serial_number, place.site, place.role, its[-1][0], len(its), *said)
        for place, its, *said in zip(flown, machines, *(each.tolist() for each in numbers), strict=True)
    ]


async def _read(task: _Task, stretches: Sequence[Stretch]) -> dict[int, list[tuple[datetime, Inputs]]]:
    """The cycles of each machine, oldest first."""
    found: dict[int, list[tuple[datetime, Inputs]]] = {one.asset_id: [] for one in stretches}
    async with Database(task.dsn, "vigia_service", max_size=1, clock=task.clock) as database, database.transaction() as tx:
        known: dict[int, list[FollowedPoint]] = {asset: [] for asset in found}
        for point in await predictions.points(tx, list(found)):
            known[point.asset_id].append(point)
        maps = {asset: PointMap.of(task.model.spec, its) for asset, its in known.items()}
        for moment in await predictions.readings(tx, stretches):
            inputs = maps[moment.asset_id].inputs(moment)
            if inputs is not None:
                found[moment.asset_id].append((moment.at, inputs))
    return found
