"""How a new configuration reaches many gateways: some try it first, and the first that fails stops the rest."""

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from vigia.domain.errors import InvalidValueError

LONGEST_CONFIGURATION = 200_000  # characters
_LOCAL_TABLES = ("identity", "buffer")


class Stage(StrEnum):
    """Where a roll-out stands."""

    CANARY = "canary"
    REST = "rest"
    DONE = "done"
    HALTED = "halted"


class State(StrEnum):
    """Where one gateway's part of it stands: it waits its turn, may be fetched, runs, did not run, or will not be tried."""

    WAITING = "waiting"
    RELEASED = "released"
    APPLIED = "applied"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class Part:
    """One gateway's part of a roll-out."""

    canary: bool
    state: State


def canaries(count: int, share: float) -> int:
    """How many of `count` gateways try it first: `share` of them (over 0, up to 1), at least one."""
    if not 0 < share <= 1:
        raise InvalidValueError("The share of gateways that try first is more than 0 and at most 1.")
    return min(count, max(1, math.ceil(count * share)))


def stage_after(stage: Stage, parts: Sequence[Part]) -> Stage:
    """The stage that follows from how its parts stand.

    One failure halts it. The rest comes when all that try first run well; it is done when all do.
    """
    if stage in (Stage.DONE, Stage.HALTED):
        return stage
    if any(part.state is State.FAILED for part in parts):
        return Stage.HALTED
    if all(part.state is State.APPLIED for part in parts):
        return Stage.DONE
    if all(part.state is State.APPLIED for part in parts if part.canary):
        return Stage.REST
    return stage


def check_configuration(toml: str) -> None:
    """Let a configuration be sent to a gateway, which alone can tell whether it works.

    Raises InvalidValueError when it is no TOML, says nothing to read, or says what only the gateway itself may.
    """
    if len(toml) > LONGEST_CONFIGURATION:
        raise InvalidValueError(f"A configuration has at most {LONGEST_CONFIGURATION:,} characters.")
    try:
        tables = tomllib.loads(toml)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidValueError(f"The configuration is not TOML: {error}") from None
    for name in _LOCAL_TABLES:
        if name in tables:
            raise InvalidValueError(f"The table [{name}] stands in the gateway's own file; remove it.")
    if not tables.get("node"):
        raise InvalidValueError("The configuration has no [[node]]: say what the gateway is to read.")
