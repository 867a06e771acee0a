"""What the buffer stores, and the text it is stored as."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from itertools import groupby

from vigia.edge.samples import Device, Point, Sample
from vigia.sparkplug.datatypes import DataType

MAX_SAMPLES = 500
PRIORITY_DATA = 0
PRIORITY_STATE = 1


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples of one device under one number. `birth_id` says under which birth of the device they were taken."""

    epoch: int
    eseq: int
    birth_id: int
    device_id: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Numbers dropped on purpose, both ends included, and why."""

    epoch: int
    first: int
    last: int
    reason: str

    def as_json(self) -> str:
        """As it travels in the metric `Vigia/Tombstone`."""
        return json.dumps({"epoch": self.epoch, "from": self.first, "to": self.last, "reason": self.reason}, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Birth:
    """A device as it was from this birth on; `alive` while it is the device's newest and the device has not gone."""

    birth_id: int
    device: Device
    alive: bool


def write_samples(samples: Iterable[Sample]) -> str:
    """The text of a batch's samples; their device is known from the birth."""
    rows = [(s.point, s.ts, s.value, s.quality) if s.received is None else (s.point, s.ts, s.value, s.quality, s.received) for s in samples]
    return json.dumps(rows, separators=(",", ":"))


def read_samples(device_id: str, body: str) -> tuple[Sample, ...]:
    """The samples written by `write_samples`."""
    return tuple(Sample(device_id, *fields) for fields in json.loads(body))


def write_device(device: Device) -> str:
    """The text of a birth."""
    return json.dumps([device.device_id, device.serial, device.model, [astuple(point) for point in device.points]], separators=(",", ":"))


def read_device(definition: str) -> Device:
    """The device written by `write_device`."""
    device_id, serial, model, points = json.loads(definition)
    return Device(device_id, serial, model, tuple(Point(name, DataType(datatype), *rest) for name, datatype, *rest in points))


def priority_of(device: Device, samples: Iterable[Sample]) -> int:
    """What is dropped last when there is no room: the states of a machine, from which its up time follows."""
    states = {point.name for point in device.points if point.kind == "state"}
    return PRIORITY_STATE if any(sample.point in states for sample in samples) else PRIORITY_DATA


def by_device(samples: Iterable[Sample]) -> Iterator[tuple[str, tuple[Sample, ...]]]:
    """The samples of a tick as batches: one device each, in their order, none longer than MAX_SAMPLES."""
    for device_id, group in groupby(sorted(samples, key=lambda sample: sample.device), key=lambda sample: sample.device):
        together = tuple(group)
        for start in range(0, len(together), MAX_SAMPLES):
            yield device_id, together[start : start + MAX_SAMPLES]


def runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Sorted `numbers` as (first, last) of each unbroken run."""
    first = last = None
    for number in numbers:
        if last is not None and first is not None and number != last + 1:
            yield first, last
            first = number
        first = number if first is None else first
        last = number
    if first is not None and last is not None:
        yield first, last
