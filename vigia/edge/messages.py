"""The Sparkplug messages of one edge node: births, data, deaths; and what a command asks for."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count

from vigia.edge.buffer_records import Batch, Birth, Tombstone
from vigia.edge.commands import Announced, Rule
from vigia.edge.samples import Device, Point, Sample
from vigia.sparkplug import names
from vigia.sparkplug.datatypes import DataType, Scalar
from vigia.sparkplug.payload import Metric, Payload, Property, decode
from vigia.sparkplug.session import bd_seq_metric

NODE = ""
_QUALITIES = (names.QUALITY_BAD, names.QUALITY_GOOD, names.QUALITY_STALE)
_NODE_METRICS = {
    names.EPOCH: DataType.INT64,
    names.NEWEST: DataType.INT64,
    names.ACKNOWLEDGED: DataType.INT64,
    names.TOMBSTONE: DataType.STRING,
    names.AGENT_VERSION: DataType.STRING,
    names.CONFIGURATION: DataType.STRING,
}


@dataclass(frozen=True, slots=True)
class About:
    """What a node's birth says of the gateway: the version of its program, the SHA-256 of its configuration."""

    agent_version: str = ""
    configuration: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """What an NCMD asks for; `acknowledged` is (epoch, watermark), `sent_ms` when the host sent it by its own clock."""

    rebirth: bool = False
    acknowledged: tuple[int, int] | None = None
    sent_ms: int | None = None


