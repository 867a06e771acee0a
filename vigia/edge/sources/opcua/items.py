"""A point of the configuration and what this connection knows of its node."""

from dataclasses import dataclass, field

from vigia.edge.samples import Point, Sample
from vigia.edge.sources.opcua.config import GroupConfig, PointConfig
from vigia.edge.sources.opcua.describe import Described
from vigia.edge.sources.opcua.track import Track
from vigia.edge.sources.opcua.values import Reading


@dataclass
class Item:
    """`problem` says why it is not read, "" when it is. `handle` is its number in what the server tells, None while it tells nothing.

    `band` is the dead-band that is kept here because the server does not keep it; `last` is the last value told.
    """

    device_id: str
    config: PointConfig
    group: GroupConfig
    described: Described | None = None
    track: Track = field(default_factory=Track)
    problem: str = ""
    subscription_id: int | None = None
    monitored_id: int | None = None
    handle: int | None = None
    band: float = 0.0
    last: Reading | None = None

    @property
    def name(self) -> str:
        """Device and point, for people."""
        return f"{self.device_id}/{self.config.name}"

    @property
    def low(self) -> float | None:
        """The lower end of its range, where known."""
        return self.config.low if self.config.low is not None or self.described is None else self.described.low

    @property
    def high(self) -> float | None:
        """The upper end of its range, where known."""
        return self.config.high if self.config.high is not None or self.described is None else self.described.high

    @property
    def point(self) -> Point:
        """As it is announced: the configuration's word goes before the server's."""
        said = self.described or Described(None)
        unit = self.config.unit or said.unit or "1"
        documentation = said.documentation if self.config.documentation is None else self.config.documentation
        return Point(self.config.name, said.datatype, unit, self.low, self.high, self.config.kind, documentation)

    @property
    def dead_band(self) -> float:
        """In the point's unit; 0 where there is none, or no range to take a percentage of."""
        if self.config.dead_band_percent and self.low is not None and self.high is not None:
            return self.config.dead_band_percent / 100 * (self.high - self.low)
        return self.config.dead_band

    def begin(self, stored_us: int | None) -> None:
        """A connection begins; everything up to `stored_us` was told earlier."""
        self.track.begin(stored_us)
        self.subscription_id = self.monitored_id = self.handle = None
        self.band = 0.0

    def tell(self, reading: Reading) -> Sample | None:
        """The sample of `reading`; None when it moved no more than the dead-band that is kept here."""
        before = self.last
        if (
            self.band
            and before is not None
            and before.quality == reading.quality
            and isinstance(before.value, (int, float))
            and isinstance(reading.value, (int, float))
            and abs(reading.value - before.value) <= self.band
        ):
            return None
        self.last = reading
        return self.sample(reading)

    def sample(self, reading: Reading) -> Sample:
        """`reading` as a sample of the point."""
        return Sample(self.device_id, self.config.name, reading.ms, reading.value, reading.quality, reading.received_ms)
