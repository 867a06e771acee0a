"""What the gate is told; built at the entry point."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from vigia.domain.identities import CERTIFICATE_LIFE


@dataclass(frozen=True)
class GateConfig:
    """Which database to serve, the folder with the authority that signs, and the folder whose lists the broker reads."""

    dsn: str
    authority: Path
    lists: Path
    certificate_life: timedelta = CERTIFICATE_LIFE
    look_every_s: float = 1.0
    """How often the database is asked what there is to do."""
