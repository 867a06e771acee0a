"""When a failure model is trained again, and when what was trained may take charge without a person."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from vigia.domain.drift import LEAST_ENDED, Resolved

Reason = Literal["schedule", "drift"]


@dataclass(frozen=True)
class Schedule:
    """How a model in charge is renewed.

    every : of fleet time; least_orders : verdicts that are new since the last training; without them nothing would be learned
    take_charge : let a model that passes its checks, and was no worse in the shadow, take charge without a person
    """

    every: timedelta = timedelta(days=30)
    least_orders: int = 10
    take_charge: bool = False


@dataclass(frozen=True)
class Since:
    """What has happened since the last training, or since the model in charge began to predict."""

    began_at: datetime
    new_orders: int
    drifted: bool
    """the model in charge was last found beyond a limit"""


def due(schedule: Schedule, since: Since, now: datetime) -> Reason | None:
    """Why a model is to be trained now; None: it is not."""
    if since.new_orders < schedule.least_orders:
        return None
    if since.drifted:
        return "drift"
    return "schedule" if now - since.began_at >= schedule.every else None


def no_worse(resolved: Resolved) -> bool:
    """Whether the model in the shadow did at least as well as the one in charge, on the same predictions of enough machines."""
    if resolved.machines < LEAST_ENDED or resolved.brier is None or resolved.brier_in_shadow is None:
        return False
    return resolved.brier_in_shadow <= resolved.brier
