"""One point's way through time: what is stored, the hole behind that, and what waits on its other side. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from vigia.edge.samples import Value
from vigia.edge.sources.opcua.values import Reading
from vigia.sparkplug.names import QUALITY_GOOD

MOST_HELD = 1000


@dataclass(slots=True)
class Hole:
    """Values after `since_us` and before `until_us` may be missing. `told` are the values at `since_us`; None means all of them."""

    since_us: int
    until_us: int
    told: set[Value | None] | None = None
    reached: bool = False


@dataclass(slots=True)
class Track:
    """`stored_us` is the time of the last value told, None before the first; it goes with the samples to disk.

    A value that comes after silence, when the server keeps history, opens a hole: it and its followers are held back until the hole is
    filled, so that a point's values are told in their order.
    """

    stored_us: int | None = None
    keeps_history: bool = False
    hole: Hole | None = None
    fresh: bool = True
    held: list[Reading] = field(default_factory=list)

    def begin(self, stored_us: int | None) -> None:
        """A connection begins; everything up to `stored_us` was told earlier."""
        self.stored_us, self.hole, self.fresh = stored_us, None, True
        self.held.clear()

    def live(self, reading: Reading) -> list[Reading]:
        """The server told `reading` just now; returns what may be told on."""
        first, self.fresh = self.fresh, False
        if self.hole is not None:
            if reading.overflow or len(self.held) >= MOST_HELD:
                # It will be in the history too, and memory is bounded.
                self.hole.until_us, self.hole.reached = reading.us, False
                self.held.clear()
            self.held.append(reading)
            return []
        before = self.stored_us
        if first and reading.us == before and reading.quality == QUALITY_GOOD:
            return []
        if before is not None and self.keeps_history and (first or reading.overflow) and reading.us > before:
            self.hole = Hole(before, reading.us)
            self.held.append(reading)
            return []
        self.stored_us = reading.us
        return [reading]

    def past(self, readings: Iterable[Reading]) -> list[Reading]:
        """The server's record holds `readings`, in their order; returns those that were missing."""
        hole = self.hole
        if hole is None:
            return []
        missing = []
        for reading in readings:
            if reading.us >= hole.until_us:
                hole.reached = True
            elif reading.us > hole.since_us:
                hole.since_us, hole.told = reading.us, {reading.value}
                missing.append(reading)
            elif reading.us == hole.since_us and hole.told is not None and reading.value not in hole.told:
                hole.told.add(reading.value)
                missing.append(reading)
        self.stored_us = hole.since_us
        return missing

    def close(self) -> list[Reading]:
        """The hole is filled as far as it can be; returns what was held back."""
        self.hole = None
        held, self.held = self.held, []
        if held:
            self.stored_us = held[-1].us
        return held
