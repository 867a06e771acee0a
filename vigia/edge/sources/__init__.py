"""Where samples come from: one folder per protocol, and the small interface they share.

A new protocol is a folder with `source.py`, `README.md` and `sample.toml`, and one line in `SOURCES`; nothing else changes. A source is
imported when a configuration names it, so a gateway needs no library of a protocol that it does not speak.
"""

from collections.abc import AsyncIterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from pydantic import BaseModel

from vigia.edge import EdgeError
from vigia.edge.samples import Point, Tick, Value


class SourceUnavailableError(EdgeError):
    """The machine, or the server that speaks for it, is away."""


class CommandRefusedError(EdgeError):
    """The machine refuses a command."""


class Source(Protocol):
    """One machine connection. Entering it connects; iterating it yields what happens, tick by tick, births first.

    Building it checks its table of the configuration and never connects. Entering and iterating raise SourceUnavailableError while
    the machine or its server is away or breaks the protocol: the node then leaves the source, waits and enters the same object
    again. Any other EdgeError ends the gateway. Leaving takes seconds at most, also when the machine does not answer.
    """

    Config: ClassVar[type[BaseModel]]

    def __init__(self, config: Any, folder: Path) -> None:  # noqa: ANN401 - each source has its own Config
        """`config` is a `Config`; relative paths in it start at `folder`. Raises EdgeError when it cannot work."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc: object) -> None: ...
    def __aiter__(self) -> AsyncIterator[Tick]: ...

    def resume(self, position: str | None) -> None:
        """Before each entering: go on after the tick that told `position`; None is a first start."""


@runtime_checkable
class Writable(Protocol):
    """A source that can also act on its machines."""

    def writable(self, device: str, name: str) -> Point:
        """The point or method `name` of `device`, as far as it is known. Raises EdgeError saying why when it cannot be written."""

    def target(self, device: str, name: str) -> str:
        """What a write to `name` does to which machine: a text that changes when either does. Raises EdgeError like `writable`."""

    async def write(self, device: str, point: str, value: Value) -> None:
        """Write `value`, in the point's unit, or call the method; once, and return when the machine has said that it did.

        Safe to call while the source is iterated. Raises CommandRefusedError when nothing was done: the machine said no, or the value
        does not fit. Raises SourceUnavailableError when the machine is away, or did not answer: it may have acted or not.
        """


SOURCES: Mapping[str, str] = {
    "replay": "vigia.edge.sources.replay.source:ReplaySource",
    "modbus": "vigia.edge.sources.modbus.source:ModbusSource",
    "opcua": "vigia.edge.sources.opcua.source:OpcUaSource",
    "mtconnect": "vigia.edge.sources.mtconnect.source:MTConnectSource",
    "files": "vigia.edge.sources.files.source:FilesSource",
}
"""Module and class of each source, by the `type` of its table."""


def source_class(kind: str) -> type[Source]:
    """The source of this `type`. Raises KeyError for an unknown one, EdgeError when a library that it needs is not installed."""
    module, _, name = SOURCES[kind].partition(":")
    try:
        found: type[Source] = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise EdgeError(f"the {kind} source needs {error.name}, which is not installed; install vigia[edge]") from None
    return found
