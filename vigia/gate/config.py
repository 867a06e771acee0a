"""What the gate is told; built at the entry point."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from vigia.domain.identities import CERTIFICATE_LIFE
from vigia.gate.door import Door


@dataclass(frozen=True)
class GateConfig:
    """Which database to serve, the folder with the authority that signs, and the folder whose lists the broker reads.

    `door` is where gateways come in; None leaves the sessions of revoked ones to end by themselves.
    """

    dsn: str
    authority: Path
    lists: Path
    door: Door | None = None
    certificate_life: timedelta = CERTIFICATE_LIFE
    look_every_s: float = 1.0
    """How often the database is asked what there is to do."""
    settled_s: float = 2.5
    """After so long the broker goes by a list that was written: who comes earlier with a new certificate would not be heard."""
