"""Plain devices as Sparkplug devices: each is born when first heard and when it says something new, and its samples are its data.

No I/O. What a device has said is known as long as the process lives; a birth covers all of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from vigia.ingest.births import DeviceTable
from vigia.ingest.events import DeviceBirth, DeviceData, Event, Letter
from vigia.ingest.inbox import Message
from vigia.ingest.plain import MISFIT, TOO_MANY, UNDECLARED, UNKNOWN_SENDER, RefusedMessage
from vigia.ingest.plain.paths import MissingError
from vigia.ingest.plain.reading import Sample, Value, read
from vigia.ingest.plain.table import Route, Table
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.decode import NONE, Columns, Form
from vigia.sparkplug.names import ENG_UNIT, KIND, MAX_METRICS
from vigia.sparkplug.payload import Metric, Payload

if TYPE_CHECKING:
    from vigia.ingest.sessions import Node

Find = Callable[[str, str], "Node | None"]
"""The registered edge node of that group and name."""

MOST_POINTS: Final = 1_000_000  # of all devices
BORN_AGAIN_MS: Final = 10_000  # a device that was refused is presented again after so long: its role may have been added


@dataclass(frozen=True, slots=True)
class Point:
    """What is known of a point; unit and kind None until something says them."""

    datatype: DataType
    unit: str | None
    kind: str | None

    @property
    def properties(self) -> dict[str, str]:
        """What its birth says of it."""
        said = {KIND: self.kind, ENG_UNIT: self.unit}
        return {key: value for key, value in said.items() if value is not None}


@dataclass(eq=False)
class Device:
    """A device that was heard. `news`: no birth says all of it yet. `checked` is the table that was found to cover its points."""

    node: "Node"
    device_id: str
    points: dict[str, Point] = field(default_factory=dict)
    news: bool = True
    checked: DeviceTable | None = None
    presented_ms: int = 0


@dataclass(frozen=True)
class _Heard:
    device: Device
    message: Message
    samples: Sequence[Sample]


class Plain:
    """Reads the messages of declared topics. One a process; for threads to share it is not."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._devices: dict[tuple[int, str], Device] = {}
        self._count = 0

    @property
    def filters(self) -> list[str]:
        """What to subscribe to."""
        return self._table.filters

    def knows(self, topic: str, find: Find) -> bool:
        """Whether the edge node of a message on `topic` is registered, or the table has nothing to say of it."""
        try:
            route = self._table.route(topic)
        except MissingError:
            return True
        return route is None or find(route.group_id, route.node_id) is not None

    def read(self, messages: Sequence[Message], find: Find, now_ms: int) -> list[Event]:
        """What `messages` mean: births first, then letters, then data, each in the order of arrival.

        `now_ms`, milliseconds since 1970 UTC, dates what says no time.
        """
        letters: list[Event] = []
        heard: list[_Heard] = []
        for message in messages:
            try:
                one = self._hear(message, find, now_ms)
            except RefusedMessage as refused:
                letters.append(Letter(message, refused.reason, str(refused)))
            else:
                heard += [one] if one.samples else []
        columns = _columns(heard)
        data = [DeviceData(one.device.node, one.device.device_id, columns, i, one.message) for i, one in enumerate(heard)]
        return [*self._births(heard, now_ms), *letters, *data]

    def _hear(self, message: Message, find: Find, now_ms: int) -> _Heard:
        try:
            route = self._table.route(message.topic)
        except MissingError as error:
            raise RefusedMessage(MISFIT, f"the topic does not fit: {error}") from None
        if route is None:
            raise RefusedMessage(UNDECLARED, "no entry of the topic table fits it: add one, or do not publish it")
        node = _registered(route, find)
        samples = read(route, message.payload, now_ms)
        return _Heard(self._learn(node, route, samples), message, samples)

    def _learn(self, node: "Node", route: Route, samples: Sequence[Sample]) -> Device:
        """The device, knowing its new points. Raises RefusedMessage, and has then learnt nothing."""
        key = node.edge.edge_node_id, route.device_id
        device = self._devices.get(key) or Device(node, route.device_id)
        new: dict[str, Point] = {}
        for sample in samples:
            known = new.get(sample.name) or device.points.get(sample.name)
            point = _point(known, sample)
            if point != known:
                new[sample.name] = point
        added = len(new.keys() - device.points.keys())
        if len(device.points) + added > MAX_METRICS or self._count + added > MOST_POINTS:
            limit = MAX_METRICS if self._count + added <= MOST_POINTS else MOST_POINTS
            raise RefusedMessage(TOO_MANY, f"more than {limit} points: their names must not change; declare points and others = 'ignore'")
        self._devices[key] = device
        self._count += added
        device.node = node
        device.points |= new
        device.news |= bool(new)
        return device

    def _births(self, heard: Sequence[_Heard], now_ms: int) -> list[DeviceBirth]:
        due: dict[Device, list[_Heard]] = {}
        for one in heard:
            if one.device in due or _is_due(one.device, now_ms):
                due.setdefault(one.device, []).append(one)
        births = []
        for device, said in due.items():
            device.news, device.presented_ms = False, now_ms
            payload = _birth(device.points, [sample for one in said for sample in one.samples])
            births.append(DeviceBirth(device.node, device.device_id, payload, said[0].message))
        return births


