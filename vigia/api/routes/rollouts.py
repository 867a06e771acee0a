"""Roll-outs: new configurations for gateways, tried by some before the others."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, status
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from vigia.api.fields import MAX_INT, Id, Name
from vigia.api.paging import Listing, Page, PageAsked, RowModel
from vigia.api.problems import declared
from vigia.api.routes.edge_nodes import EDGE_NODES
from vigia.api.session import ServiceManager, Transaction
from vigia.domain.rollouts import LONGEST_CONFIGURATION, Stage, State
from vigia.workflows import halt_rollout, roll_out

router = APIRouter(prefix="/api/v1", tags=["gateways"])

Toml = Annotated[str, StringConstraints(max_length=LONGEST_CONFIGURATION, pattern=r"^[^\x00]*$")]


class RolloutRow(RowModel):
    """A roll-out and how its gateways stand. A customer sees its own gateways counted."""

    rollout_id: int = Field(examples=[3])
    reason: str = Field(examples=["sample every second"])
    canary_share: float = Field(description="Share of the gateways that try first, over 0 and up to 1.", examples=[0.1])
    stage: Stage = Field(description="canary: a share tries; rest: all may; done: all run it; halted: one failed, or somebody stopped it.")
    created_at: datetime
    ended_at: datetime | None
    waiting: int = Field(description="Gateways whose turn has not come.", examples=[9])
    released: int = Field(description="Gateways that may fetch it and have not said yet that it runs.", examples=[1])
    applied: int = Field(description="Gateways that run it.", examples=[0])
    failed: int = Field(description="Gateways that tried it and went back.", examples=[0])
    withdrawn: int = Field(description="Gateways that will not get it any more.", examples=[0])


class ConfigurationRow(RowModel):
    """A version of a gateway's configuration. Its text may hold secrets: only the gateway gets it."""

    edge_configuration_id: int = Field(examples=[12])
    version: int = Field(examples=[4])
    rollout_id: int = Field(examples=[3])
    canary: bool = Field(description="Tries it before the others.")
    sha256: str = Field(description="Of the text, hexadecimal; a gateway that runs it tells the same.")
    state: State
    changed_at: datetime
    detail: str = Field(description="Why it failed.")


class NewConfiguration(BaseModel):
    """What one gateway is to run."""

    model_config = ConfigDict(extra="forbid")

    edge_node_id: int = Field(ge=1, le=MAX_INT)
    toml: Toml = Field(description="`[[node]]` and what belongs to it; `[identity]` and `[buffer]` stand in the gateway's own file.")


class NewRollout(BaseModel):
    """What to roll out. Those named first try first."""

    model_config = ConfigDict(extra="forbid")

    reason: Name = Field(examples=["sample every second"])
    canary_share: float = Field(default=0.1, gt=0, le=1, examples=[0.1])
    configurations: list[NewConfiguration] = Field(
        min_length=1, max_length=1000, examples=[[{"edge_node_id": 1, "toml": '[[node]]\n[node.source]\ntype = "replay"\n'}]]
    )


ROLLOUTS = Listing("rollouts", "list_rollouts", RolloutRow, lambda row: row.rollout_id)
CONFIGURATIONS = Listing("configurations", "list_edge_configurations", ConfigurationRow, lambda row: row.edge_configuration_id)


@router.get("/rollouts", operation_id="list_rollouts")
async def list_rollouts(tx: Transaction, asked: PageAsked) -> Page[RolloutRow]:
    """Roll-outs, newest first."""
    return await ROLLOUTS.page(tx, asked)


@router.get("/rollouts/{rollout_id}", operation_id="get_rollout", responses=declared(404))
async def get_rollout(rollout_id: Id, tx: Transaction) -> RolloutRow:
    """One roll-out."""
    return await ROLLOUTS.one(tx, rollout_id)


@router.post("/rollouts", status_code=status.HTTP_201_CREATED, operation_id="roll_out", responses=declared(403, 404, 409))
async def begin(wanted: NewRollout, caller: ServiceManager, tx: Transaction) -> RolloutRow:
    """Give gateways new configurations. One that does not come up, or is not heard, goes back to the one before and stops the rest."""
    order = roll_out.Order(wanted.reason, wanted.canary_share, [(one.edge_node_id, one.toml) for one in wanted.configurations])
    return await ROLLOUTS.one(tx, await roll_out.handle(tx, order, datetime.now(UTC), caller.account_id))


@router.post("/rollouts/{rollout_id}/halt", operation_id="halt_rollout", responses=declared(403, 404, 409))
async def halt(rollout_id: Id, caller: ServiceManager, tx: Transaction) -> RolloutRow:
    """Stop it: who has not fetched a new configuration keeps the one before."""
    await halt_rollout.handle(tx, rollout_id, datetime.now(UTC), caller.account_id)
    return await ROLLOUTS.one(tx, rollout_id)


@router.get("/edge-nodes/{edge_node_id}/configurations", operation_id="list_edge_configurations", responses=declared(404))
async def list_configurations(edge_node_id: Id, tx: Transaction, asked: PageAsked) -> Page[ConfigurationRow]:
    """The versions of a gateway's configuration, newest first."""
    await EDGE_NODES.one(tx, edge_node_id)
    return await CONFIGURATIONS.page(tx, asked, edge_node_id=edge_node_id)
