"""What the prognosis process needs to know."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from vigia.domain.retraining import Schedule
from vigia.store.database import Clock


@dataclass(frozen=True)
class RunnerConfig:
    """Of one process: one failure mode of one asset model."""

    dsn: str
    home: Path
    asset_model: str = "cmapss-fd001"
    failure_mode: str = "hpc_degradation"
    training_data: Path | None = None
    """trained from when no model is registered; None: then it is an error"""
    training_units: Sequence[int] | None = None
    renewal: Schedule | None = None
    """when the model is trained again, from the training data and closed orders; None: never"""
    dask: str | None = None
    """address of the Dask scheduler whose workers train it again; None: this machine"""
    clock: Clock = "wall"
    poll_s: float = 1.0
    champion_check_s: float = 5.0
    longest_pause_s: float = 5.0
    """between two tries while the database is away"""
    grace: timedelta = timedelta(days=7)
    """For how long after its removal (fleet time) a machine's late readings are still predicted."""