def _registered(route: Route, find: Find) -> "Node":
    node = find(route.group_id, route.node_id)
    name = f"{route.group_id}/{route.node_id}"
    if node is None:
        raise RefusedMessage(UNKNOWN_SENDER, f"no edge node {name} is registered: add it to its customer's site, or correct the entry")
    if node.numbered or node.edge.epoch is not None:
        raise RefusedMessage(MISFIT, f"edge node {name} is a gateway that numbers its messages: register another one for plain devices")
    return node


def _point(known: Point | None, sample: Sample) -> Point:
    """The point after this sample. One that was true or false and is now a number is a number from then on."""
    datatype = DataType.BOOLEAN if isinstance(sample.value, bool) else DataType.DOUBLE
    if known is None:
        return Point(datatype, sample.unit, sample.kind)
    if known.unit is not None and sample.unit not in (None, known.unit):
        detail = (
            f"{sample.name!r} came in {known.unit!r} before and now in {sample.unit!r}: send one unit, or restart ingest after a change"
        )
        raise RefusedMessage(MISFIT, detail)
    if known.datatype is DataType.DOUBLE or sample.value is None:
        datatype = known.datatype
    return Point(datatype, known.unit or sample.unit, known.kind or sample.kind)


def _is_due(device: Device, now_ms: int) -> bool:
    """Whether the device must be born: it never was, it has new points, or it was refused a while ago."""
    table = device.node.tables.get(device.device_id)
    if device.news or table is None or (table is not device.checked and not _covers(table, device.points)):
        return True
    device.checked = table
    return table.device is None and abs(now_ms - device.presented_ms) >= BORN_AGAIN_MS


def _covers(table: DeviceTable, points: Mapping[str, Point]) -> bool:
    return all(name in table.names and table.datatype[table.names[name]] == point.datatype for name, point in points.items())


def _birth(points: Mapping[str, Point], said: Sequence[Sample]) -> Payload:
    """A birth of all points. Only the oldest value is in it: since then the machine is known to stand there."""
    valued = [sample for sample in said if sample.value is not None]
    oldest = min(valued, key=lambda sample: sample.ts, default=None)
    metrics = []
    for name, point in points.items():
        first = oldest if oldest is not None and oldest.name == name else None
        ts, value = (None, None) if first is None else (first.ts, _as(point.datatype, first.value))
        metrics.append(Metric(name, None, ts, point.datatype, value, properties=point.properties))
    return Payload(metrics=tuple(metrics))


def _as(datatype: DataType, value: Value) -> Value:
    return float(value) if datatype is DataType.DOUBLE and value is not None else value


def _columns(heard: Sequence[_Heard]) -> Columns:
    """Samples as the decoder of Sparkplug gives them: metrics by name, no seq."""
    samples = [sample for one in heard for sample in one.samples]
    values = [_as(one.device.points[sample.name].datatype, sample.value) for one in heard for sample in one.samples]
    count = len(samples)
    absent = np.full(len(heard), NONE, np.int64)
    return Columns(
        seq=absent,
        sent=absent.copy(),
        first=np.cumsum([0, *(len(one.samples) for one in heard)], dtype=np.int64),
        alias=np.full(count, NONE, np.int64),
        ts=np.array([sample.ts for sample in samples], np.int64),
        datatype=np.zeros(count, np.int32),
        form=np.array([Form.NULL if v is None else Form.BOOLEAN if isinstance(v, bool) else Form.FLOAT for v in values], np.int8),
        value=np.array([np.nan if value is None else value for value in values], np.float64),
        whole=np.zeros(count, np.uint64),
        quality=np.array([sample.quality for sample in samples], np.int32),
        historical=np.zeros(count, np.bool_),
        names={i: sample.name for i, sample in enumerate(samples)},
    )
