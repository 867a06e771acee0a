"""Train a failure model from a file of runs to failure, in a process of its own, and register it."""

import asyncio
import hashlib
import multiprocessing
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from vigia.analytics import closed_orders, compute
from vigia.analytics.compute import ComputeError
from vigia.analytics.evaluate import cmapss, turbofan
from vigia.analytics.prognosis import model
from vigia.analytics.prognosis.errors import PrognosisError
from vigia.analytics.prognosis.train import History, TrainingOptions, train
from vigia.errors import VigiaError
from vigia.store import model_rules, models
from vigia.store.database import Database, Transaction
from vigia.store.models import ModelVersion, NewModelVersion
from vigia.workflows import promote_model


class UnfitModelError(PrognosisError):
    """The model that was trained fails its checks and is not put in charge."""


class TrainingEndedError(PrognosisError):
    """The training process ended before it was done; the machine may be short of memory."""


@dataclass(frozen=True)
class TrainingPlan:
    """What to train, from what, and where the model file goes."""

    data: Path
    """a C-MAPSS training file, plain or gzip"""
    units: Sequence[int] | None
    """of the file; None: all"""
    folder: Path
    """where model files are kept"""
    horizon: float = 30.0
    """in flight cycles"""
    learned: Sequence[History] = ()
    """further machines, of closed orders"""
    dask: str | None = None
    """address of the Dask scheduler whose workers do the work; None: this machine"""

    @property
    def options(self) -> TrainingOptions:
        """What is learned."""
        return turbofan.options(self.horizon)


@dataclass(frozen=True)
class _Failed:
    """Why the training process has nothing to show."""

    said: str
    of_cluster: bool
    """was it the Dask cluster that could not be used?"""


@dataclass(frozen=True)
class Trained:
    """A model file that was written."""

    failure_mode: str
    version: str
    sha256: str
    metrics: Mapping[str, Any]
    data_sha256: str


def models_folder(home: Path) -> Path:
    """Where the model files of a home are kept."""
    return home / "models"


def train_file(plan: TrainingPlan) -> Trained:
    """Train and write the model file. Takes up to a minute and all cores. Raises CmapssError, TrainingDataError, ComputeError."""
    histories = [*turbofan.histories(cmapss.read_runs(plan.data, plan.units)), *plan.learned]
    with compute.at(plan.dask) as where:
        made = train(histories, plan.options, where)
    written_at = datetime.now(UTC)
    part = plan.folder / f"new-{written_at:%Y%m%dT%H%M%S%f}.joblib"
    sha256 = model.save(made, part)
    version = f"{written_at:%Y%m%dT%H%M%SZ}-{sha256[:8]}"
    part.replace(plan.folder / models.file_name(made.failure_mode, version))
    return Trained(made.failure_mode, version, sha256, {**made.metrics, "closed_orders": len(plan.learned)}, _data_sha256(plan))


def _data_sha256(plan: TrainingPlan) -> str:
    """Of the file as it lies there, the units that were taken from it, and the machines of closed orders."""
    units = "all" if plan.units is None else ",".join(map(str, sorted(plan.units)))
    found = hashlib.sha256(plan.data.read_bytes() + units.encode())
    for history in plan.learned:
        found.update(history.ended.encode())
        for array in (history.settings, history.sensors, history.ages):
            found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


async def train_apart(plan: TrainingPlan) -> Trained:
    """`train_file` in a process of its own, ended at once when this task is cancelled.

    Raises ComputeError, TrainingEndedError, and PrognosisError for all else that `train_file` raises.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_report, args=(plan, sender), name="training", daemon=True)
    process.start()
    sender.close()
    try:
        found = await asyncio.to_thread(_receive, receiver)
    finally:
        if process.is_alive():
            process.terminate()
        process.join()
    if isinstance(found, _Failed):
        raise (ComputeError if found.of_cluster else PrognosisError)(found.said)
    return found


def _receive(receiver: Connection) -> Trained | _Failed:
    try:
        with receiver:
            found: Trained | _Failed = receiver.recv()
            return found
    except (EOFError, OSError):
        raise TrainingEndedError from None


def _report(plan: TrainingPlan, sender: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends this process
    try:
        sender.send(train_file(plan))
    except VigiaError as error:
        sender.send(_Failed(str(error), isinstance(error, ComputeError)))


async def with_closed_orders(database: Database, asset_model: str, plan: TrainingPlan) -> TrainingPlan:
    """`plan` with what the closed orders of that asset model teach. Raises UnknownAssetModelError."""
    return replace(plan, learned=await closed_orders.histories(database, asset_model, plan.options))


async def register(tx: Transaction, asset_model: str, made: Trained) -> ModelVersion:
    """Record what was trained, not yet in charge. Raises UnknownAssetModelError."""
    metrics = {name: value for name, value in made.metrics.items() if name not in {"inputs", "rules"}}
    code, inputs = metadata.version("vigia"), made.metrics.get("inputs")
    registered = await models.register(
        tx, NewModelVersion(asset_model, made.failure_mode, made.version, made.sha256, metrics, made.data_sha256, code, inputs)
    )
    await model_rules.add(tx, registered.model_version_id, made.metrics.get("rules", ()))
    return registered


async def train_and_register(database: Database, asset_model: str, plan: TrainingPlan, *, shadow: bool = False) -> ModelVersion:
    """Train a new version and put it in charge, or let it predict in the shadow of the one that is.

    Raises UnknownAssetModelError before any work, what `train_apart` raises, and UnfitModelError when the version fails its checks; then it
    is registered all the same.
    """
    async with database.transaction() as tx:
        await models.asset_model_id(tx, asset_model)
    made = await train_apart(plan)
    async with database.transaction() as tx:
        registered = await register(tx, asset_model, made)
        if shadow:
            await models.begin_shadow(tx, registered)
        failed = [] if shadow else await promote_model.by_itself(tx, registered.model_version_id, datetime.now(UTC))
    if failed:
        advice = "put it in charge all the same with `vigia models promote`"
        raise UnfitModelError(
            f"The model {made.version} was trained but fails its checks. {' '.join(failed)} If you know better, {advice}."
        )
    async with database.transaction() as tx:
        found = await models.by_version(tx, asset_model, made.failure_mode, made.version)
    assert found is not None  # noqa: S101 - registered above
    return found
