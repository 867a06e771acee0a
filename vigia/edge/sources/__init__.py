"""Where samples come from: one folder per protocol, and the small interface they share.

A new protocol is a folder with `source.py`, `README.md` and `sample.toml`, and one line in `SOURCES`; nothing else changes.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Protocol, Self

from vigia.edge.samples import Tick
from vigia.edge.sources.replay.source import ReplaySource


class Source(Protocol):
    """One machine connection. Entering it connects; iterating it yields what happens, tick by tick.

    Building it checks its table of the configuration and never connects.
    """

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc: object) -> None: ...
    def __aiter__(self) -> AsyncIterator[Tick]: ...

    def resume(self, position: str | None) -> None:
        """Before entering: go on after the tick that told `position`; None is a first start."""


SOURCES: Mapping[str, type[ReplaySource]] = {"replay": ReplaySource}
