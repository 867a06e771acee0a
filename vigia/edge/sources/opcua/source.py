"""The points of one OPC UA server: told by its subscriptions, and from its history what was missed while nobody listened."""

import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Self

import structlog
from asyncua import Client, ua
from pydantic import BaseModel

from vigia.edge import EdgeError
from vigia.edge.clock import now_ms
from vigia.edge.samples import Device, Point, Sample, Tick, Value
from vigia.edge.sources import SourceUnavailableError
from vigia.edge.sources.opcua import values
from vigia.edge.sources.opcua.certificate import ends_within
from vigia.edge.sources.opcua.config import DeviceConfig, MethodConfig, OpcUaConfig
from vigia.edge.sources.opcua.connection import close_session, load_identity, open_session, unavailable
from vigia.edge.sources.opcua.describe import NO_SUCH_NODE, Wanted, describe, read_each, read_limits, read_namespaces
from vigia.edge.sources.opcua.history import History
from vigia.edge.sources.opcua.items import Item
from vigia.edge.sources.opcua.node_ids import UnknownNamespaceError, resolve
from vigia.edge.sources.opcua.subscriptions import Inbox, Subscriptions
from vigia.edge.sources.opcua.values import Reading
from vigia.edge.sources.opcua.write import call_method, method_point, write_value
from vigia.sparkplug.names import QUALITY_BAD, QUALITY_GOOD

log = structlog.get_logger()

WAKE_S = 1.0
MOST_NAMED = 5
# Of a group published more seldom, a value's age says little about clocks.
LONGEST_FRESH_S = 30.0


