"""Versions of gateways' configurations, and the roll-outs that bring them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from vigia.domain.rollouts import Stage, State
from vigia.store import queries
from vigia.store.database import Transaction


@dataclass(frozen=True)
class Rollout:
    """A roll-out as it stands."""

    rollout_id: int
    stage: Stage
    canary_share: float


@dataclass(frozen=True)
class RolloutPart:
    """One gateway's part of a roll-out."""

    edge_configuration_id: int
    customer_id: int
    edge_node_id: int
    rollout_id: int
    version: int
    canary: bool
    state: State


@dataclass(frozen=True)
class NewPart:
    """A configuration (TOML) that a roll-out is to bring to a gateway; `canary`: it tries it before the others."""

    customer_id: int
    edge_node_id: int
    canary: bool
    toml: str


@dataclass(frozen=True)
class UnsignedConfiguration:
    """A configuration that the gate has not signed yet."""

    edge_configuration_id: int
    group_id: str
    node_id: str
    version: int
    toml: str


@dataclass(frozen=True)
class OfferedConfiguration:
    """What a gateway is to run, with the authority's signature."""

    edge_configuration_id: int
    group_id: str
    node_id: str
    version: int
    toml: str
    signature: bytes


async def begin(tx: Transaction, reason: str, canary_share: float, now: datetime, account_id: int | None) -> int:
    """The id of a new roll-out without parts."""
    return cast("int", await queries.value(tx, "begin_rollout", reason=reason, canary_share=canary_share, now=now, account_id=account_id))


async def open_of_edge(tx: Transaction, edge_node_id: int) -> int | None:
    """The roll-out that has a part of this gateway and has not ended, if any. Others wait who want to begin one for it."""
    await queries.execute(tx, "lock_edge_node", edge_node_id=edge_node_id)
    return cast("int | None", await queries.value(tx, "open_rollout_of_edge", edge_node_id=edge_node_id))


async def add_part(tx: Transaction, rollout_id: int, part: NewPart, now: datetime) -> None:
    """The gateway's next version."""
    await queries.execute(
        tx,
        "add_edge_configuration",
        customer_id=part.customer_id,
        edge_node_id=part.edge_node_id,
        rollout_id=rollout_id,
        canary=part.canary,
        toml=part.toml,
        sha256=hashlib.sha256(part.toml.encode()).hexdigest(),
        now=now,
    )


async def unsigned(tx: Transaction) -> list[UnsignedConfiguration]:
    """Configurations that wait for their signature, locked, oldest first; those another signs now are left out."""
    return await queries.rows(tx, "unsigned_edge_configurations", UnsignedConfiguration)


async def sign(tx: Transaction, edge_configuration_id: int, signature: bytes) -> None:
    """It can be offered now."""
    await queries.execute(tx, "sign_edge_configuration", edge_configuration_id=edge_configuration_id, signature=signature)


async def locked(tx: Transaction, rollout_id: int) -> Rollout | None:
    """The roll-out, locked: one at a time moves it on."""
    return await queries.first(tx, "lock_rollout", Rollout, rollout_id=rollout_id)


async def parts(tx: Transaction, rollout_id: int) -> Sequence[RolloutPart]:
    """Its parts in the order in which they were given."""
    return await queries.rows(tx, "rollout_parts", RolloutPart, rollout_id=rollout_id)


async def release_canaries(tx: Transaction, rollout_id: int, now: datetime) -> None:
    """Those that try first may fetch theirs."""
    await queries.execute(tx, "release_rollout", rollout_id=rollout_id, rest=False, now=now)


async def release_rest(tx: Transaction, rollout_id: int, now: datetime) -> None:
    """Everybody may fetch theirs."""
    await queries.execute(tx, "release_rollout", rollout_id=rollout_id, rest=True, now=now)


async def withdraw(tx: Transaction, rollout_id: int, now: datetime) -> None:
    """Nobody who has not fetched theirs may any more."""
    await queries.execute(tx, "withdraw_rollout", rollout_id=rollout_id, now=now)


async def set_stage(tx: Transaction, rollout_id: int, stage: Stage, now: datetime) -> None:
    """It stands there now."""
    await queries.execute(tx, "set_rollout_stage", rollout_id=rollout_id, stage=str(stage), now=now)


async def offered(tx: Transaction, edge_node_id: int) -> OfferedConfiguration | None:
    """What the gateway is to run; None while there is nothing for it."""
    return await queries.first(tx, "offered_edge_configuration", OfferedConfiguration, edge_node_id=edge_node_id)


async def of_version(tx: Transaction, edge_node_id: int, version: int) -> RolloutPart | None:
    """The gateway's part that brought this version."""
    return await queries.first(tx, "edge_configuration_of_version", RolloutPart, edge_node_id=edge_node_id, version=version)


async def set_state(tx: Transaction, part: RolloutPart, state: State, detail: str, now: datetime) -> None:
    """It stands there now; `detail` says why it failed."""
    await queries.execute(
        tx,
        "set_edge_configuration_state",
        edge_configuration_id=part.edge_configuration_id,
        state=str(state),
        detail=detail,
        now=now,
    )


async def checked_in(tx: Transaction, edge_node_id: int, version: int | None, clock_skew_ms: int, now: datetime) -> None:
    """The gateway said which version it runs (None: its own file), and what time it is there."""
    await queries.execute(tx, "edge_checked_in", edge_node_id=edge_node_id, version=version, clock_skew_ms=clock_skew_ms, now=now)
