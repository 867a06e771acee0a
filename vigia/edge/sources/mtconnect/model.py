"""What an agent's probe says: its devices, their data items, and the points that these become."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal
from xml.etree.ElementTree import Element

from vigia.edge.samples import Device, Kind, Point
from vigia.edge.sources.mtconnect.config import DeviceConfig, MTConnectConfig, PointConfig
from vigia.edge.sources.mtconnect.documents import DocumentError
from vigia.edge.sources.mtconnect.units import axes, ucum
from vigia.sparkplug import TopicError
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.topics import check_id

Shape = Literal["number", "series", "text", "words", "condition"]

NATIVE_CODE = "native_code"

_STATES = frozenset({"AVAILABILITY", "CONTROLLER_MODE", "DOOR_STATE", "EMERGENCY_STOP", "EXECUTION", "FUNCTIONAL_MODE", "POWER_STATE"})
_COUNTERS = frozenset({"PART_COUNT", "ACCUMULATED_TIME", "EQUIPMENT_TIMER", "PROCESS_TIMER"})
_NUMBERS = frozenset({"LINE_NUMBER", "PART_COUNT"})
_SETS = ("DATA_SET", "TABLE")


@dataclass(frozen=True)
class Item:
    """How the observations of a data item become samples. `names` are its points': as many as its value has numbers, else one."""

    device_id: str
    names: tuple[str, ...]
    shape: Shape
    words: Mapping[str, int | float]
    rate: float | None


@dataclass(frozen=True)
class Model:
    """`devices` as they are announced; `items` by their ids. `left_out` are the ids of data items that no point can hold.

    `known` are all ids of the probe, also of what is not taken.
    """

    devices: tuple[Device, ...]
    items: Mapping[str, Item]
    left_out: tuple[str, ...]
    known: frozenset[str]


def model_of(root: Element, config: MTConnectConfig) -> Model:
    """The model that the probe `root` describes, as `config` names it. Raises DocumentError."""
    if root.tag != "MTConnectDevices":
        raise DocumentError(f"a {root.tag[:40]} instead of MTConnectDevices")
    named = {point.item: point for point in config.point}
    devices: list[Device] = []
    items: dict[str, Item] = {}
    left_out: list[str] = []
    for element, chosen in _devices(root, config):
        points: dict[str, Point] = {}
        for item in _data_items(element, config, named):
            if item.representation in _SETS:
                left_out.append(item.id)
                continue
            described = item.points()
            if taken := points.keys() & {point.name for point in described}:
                raise DocumentError(
                    f"two data items of device {chosen.device_id} would be called {min(taken)}; name one in node.source.point"
                )
            points |= {point.name: point for point in described}
            items[item.id] = item.reader(chosen.device_id, described)
        devices.append(_announced(element, chosen, tuple(points.values())))
    known = frozenset(element.get("id", "") for element in root.iter("DataItem"))
    return Model(tuple(devices), items, tuple(left_out), known)


def _devices(root: Element, config: MTConnectConfig) -> Iterator[tuple[Element, DeviceConfig]]:
    """The devices to take; the agent itself is none. Raises DocumentError when one of the configuration is missing."""
    found = [element for element in root.iter("Device") if element.get("name") or element.get("uuid")]
    if not config.device:
        for element in found:
            name = element.get("name") or element.get("uuid") or ""
            try:
                yield element, DeviceConfig(name=name, device_id=check_id("the name", name))
            except TopicError as error:
                raise DocumentError(f"{error}; give the device an id in node.source.device") from None
    for chosen in config.device:
        fitting = [one for one in found if chosen.name in (one.get("name"), one.get("uuid"))]
        if not fitting:
            there = ", ".join(one.get("name") or one.get("uuid") or "" for one in found)
            raise DocumentError(f"the agent has no device {chosen.name}; it has {there or 'none'}")
        yield fitting[0], chosen


def _announced(element: Element, chosen: DeviceConfig, points: tuple[Point, ...]) -> Device:
    description = element.find("Description")
    said: Mapping[str, str] = {} if description is None else description.attrib
    name = element.get("name") or chosen.name
    serial = chosen.serial or said.get("serialNumber") or element.get("uuid") or name
    return Device(chosen.device_id, serial, chosen.model or said.get("model") or name, points)


