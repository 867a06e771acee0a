"""The gateways as those who look after them see them."""

from dataclasses import dataclass
from datetime import datetime

from vigia.store import queries
from vigia.store.database import Transaction


@dataclass(frozen=True)
class Gateway:
    """What a gateway last said of itself, and what is wanted of it. A version None is its own file; the skew is its clock less ours."""

    group_id: str
    node_id: str
    online: bool
    agent_version: str | None
    configuration_sha256: str | None
    configuration_version: int | None
    clock_skew_ms: int | None
    checked_in_at: datetime | None
    configuration_wanted: int | None
    certificate_until: datetime | None


async def all_of_them(tx: Transaction) -> list[Gateway]:
    """Every gateway the caller may see, by name."""
    return await queries.rows(tx, "gateways", Gateway)
