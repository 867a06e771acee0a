"""Plain messages without a broker or a database: what they become, as far as the pipeline's own code can tell."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from vigia.ingest import births
from vigia.ingest.config import Limits
from vigia.ingest.events import DeviceBirth, DeviceData, Event, Letter
from vigia.ingest.inbox import Message
from vigia.ingest.plain.devices import Plain
from vigia.ingest.plain.table import load, parse
from vigia.ingest.resolve import resolve
from vigia.ingest.sessions import Sessions
from vigia.sparkplug.decode import Form
from vigia.store.births import BornPoint, Device, EdgeNode
from vigia.store.telemetry import from_us

NOW_MS = 1_767_225_600_000  # 2026-01-01T00:00Z
Row = tuple[str, str, int, float | None, int]


def entry(**keys: object) -> str:
    """The TOML of one entry, for acme/acme-one R1 unless `keys` say otherwise."""
    said = {"filter": "x/+", "decoder": "json", "group_id": "acme", "node_id": "acme-one", "device": "R1"} | keys
    return "[[topic]]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in said.items() if value is not None)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(key)} = {_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t") + '"'
    return str(value)


@dataclass
class Bench:
    """A table at work. `hear` gives the events and applies the births, as if every device in `roles` had a role."""

    plain: Plain
    roles: frozenset[str] = frozenset({"R1", "R2"})
    births: list[DeviceBirth] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sessions = Sessions(Limits())
        self.sessions.know([EdgeNode(1, 1, "acme", "acme-one", None, None), EdgeNode(2, 1, "acme", "numbered", 1, 7)])

    def hear(self, *said: tuple[str, bytes | str], now_ms: int = NOW_MS) -> list[Event]:
        messages = [Message(topic, one.encode() if isinstance(one, str) else one, 1) for topic, one in said]
        events = self.plain.read(messages, self.sessions.find, now_ms)
        for event in events:
            match event:
                case DeviceBirth():
                    self._born(event)
                    self.births.append(event)
                case Letter():
                    self.letters.append(event)
                case DeviceData():
                    self._data(event)
        return events

    def hear_all(self, topic: str, payloads: Sequence[bytes | str]) -> list[Event]:
        return self.hear(*((topic, payload) for payload in payloads))

    def _born(self, event: DeviceBirth) -> None:
        said = births.certificate(event.node.edge.edge_node_id, event.device_id, 0, event.payload, from_us(NOW_MS * 1000))
        device = None
        if event.device_id in self.roles:
            points = tuple(BornPoint(p.name, p.alias, p.datatype, 100 + i, p.kind) for i, p in enumerate(said.points))
            device = Device(event.device_id, 1, 1, 1, swapped=False, points=points)
        event.node.tables[event.device_id] = births.table(event.payload, said, device, "" if device else "unknown device")

    def _data(self, event: DeviceData) -> None:
        table = event.node.tables[event.device_id]
        found = resolve(event.columns, event.index, table)
        if table.device is None:
            return
        assert found.unknown == ()
        assert not found.faults
        name_of = {point.point_id: point.name for point in table.device.points}
        span = slice(int(event.columns.first[event.index]), int(event.columns.first[event.index + 1]))
        assert len(found.readings) == span.stop - span.start
        assert not (set(event.columns.form[span].tolist()) - {Form.NULL, Form.FLOAT, Form.BOOLEAN})
        for point_id, us, value, quality in zip(*(column.tolist() for column in _columns_of(found.readings)), strict=True):
            self.rows.append((event.device_id, name_of[point_id], us // 1000, None if value != value else value, quality))  # noqa: PLR0124 - NaN


def _columns_of(readings: object) -> tuple:
    return readings.point_id, readings.ts, readings.value, readings.quality


def bench(**keys: object) -> Bench:
    """A table of one entry."""
    return Bench(Plain(parse(entry(**keys), "topics.toml")))


def default_bench() -> Bench:
    return Bench(Plain(load("default")))