@dataclass(frozen=True)
class _DataItem:
    """A data item as the probe describes it, and what the configuration adds; `place` is the component that it belongs to."""

    element: Element
    place: str
    name: str
    config: PointConfig

    @property
    def id(self) -> str:
        return self.element.get("id", "")

    @property
    def type(self) -> str:
        return self.element.get("type", "")

    @property
    def representation(self) -> str:
        return self.element.get("representation", "VALUE")

    @property
    def units(self) -> str:
        # Overrides are percentages whether the device says so or not.
        return self.element.get("units", "PERCENT" if self.type.endswith("_OVERRIDE") else "")

    @property
    def shape(self) -> Shape:
        category = self.element.get("category", "")
        if category == "CONDITION":
            return "condition"
        if self.config.words:
            return "words"
        if self.representation == "TIME_SERIES":
            return "series"
        is_number = category == "SAMPLE" or self.units or self.type in _NUMBERS
        return "number" if is_number else "text"

    def points(self) -> tuple[Point, ...]:
        if self.shape == "condition":
            code = Point(f"{self.name}/{NATIVE_CODE}", DataType.STRING, documentation=f"{self._documentation}: native code")
            return self._point(self.name, self._state_datatype), code
        if self.shape in ("text", "words"):
            return (self._point(self.name, self._state_datatype),)
        return tuple(self._point(f"{self.name}/{axis}" if axis else self.name, DataType.DOUBLE) for axis in axes(self.units))

    def reader(self, device_id: str, points: tuple[Point, ...]) -> Item:
        rate = _number(self.element.get("sampleRate"))
        return Item(device_id, tuple(point.name for point in points), self.shape, self.config.words, rate)

    def _point(self, name: str, datatype: DataType) -> Point:
        config = self.config
        low = config.low if config.low is not None else _number(self.element.findtext("Constraints/Minimum"))
        high = config.high if config.high is not None else _number(self.element.findtext("Constraints/Maximum"))
        return Point(name, datatype, ucum(self.units) or "1", low, high, config.kind or self._kind, self._documentation)

    @property
    def _state_datatype(self) -> DataType:
        if not self.config.words:
            return DataType.STRING
        return DataType.INT64 if all(isinstance(value, int) for value in self.config.words.values()) else DataType.DOUBLE

    @property
    def _kind(self) -> Kind:
        if self.shape == "condition" or self.type in _STATES:
            return "state"
        if self.type.endswith("_OVERRIDE") or self.element.get("subType") in ("PROGRAMMED", "COMMANDED"):
            return "setting"
        return "counter" if self.type in _COUNTERS else "measurement"

    @property
    def _documentation(self) -> str:
        if self.config.documentation is not None:
            return self.config.documentation
        unknown = "" if ucum(self.units) else f" in {self.units}"
        return " ".join(filter(None, (self.place, self.type, self.element.get("subType")))) + unknown


def _data_items(device: Element, config: MTConnectConfig, named: Mapping[str, PointConfig]) -> Iterator[_DataItem]:
    """The data items to take, in the document's order."""
    found = [(element, place) for element, place in _placed(device, "") if element.get("id")]
    shown = [element.get("name") for element, _ in found]
    for element, place in found:
        item, name = element.get("id", ""), element.get("name")
        said = named.get(item)
        if said is None and config.others == "ignore":
            continue
        said = said or PointConfig(item=item)
        usual = name if config.names == "name" and name and shown.count(name) == 1 else item
        yield _DataItem(element, place, said.name or usual, said)


def _placed(component: Element, place: str) -> Iterator[tuple[Element, str]]:
    """The data items of a component and all below it, each with the names of the components it is in."""
    for element in component.iterfind("DataItems/DataItem"):
        yield element, place
    for below in component.iterfind("Components/*"):
        called = f"{below.tag} {below.get('name')}" if below.get("name") not in (None, below.tag) else below.tag
        yield from _placed(below, f"{place}/{called}" if place else called)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None
