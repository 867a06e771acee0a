"""How a running node is, in a small file beside its buffer: for `vigia edge status`, which is another process.

The file is replaced again and again while the node runs and removed when it ends in order; one that is old is of a gateway that was killed.
"""

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from vigia.edge.clock import now_ms
from vigia.edge.supervision import SourceState

TELL_EVERY_S = 5.0
OLD_MS = 30_000


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """How a node was at `at_ms`; times in milliseconds since 1970 UTC.

    `configuration` is the SHA-256 of what it runs, `last_error` why the source was last away, "" for never; `samples` were read since the
    gateway's start, `samples_per_s` of late. `broker` is the address of the one it is connected to. Since the gateway's start too: `resent`
    batches, `dropped` batches by reason, `commands` by outcome.
    """

    at_ms: int
    agent_version: str
    configuration: str
    source: str
    state: SourceState
    since_ms: int
    last_error: str
    samples: int
    samples_per_s: float
    broker: str | None
    connections: int
    resent: int
    dropped: dict[str, int]
    commands: dict[str, int]


class StatusFile:
    """The file of the node whose buffer is at `buffer`. What cannot be written is left out: a gateway does not fail for it."""

    def __init__(self, buffer: Path) -> None:
        self._path = buffer.with_name(f"{buffer.name}.status.json")

    def write(self, status: NodeStatus) -> None:
        """Tell `status` from now on."""
        partial = self._path.with_name(f".{self._path.name}")
        with contextlib.suppress(OSError):
            partial.write_text(json.dumps(asdict(status)))
            partial.replace(self._path)

    def remove(self) -> None:
        """The node has ended."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def read(self) -> NodeStatus | None:
        """What was told last; None when no gateway runs the node."""
        try:
            status = NodeStatus(**json.loads(self._path.read_bytes()))
            return status if abs(now_ms() - status.at_ms) <= OLD_MS else None
        except (OSError, ValueError, TypeError):
            return None
