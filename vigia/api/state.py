"""What lives as long as the process: made by the app factory, reached through the request."""

from dataclasses import dataclass, field
from typing import cast

from fastapi import FastAPI, Request

from vigia.api.attempts import Attempts
from vigia.api.config import ApiConfig
from vigia.api.live import Hub
from vigia.store.database import Database


@dataclass
class State:
    """The process's database, its event hub and the count of failed log-ins."""

    config: ApiConfig
    database: Database
    hub: Hub
    attempts: Attempts = field(default_factory=Attempts)


def state_in(app: FastAPI) -> State:
    """The state of an app."""
    return cast("State", app.state.vigia)


def state_of(request: Request) -> State:
    """The state of the app that serves `request`."""
    return cast("State", request.app.state.vigia)