class OpcUaSource:
    """One server. The position is, by device and point, the source time in microseconds up to which all is stored."""

    Config: ClassVar[type[BaseModel]] = OpcUaConfig

    def __init__(self, config: OpcUaConfig, folder: Path) -> None:
        """Raises EdgeError when a file or variable that the configuration names is missing or wrong."""
        self._config = config
        self._folder = folder
        self._identity = load_identity(config, folder)
        groups = config.groups()
        self.items = [Item(device.device_id, point, groups[point.group]) for device, point in config.points()]
        self._log = log.bind(server=config.url)
        self._serials = {device.device_id: device.serial for device in config.device}
        self._said: set[str] = set()
        self._warned: set[tuple[str, str]] = set()
        self._client: Client | None = None

    def resume(self, position: str | None) -> None:
        """Go on after `position`; one that is of another source is a first start."""
        try:
            stored = json.loads(position or "{}")
        except ValueError:
            stored = {}
        for item in self.items:
            device = stored.get(item.device_id) if isinstance(stored, dict) else None
            us = device.get(item.config.name) if isinstance(device, dict) else None
            item.begin(us if isinstance(us, int) else None)

    async def __aenter__(self) -> Self:
        try:
            self._identity = load_identity(self._config, self._folder)
        except EdgeError as error:
            raise SourceUnavailableError(str(error)) from None
        self._inbox = Inbox()
        self._watch_certificate()
        client = await open_session(self._config, self._identity, self._lose)
        try:
            with unavailable(self._config.url):
                self._limits = await read_limits(client.uaclient.session)
                self._subscriptions = Subscriptions(client.uaclient.session, self._limits, self._config, self._inbox)
                self._history = History(client.uaclient.session, self._config.history_page)
                self._client = client
                await self._describe(self.items)
                await self._read_serials()
        except BaseException:
            self._client = None
            await close_session(client)
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        client, self._client = self._client, None
        if client is not None:
            await close_session(client)

    async def __aiter__(self) -> AsyncIterator[Tick]:
        standing = [item for item in self.items if self._stands(item)]
        for item in standing:
            item.last = self._initial(item)
        yield Tick(births=tuple(self._device(device) for device in self._config.device), standing=_last(standing))
        with unavailable(self._config.url):
            await self._subscriptions.add([item for item in self.items if not item.problem])
        if missing := self._missing():
            yield Tick(samples=self._unread(missing))
        look_again = time.monotonic() + self._config.look_again_s
        while True:
            with unavailable(self._config.url):
                samples = [sample for told in self._inbox.take() for sample in self._hear(*told)]
            if samples:
                yield Tick(tuple(samples), position=self._position())
            with unavailable(self._config.url):
                tick = await self._past_or_wait(max(0.0, min(WAKE_S, look_again - time.monotonic())))
            if tick is not None:
                yield tick
            if time.monotonic() >= look_again:
                look_again = time.monotonic() + self._config.look_again_s
                with unavailable(self._config.url):
                    born = await self._look_again()
                if born:
                    yield self._birth(born)

    # ── commands ──

    def writable(self, device: str, name: str) -> Point:
        """The variable or method called `name`. Raises EdgeError when there is none, or it is an element of an array."""
        found = self._writable(device, name)
        return method_point(found) if isinstance(found, MethodConfig) else found.point

    def target(self, device: str, name: str) -> str:
        """Which node of which server, and its range. Raises EdgeError."""
        found = self._writable(device, name)
        config = found if isinstance(found, MethodConfig) else found.config
        return repr((self._config.url, config.model_dump(exclude={"documentation", "group", "dead_band", "dead_band_percent"})))

    async def write(self, device: str, point: str, value: Value) -> None:
        """Write the variable, or call the method. Raises CommandRefusedError with the server's status, SourceUnavailableError."""
        found = self._writable(device, point)
        session = self._session
        try:
            with unavailable(self._config.url):
                if isinstance(found, MethodConfig):
                    await call_method(session, await read_namespaces(session), found, value)
                else:
                    await write_value(session, found, value)
        except SourceUnavailableError as error:
            raise SourceUnavailableError(f"{error}; whether the machine acted is not known") from None

    def _writable(self, device: str, name: str) -> Item | MethodConfig:
        for one in self._config.device:
            for method in one.method if one.device_id == device else ():
                if method.name == name:
                    return method
        for item in self.items:
            if (item.device_id, item.config.name) == (device, name):
                if item.config.index is not None:
                    raise EdgeError(f"point {name} of {device} is an element of an array, which cannot be written alone")
                return item
        raise EdgeError(f"the source has no point or method {name} of a device {device}; correct the command, or add it")

    # ── values ──

    def _hear(self, handle: int, data: ua.DataValue, received_ms: int) -> list[Sample]:
        """What may be told of a value that the server told just now."""
        item = self._subscriptions.item(handle)
        status = 0 if data.StatusCode is None else data.StatusCode.value
        if item is None or item.problem or status == values.WAITING:
            return []
        if status in values.NO_NODE:
            item.problem = NO_SUCH_NODE
            self._say_problems([item])
        fresh = not item.track.fresh and item.group.publishing_s <= LONGEST_FRESH_S
        reading = values.read(data, item.point.datatype, item.config.index, received_ms)
        if fresh and reading.quality == QUALITY_GOOD:
            reading = replace(reading, received_ms=received_ms)
        if reading.overflow and not item.track.keeps_history:
            self._say_once(item.name, "values were lost in the server; raise queue_size or publish more often")
        if reading.value is None and status == 0:
            self._say_once(item.name, f"a value is no {item.point.datatype.name}; it is told as bad")
        told = item.track.live(reading)
        if item.track.hole is not None:
            self._history.add(item)
        return _samples(item, told)

    async def _past_or_wait(self, timeout_s: float) -> Tick | None:
        """Something from the history, if it is time for that; else wait for something to happen."""
        due_s = self._history.due_in()
        if due_s == 0:
            item, told = await self._history.step()
            samples = _samples(item, told)
            return Tick(tuple(samples), position=self._position()) if samples else None
        await self._inbox.wait(timeout_s if due_s is None else min(due_s, timeout_s))
        self._subscriptions.check()
        return None

    def _position(self) -> str:
        stored: dict[str, dict[str, int]] = defaultdict(dict)
        for item in self.items:
            if item.track.stored_us is not None:
                stored[item.device_id][item.config.name] = item.track.stored_us
        return json.dumps(stored, separators=(",", ":"))

    def _lose(self) -> None:
        self._inbox.lose(f"{self._config.url}: the connection to the server is lost")

    # ── what the server has ──

    @property
    def _session(self) -> Any:  # noqa: ANN401 - the library's
        if self._client is None:
            raise SourceUnavailableError(f"{self._config.url}: not connected")
        return self._client.uaclient.session

    async def _describe(self, items: Sequence[Item]) -> None:
        """Find the nodes of `items`; one that cannot be read gets a `problem`."""
        namespaces = await read_namespaces(self._session)
        found = []
        for item in items:
            try:
                found.append((item, Wanted(resolve(item.config.node, namespaces), item.config.index)))
            except UnknownNamespaceError as error:
                item.problem = str(error)
        told = await describe(self._session, self._limits, [wanted for _, wanted in found])
        for (item, _), described in zip(found, told, strict=True):
            item.problem = described.problem
            if not described.problem:
                item.described = described
                item.track.keeps_history = self._config.history and described.keeps_history
                if item.config.dead_band_percent and not item.dead_band:
                    self._say_once(item.name, "dead_band_percent needs a range that the server does not tell; write low and high")
        self._say_problems(items)

    def _say_problems(self, items: Iterable[Item]) -> None:
        """A line for each new reason, however many points it stops."""
        stopped: dict[tuple[str, str], list[str]] = defaultdict(list)
        for item in items:
            words = f"{item.name}: {item.problem}"
            if item.problem and words not in self._said:
                self._said.add(words)
                where = "" if item.problem.startswith("the server has no namespace") else item.config.node
                stopped[item.problem, where].append(item.name)
            elif not item.problem:
                self._said = {said for said in self._said if not said.startswith(f"{item.name}: ")}
        for (problem, node), names in stopped.items():
            more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
            self._log.warning("point cannot be read", point=", ".join(names[:MOST_NAMED]) + more, node=node or None, why=problem)

    def _say_once(self, name: str, words: str) -> None:
        """A warning about `name`, however often there is reason for it."""
        if (name, words) not in self._warned:
            self._warned.add((name, words))
            self._log.warning(words, about=name)

    def _watch_certificate(self) -> None:
        own = self._identity.certificate
        within = None if own is None else ends_within(own, datetime.now(UTC))
        if within is not None:
            self._say_once(
                str(self._config.certificate), f"the certificate ends within {within} days; make another and let the server trust it"
            )

    async def _read_serials(self) -> list[DeviceConfig]:
        """Ask the nodes that tell serial numbers; returns the devices whose machine is another one now."""
        asking = [device for device in self._config.device if device.serial_node is not None]
        namespaces = await read_namespaces(self._session) if asking else []
        changed = []
        for device in asking:
            try:
                node_id = resolve(device.serial_node or "", namespaces)
            except UnknownNamespaceError as error:
                self._say_once(device.device_id, f"serial_node cannot be read: {error}")
                continue
            (told,) = await read_each(self._session, self._limits, [(node_id, ua.AttributeIds.Value)])
            serial = None if told.Value is None else told.Value.Value
            if serial in (None, ""):
                self._say_once(device.device_id, "serial_node tells no serial number")
            elif str(serial) != self._serials[device.device_id]:
                self._serials[device.device_id] = str(serial)
                changed.append(device)
        return changed

    async def _look_again(self) -> list[DeviceConfig]:
        """Look for nodes that were missing and for machines that were swapped; returns the devices that must be born again."""
        self._watch_certificate()
        born = await self._read_serials()
        for item in self.items:
            if item.device_id in {device.device_id for device in born}:
                item.last = None
        missing = self._missing()
        if missing:
            await self._describe(missing)
            found = [item for item in missing if not item.problem]
            await self._subscriptions.remove(found)
            for item in found:
                item.track.fresh = True
            await self._subscriptions.add(found)
            self._say_problems(found)
            devices = {item.device_id for item in found if not item.problem}
            born += [device for device in self._config.device if device.device_id in devices and device not in born]
        return born

    def _missing(self) -> list[Item]:
        return [item for item in self.items if item.problem]

    def _unread(self, items: Iterable[Item]) -> tuple[Sample, ...]:
        return tuple(Sample(item.device_id, item.config.name, now_ms(), None, QUALITY_BAD) for item in items)

    # ── births ──

    def _device(self, config: DeviceConfig) -> Device:
        points = tuple(item.point for item in self.items if item.device_id == config.device_id)
        return Device(config.device_id, self._serials[config.device_id], config.model, points)

    def _birth(self, devices: Sequence[DeviceConfig]) -> Tick:
        """These devices again, with what their points told last."""
        ids = {device.device_id for device in devices}
        return Tick(
            births=tuple(self._device(device) for device in devices),
            standing=_last(item for item in self.items if item.device_id in ids and not item.problem),
        )

    def _stands(self, item: Item) -> bool:
        """Whether what the server tells first is stored already."""
        return bool(item.described) and not item.problem and self._initial(item).us == item.track.stored_us

    def _initial(self, item: Item) -> Reading:
        data = ua.DataValue() if item.described is None else item.described.value
        return values.read(data, item.point.datatype, item.config.index, 0)


def _samples(item: Item, readings: Iterable[Reading]) -> list[Sample]:
    return [sample for reading in readings if (sample := item.tell(reading)) is not None]


def _last(items: Iterable[Item]) -> tuple[Sample, ...]:
    return tuple(item.sample(item.last) for item in items if item.last is not None)
