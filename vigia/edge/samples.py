"""What a source tells: samples, the devices they come from, and how far it got."""

from dataclasses import dataclass
from typing import Literal

from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.names import QUALITY_GOOD

Value = bool | int | float | str
Kind = Literal["measurement", "setting", "state", "counter"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one point. `ts` is the source's time in milliseconds since 1970 UTC; `value` None is a reading without a value.

    `received` is when the gateway got a fresh reading, by its own clock, in the same unit: the difference to `ts` shows a clock that is
    wrong. None where it tells nothing of the kind: old readings, and sources without a clock. `source_ts` is what such a clock said, when
    `ts` was corrected.
    """

    device: str
    point: str
    ts: int
    value: Value | None
    quality: int = QUALITY_GOOD
    received: int | None = None
    source_ts: int | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """A thing that a device measures or tells. `unit` is a UCUM code; `low` and `high` are its engineering range in that unit."""

    name: str
    datatype: DataType
    unit: str = "1"
    low: float | None = None
    high: float | None = None
    kind: Kind = "measurement"
    documentation: str = ""


@dataclass(frozen=True, slots=True)
class Device:
    """A machine that stands at `device_id`: the serial number changes when the machine is swapped, the device id does not."""

    device_id: str
    serial: str
    model: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Tick:
    """What happened at one moment, in this order: devices went, devices came, samples were taken.

    `position` is how far the source got with this tick, in its own words; stored together with the samples, so that a restart
    neither repeats nor skips. None for a source that cannot go back. `standing` are readings that were stored earlier and still stand
    when their device comes: its birth repeats them, they are not stored again.
    """

    samples: tuple[Sample, ...] = ()
    births: tuple[Device, ...] = ()
    deaths: tuple[str, ...] = ()
    position: str | None = None
    standing: tuple[Sample, ...] = ()
