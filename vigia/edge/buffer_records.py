"""What the buffer stores, and the text it is stored as."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from itertools import groupby

from vigia.edge.samples import Device, Point, Sample
from vigia.sparkplug.datatypes import DataType

MAX_SAMPLES = 128  # four of such batches fill a page of the file well, whatever their numbers are
PRIORITY_DATA = 0
PRIORITY_NEWS = 1
NEWS = ("state", "event", "alarm")  # kinds of points: from what changes there an up time, or an alarm, follows


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
    """A device as it was from this birth on. `ended` is the newest batch number when the next birth or a death came, None before."""

    birth_id: int
    device: Device
    ended: int | None = None

    @property
    def alive(self) -> bool:
        """Whether it is the device's newest birth and the device has not gone."""
        return self.ended is None


def write_device(device: Device) -> str:
    """The text of a birth."""
    return json.dumps([device.device_id, device.serial, device.model, [astuple(point) for point in device.points]], separators=(",", ":"))


def read_device(definition: str) -> Device:
    """The device written by `write_device`."""
    device_id, serial, model, points = json.loads(definition)
    return Device(device_id, serial, model, tuple(Point(name, DataType(datatype), *rest) for name, datatype, *rest in points))


def by_device(samples: Iterable[Sample]) -> Iterator[tuple[str, tuple[Sample, ...]]]:
    """The samples of a tick as batches: one device each, in their order, none longer than MAX_SAMPLES."""
    for device_id, group in groupby(sorted(samples, key=lambda sample: sample.device), key=lambda sample: sample.device):
        together = tuple(group)
        for start in range(0, len(together), MAX_SAMPLES):
            yield device_id, together[start : start + MAX_SAMPLES]


class News:
    """What was last told of the points whose changes are news. What `priority` hears counts once `keep` says that it is stored."""

    def __init__(self) -> None:
        self._points: dict[int, frozenset[str]] = {}
        self._told: dict[tuple[int, str], tuple[object, int]] = {}
        self._heard: dict[tuple[int, str], tuple[object, int]] = {}

    def priority(self, birth: Birth, samples: Iterable[Sample]) -> int:
        """What is dropped last when there is no room: a batch with news. What only repeats the last word is none."""
        if birth.birth_id not in self._points:
            self._points[birth.birth_id] = frozenset(point.name for point in birth.device.points if point.kind in NEWS)
        points = self._points[birth.birth_id]
        found = PRIORITY_DATA
        for sample in samples:
            if sample.point in points:
                key, word = (birth.birth_id, sample.point), (sample.value, sample.quality)
                if self._heard.get(key, self._told.get(key)) != word:
                    self._heard[key] = word
                    found = PRIORITY_NEWS
        return found

    def keep(self) -> None:
        """What was heard is stored."""
        self._told |= self._heard
        self._heard.clear()

    def discard(self) -> None:
        """What was heard is not stored."""
        self._heard.clear()

    def forget(self, birth_ids: Iterable[int]) -> None:
        """These births are no more."""
        gone = set(birth_ids)
        self._points = {birth_id: points for birth_id, points in self._points.items() if birth_id not in gone}
        self._told = {key: word for key, word in self._told.items() if key[0] not in gone}


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
