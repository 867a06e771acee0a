"""Edge nodes, and whether all they sent has arrived."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import Field, computed_field

from vigia.api.fields import Id, IdFilter
from vigia.api.paging import Listing, Page, PageAsked, RowModel
from vigia.api.problems import declared
from vigia.api.session import Transaction

router = APIRouter(prefix="/api/v1", tags=["telemetry"])


class EdgeNodeRow(RowModel):
    """A gateway and the account of its numbered batches: committed + dropped + missing is all it ever numbered."""

    edge_node_id: int = Field(examples=[1])
    customer_id: int = Field(examples=[2])
    site_id: int = Field(examples=[3])
    site: str = Field(examples=["Barcelona"])
    group_id: str = Field(examples=["aurora"])
    node_id: str = Field(examples=["aurora-bcn"])
    online: bool
    born_at: datetime | None = Field(description="Wall clock of its last birth.")
    died_at: datetime | None
    last_reading_at: datetime | None = Field(description="Newest source time committed.")
    last_commit_at: datetime | None = Field(description="Wall clock of that commit.")
    agent_version: str | None = Field(description="Of the gateway's program, as its last birth said.", examples=["0.1.0"])
    configuration_sha256: str | None = Field(description="Of the configuration it runs, hexadecimal, likewise.")
    clock_skew_ms: int | None = Field(
        description="How far its clock is ahead of the server's; a delay on the line shows as behind.", examples=[-12]
    )
    checked_in_at: datetime | None = Field(description="An enrolled gateway's last check-in.")
    configuration_version: int | None = Field(description="What it then said to run; null: its own file.", examples=[7])
    configuration_wanted: int | None = Field(description="What it is to run; null: its own file.", examples=[7])
    certificate_until: datetime | None = Field(description="When its newest certificate ends; null: it has none.")
    committed: int = Field(description="Batches whose rows are in the database.", examples=[4190])
    dropped: int = Field(description="Batches the gateway gave up, with a recorded reason.", examples=[0])
    missing: int = Field(description="Batches neither committed nor dropped: on their way, or lost.", examples=[0])

    @computed_field(description="Share of all batches that are committed, 0 to 1; null before the first.", examples=[0.99998])  # type: ignore[prop-decorator]
    @property
    def completeness(self) -> float | None:
        """Committed batches / all batches."""
        total = self.committed + self.dropped + self.missing
        return self.committed / total if total else None


EDGE_NODES = Listing("edge-nodes", "list_edge_nodes", EdgeNodeRow, lambda row: row.edge_node_id)


@router.get("/edge-nodes", operation_id="list_edge_nodes")
async def list_edge_nodes(tx: Transaction, asked: PageAsked, site_id: IdFilter = None) -> Page[EdgeNodeRow]:
    """Gateways with their data completeness."""
    return await EDGE_NODES.page(tx, asked, site_id=site_id)


@router.get("/edge-nodes/{edge_node_id}", operation_id="get_edge_node", responses=declared(404))
async def get_edge_node(edge_node_id: Id, tx: Transaction) -> EdgeNodeRow:
    """One gateway with its data completeness."""
    return await EDGE_NODES.one(tx, edge_node_id)