class Messages:
    """Builds the payloads of one edge node. Aliases are given once for its whole life, unique over all its devices.

    Metrics stand in the order of their times, as Sparkplug wants them. `commands` says what a DCMD may write to a device.
    """

    def __init__(self, commands: Callable[[Device], tuple[Announced, ...]] = lambda _device: (), about: About | None = None) -> None:
        self._commands = commands
        self._about = about or About()
        self._aliases: dict[tuple[str, str], int] = {}
        self._numbers = count()
        self._latest: dict[tuple[str, str], Sample] = {}
        self._node_aliases = {self._alias(NODE, name): name for name in _NODE_METRICS}
        self._command_datatypes: dict[str | int, DataType] = {names.REBIRTH: DataType.BOOLEAN}
        self._command_datatypes.update(_NODE_METRICS)
        self._command_datatypes.update({alias: _NODE_METRICS[name] for alias, name in self._node_aliases.items()})

    def node_birth(self, bd_seq: int, epoch: int, newest: int, acknowledged: int, now: int) -> Payload:
        """The NBIRTH. All times in milliseconds since 1970 UTC."""
        values: dict[str, Scalar | None] = {
            names.EPOCH: epoch,
            names.NEWEST: newest,
            names.ACKNOWLEDGED: acknowledged,
            names.TOMBSTONE: None,
            names.AGENT_VERSION: self._about.agent_version or None,
            names.CONFIGURATION: self._about.configuration or None,
        }
        own = (Metric(name, self._alias(NODE, name), now, datatype, values[name]) for name, datatype in _NODE_METRICS.items())
        rebirth = Metric(names.REBIRTH, timestamp=now, datatype=DataType.BOOLEAN, value=False)
        return Payload(now, (bd_seq_metric(bd_seq, now), rebirth, *own))

    def heartbeat(self, newest: int, now: int) -> Payload:
        """The NDATA that tells the newest number: a lost tail shows."""
        return Payload(now, (Metric(None, self._alias(NODE, names.NEWEST), now, DataType.INT64, newest),))

    def tombstone(self, tombstone: Tombstone, now: int) -> Payload:
        """The NDATA that tells which numbers will never come, and why."""
        return Payload(now, (Metric(None, self._alias(NODE, names.TOMBSTONE), now, DataType.STRING, tombstone.as_json()),))

    def device_birth(self, birth: Birth, earlier: Iterable[Birth], epoch: int, newest: int, now: int) -> Payload:
        """The DBIRTH. Points of `earlier` births of the device, whose batches still wait, are announced too."""
        device = birth.device
        known = {point.name for point in device.points}
        old = {point.name: point for one in earlier for point in one.device.points if point.name not in known}
        commands = {one.point.name: one.rule for one in self._commands(device)}
        control = [one.point for one in self._commands(device) if one.point.name not in known | old.keys()]
        metrics = (
            self._text(device.device_id, names.SERIAL_NUMBER, device.serial, now),
            self._text(device.device_id, names.MODEL, device.model, now),
            self._whole(device.device_id, names.EPOCH, epoch, now),
            self._whole(device.device_id, names.BATCH, newest, now),
            *(self._point(device.device_id, point, now, commands.get(point.name)) for point in (*device.points, *old.values(), *control)),
            *([Metric(names.COMMAND, self._alias(device.device_id, names.COMMAND), now, DataType.STRING)] if commands else []),
        )
        return Payload(now, tuple(sorted(metrics, key=_time)))

    def device_data(self, batch: Batch, birth: Birth, now: int, *, historical: bool, other_serial: bool) -> Payload:
        """The DDATA that carries `batch`. `other_serial`: the machine that was born last is not the one that gave the samples."""
        datatypes = {point.name: point.datatype for point in birth.device.points}
        metrics = sorted(self._samples(batch, datatypes, historical=historical), key=_time)
        stamp = metrics[-1].timestamp
        for name, value in ((names.EPOCH, batch.epoch), (names.BATCH, batch.eseq)):
            metrics.append(Metric(None, self._alias(batch.device_id, name), stamp, DataType.INT64, value, historical))
        if other_serial:
            alias = self._alias(batch.device_id, names.SERIAL_NUMBER)
            metrics.append(Metric(None, alias, stamp, DataType.STRING, birth.device.serial, historical))
        return Payload(now, tuple(metrics))

    def remember(self, samples: Iterable[Sample]) -> None:
        """Keep the current values, which a birth repeats."""
        for sample in samples:
            self._latest[sample.device, sample.point] = sample

    def forget(self, device_id: str) -> None:
        """The machine at this device is another one now: its values are unknown until it tells them."""
        for key in [key for key in self._latest if key[0] == device_id]:
            del self._latest[key]

    def command(self, data: bytes) -> Command:
        """What the NCMD `data` asks for. Raises PayloadError."""
        values: dict[str, Scalar | None] = {}
        payload = decode(data, self._command_datatypes)
        for metric in payload.metrics:
            name = metric.name if metric.name is not None else self._node_aliases.get(metric.alias if metric.alias is not None else -1)
            if name is not None:
                values[name] = metric.value
        epoch, watermark = values.get(names.EPOCH), values.get(names.ACKNOWLEDGED)
        acknowledged = (epoch, watermark) if isinstance(epoch, int) and isinstance(watermark, int) else None
        return Command(values.get(names.REBIRTH) is True, acknowledged, payload.timestamp)

    def device_command(self, device: Device, data: bytes) -> Payload:
        """The DCMD `data` to `device`; its metrics have names, but None for an unknown alias. Raises PayloadError."""
        by_alias = {alias: name for (device_id, name), alias in self._aliases.items() if device_id == device.device_id}
        datatypes: dict[str | int, DataType] = {names.COMMAND: DataType.STRING}
        datatypes.update({one.point.name: one.point.datatype for one in self._commands(device)})
        datatypes.update({alias: datatypes[name] for alias, name in by_alias.items() if name in datatypes})
        payload = decode(data, datatypes)
        named = (
            one if one.name is not None or one.alias is None else replace(one, name=by_alias.get(one.alias)) for one in payload.metrics
        )
        return replace(payload, metrics=tuple(named))

    def _samples(self, batch: Batch, datatypes: dict[str, DataType], *, historical: bool) -> Iterator[Metric]:
        for sample in batch.samples:
            alias, properties = self._alias(batch.device_id, sample.point), _properties(sample)
            yield Metric(None, alias, sample.ts, datatypes[sample.point], sample.value, historical, properties=properties)

    def _point(self, device_id: str, point: Point, now: int, rule: Rule | None) -> Metric:
        described: dict[str, Property] = {
            names.ENG_UNIT: point.unit,
            names.ENG_LOW: point.low,
            names.ENG_HIGH: point.high,
            names.KIND: point.kind,
            names.DOCUMENTATION: point.documentation,
            **({} if rule is None else _bounds(rule)),
        }
        latest = self._latest.get((device_id, point.name))
        properties: dict[str, Property] = {key: value for key, value in described.items() if value not in (None, "")}
        if latest is not None:
            properties |= _properties(latest)
        stamp, value = (now, None) if latest is None else (latest.ts, latest.value)
        return Metric(point.name, self._alias(device_id, point.name), stamp, point.datatype, value, properties=properties)

    def _text(self, device_id: str, name: str, value: str, now: int) -> Metric:
        return Metric(name, self._alias(device_id, name), now, DataType.STRING, value)

    def _whole(self, device_id: str, name: str, value: int, now: int) -> Metric:
        return Metric(name, self._alias(device_id, name), now, DataType.INT64, value)

    def _alias(self, device_id: str, name: str) -> int:
        key = (device_id, name)
        if key not in self._aliases:
            self._aliases[key] = next(self._numbers)
        return self._aliases[key]


def _bounds(rule: Rule) -> dict[str, Property]:
    """What a birth says of a metric that may be written."""
    return {
        names.WRITABLE: True,
        names.WRITE_LOW: rule.low,
        names.WRITE_HIGH: rule.high,
        names.WRITE_ALLOWED: json.dumps(rule.allowed) if rule.allowed else None,
        names.CRITICAL: rule.critical or None,
    }


def _time(metric: Metric) -> int:
    return metric.timestamp or 0


def _properties(sample: Sample) -> dict[str, Property]:
    """What a sample tells beside its value; nothing when it is good and its time was right.

    Sparkplug knows three codes of quality: what is only uncertain is bad there.
    """
    said: dict[str, Property] = {}
    if sample.quality != names.QUALITY_GOOD:
        said[names.QUALITY] = sample.quality if sample.quality in _QUALITIES else names.QUALITY_BAD
    if sample.source_ts is not None:
        said[names.SOURCE_TIME] = sample.source_ts
    return said
