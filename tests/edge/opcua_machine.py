"""A machine that speaks OPC UA: a real server on a free port that keeps a record of what it measured.

It runs in a thread of the test (`Machine`) or as a process that can be killed (`python opcua_machine.py`, see `MachineProcess`). What it
measures is in its record before anyone can hear it, so the record is the truth.
"""

import asyncio
import contextlib
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self
from unittest import mock

from asyncua import Server, ua
from asyncua.common.node import Node
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.address_space import AddressSpace
from asyncua.server.history import HistoryStorageInterface
from asyncua.server.internal_session import InternalSession
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.monitored_item_service import MonitoredItemService

from vigia.edge.sources.opcua.certificate import make_certificate

PLANT = "http://plant.example/press"
OTHER = "http://other.example/things"
START_US = 1_767_225_600_000_000
OVERFLOW = 0x0480
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Row = tuple[str, int, object]
"""Point, source time in microseconds, value."""

logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)


def moment(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)


def microseconds(when: datetime) -> int:
    return (when - EPOCH) // timedelta(microseconds=1)


class Record(HistoryStorageInterface):  # type: ignore[misc]
    """What the server's nodes measured. `page` values an answer at most; `points_on` says whether more is told by a continuation point."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[ua.NodeId, list[ua.DataValue]] = {}
        self.page = 10_000
        self.points_on = True
        self.delay_s = 0.0
        self.asked: list[tuple[ua.NodeId, int, int]] = []

    async def init(self) -> None: ...

    async def stop(self) -> None: ...

    async def new_historized_node(self, *_: object) -> None: ...

    async def save_node_value(self, *_: object) -> None: ...

    async def read_node_history(
        self, node_id: ua.NodeId, start: datetime, end: datetime, most: int
    ) -> tuple[list[ua.DataValue], datetime | None]:
        await asyncio.sleep(self.delay_s)
        self.asked.append((node_id, microseconds(start), microseconds(end)))
        found = [data for data in self.values.get(node_id, []) if start <= data.SourceTimestamp < end]
        size = min(self.page, most or self.page)
        more = found[size].SourceTimestamp if len(found) > size and self.points_on else None
        return found[:size], more


class Users:
    """Who may log in."""

    def __init__(self) -> None:
        self.passwords: dict[str, str] = {}
        self.anonymous = True

    def get_user(self, _server: object, username: str | None = None, password: str | None = None, **_: object) -> User | None:
        welcome = self.anonymous if username is None else self.passwords.get(username) == password
        return User(role=UserRole.User) if welcome else None


async def make_server(port: int, users: Users, record: Record, namespaces: Sequence[str] = (OTHER, PLANT)) -> tuple[Server, dict[str, int]]:
    server = Server(user_manager=users)
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/press")
    server.iserver.history_manager.set_storage(record)
    return server, {uri: await server.register_namespace(uri) for uri in namespaces}


def certified(folder: Path, application_uri: str) -> tuple[Path, Path]:
    """Files of a certificate and its key for a server on this machine."""
    return make_certificate(folder, application_uri)


@dataclass
class Machine:
    """Runs in a thread. Its nodes are `nsu=<PLANT>;s=<name>`; `secure` are the files of its certificate and key."""

    secure: tuple[Path, Path] | None = None
    users: Users = field(default_factory=Users)
    record: Record = field(default_factory=Record)
    nodes: dict[str, Node] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="machine")
        self._thread.start()
        self.do(self._start)
        return self

    def __exit__(self, *_: object) -> None:
        self.do(self.server.stop)
        self.do(_cancel_the_rest)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def do(self, work: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:  # noqa: ANN401
        """Run `work` in the machine's thread."""

        async def run() -> Any:  # noqa: ANN401
            return await work(*arguments)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(60)

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}/press"

    async def _start(self) -> None:
        self.server, namespaces = await make_server(0, self.users, self.record)
        self.namespace = namespaces[PLANT]
        kinds = [ua.SecurityPolicyType.NoSecurity]
        if self.secure is not None:
            await self.server.set_application_uri("urn:plant:press")
            await self.server.load_certificate(self.secure[0])
            await self.server.load_private_key(self.secure[1])
            kinds += [ua.SecurityPolicyType.Basic256Sha256_Sign, ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt]
        self.server.set_security_policy(kinds)
        self.server.set_identity_tokens([ua.AnonymousIdentityToken, ua.UserNameIdentityToken])
        await self.server.start()
        self.port = self.server.bserver._server.sockets[0].getsockname()[1]

    def add(self, name: str, value: object = 0.0, kind: ua.VariantType = ua.VariantType.Double, *, history: bool = False) -> Node:
        """A node that measured `value` at START_US, with a record of its own if it has a `history`."""
        return self.do(self._add, name, ua.DataValue(ua.Variant(value, kind), SourceTimestamp=moment(START_US)), None, history)

    def add_told(self, name: str, data: ua.DataValue, declared: ua.NodeId) -> Node:
        """A node of the declared type that tells `data`."""
        return self.do(self._add, name, data, declared)

    async def _add(self, name: str, data: ua.DataValue, declared: ua.NodeId | None, history: bool = False) -> Node:  # noqa: FBT001, FBT002
        node = await self.server.nodes.objects.add_variable(ua.NodeId(name, self.namespace), name, data.Value, datatype=declared)
        self.nodes[name] = node
        await node.write_attribute(ua.AttributeIds.Value, data)
        if history:
            self.record.values[node.nodeid] = [data]
            for attribute in (ua.AttributeIds.AccessLevel, ua.AttributeIds.UserAccessLevel):
                await node.set_attr_bit(attribute, ua.AccessLevel.HistoryRead)
        return node

    def add_object(self, path: str, parent: str | None = None) -> Node:
        """An object, below the object `parent` or all objects; `add_below` puts variables there."""
        above = self.server.nodes.objects if parent is None else self.nodes[parent]
        name = path.rpartition("/")[2]
        self.nodes[path] = self.do(above.add_object, ua.NodeId(path, self.namespace), ua.QualifiedName(name, self.namespace))
        return self.nodes[path]

    def add_below(self, parent: str, name: str, value: object, kind: ua.VariantType, namespace: int | None = None) -> Node:
        """A variable below the object `parent`, of another namespace if need be."""
        index = self.namespace if namespace is None else namespace
        node_id = ua.NodeId(f"{parent}/{name}", index)
        node = self.do(self.nodes[parent].add_variable, node_id, ua.QualifiedName(name, index), value, kind)
        self.nodes[f"{parent}/{name}"] = node
        return node

    def add_property(self, name: str, key: str, value: object) -> None:
        self.do(self.nodes[name].add_property, ua.NodeId(f"{name}.{key}", self.namespace), ua.QualifiedName(key, 0), value)

    def write(self, name: str, value: object, us: int, status: int = 0) -> None:
        """The node measures `value` at `us`: into the record first, if it has one."""
        kind = self.nodes_kind(name)
        self.tell(name, ua.DataValue(ua.Variant(value, kind), ua.StatusCode(status), SourceTimestamp=moment(us)))

    def nodes_kind(self, name: str) -> ua.VariantType:
        return self.do(self.nodes[name].read_data_type_as_variant_type)

    def tell(self, name: str, data: ua.DataValue) -> None:
        self.do(self._tell, name, data)

    async def _tell(self, name: str, data: ua.DataValue) -> None:
        node = self.nodes[name]
        if node.nodeid in self.record.values:
            self.record.values[node.nodeid].append(data)
        await node.write_attribute(ua.AttributeIds.Value, data)

    def describe(self, name: str, text: str) -> None:
        self.do(self.nodes[name].write_attribute, ua.AttributeIds.Description, ua.DataValue(ua.LocalizedText(text)))

    # ── its manners ──

    def filters(self) -> dict[str, ua.DataChangeFilter]:
        """The filters of the items that it watches, by the node's name."""
        return {
            item.read_value_id.NodeId.Identifier: item.filter
            for subscription in self.server.iserver.subscription_service.subscriptions.values()
            for item in subscription.monitored_item_srv._monitored_items.values()
            if hasattr(item.filter, "DeadbandType")
        }

    @contextlib.contextmanager
    def without_filters(self) -> Iterator[None]:
        """It refuses items with a filter, as simple servers do."""
        create = MonitoredItemService._create_data_change_monitored_item

        async def refuse(service: Any, item: ua.MonitoredItemCreateRequest) -> ua.MonitoredItemCreateResult:  # noqa: ANN401
            if hasattr(item.RequestedParameters.Filter, "DeadbandType"):
                return ua.MonitoredItemCreateResult(ua.StatusCode(ua.StatusCodes.BadMonitoredItemFilterUnsupported))
            return await create(service, item)

        with mock.patch.object(MonitoredItemService, "_create_data_change_monitored_item", refuse):
            yield

    def of_any_type(self) -> Any:  # noqa: ANN401
        """A context in which its nodes may tell values of another type than before."""
        return mock.patch.object(AddressSpace, "_is_expected_variant_type", return_value=True)

    @contextlib.contextmanager
    def plain_passwords(self) -> Iterator[None]:
        """Without security it takes passwords as they are, as servers without a certificate do."""
        tokens = [token for one in self.server.iserver.endpoints for token in one.UserIdentityTokens]
        before = [token.SecurityPolicyUri for token in tokens]
        for one in self.server.iserver.endpoints:
            for token in one.UserIdentityTokens if one.SecurityMode == ua.MessageSecurityMode.None_ else ():
                token.SecurityPolicyUri = None
        yield
        for token, uri in zip(tokens, before, strict=True):
            token.SecurityPolicyUri = uri

    @contextlib.contextmanager
    def without_history(self, status: int) -> Iterator[None]:
        """It answers every question about history with `status`."""

        async def refuse(_session: Any, parameters: ua.HistoryReadParameters) -> list[ua.HistoryReadResult]:  # noqa: ANN401
            return [ua.HistoryReadResult(ua.StatusCode(status)) for _ in parameters.NodesToRead]

        with mock.patch.object(InternalSession, "history_read", refuse):
            yield

    @contextlib.contextmanager
    def honest_queues(self) -> Iterator[None]:
        """It marks the value before which others were lost, as the standard wants; the library's server only drops them."""
        enqueue = InternalSubscription._enqueue_event

        async def mark(service: Any, item: int, told: Any, size: int, queue: dict[int, list[Any]]) -> None:  # noqa: ANN401
            full = size != 0 and len(queue.get(item, [])) >= size
            await enqueue(service, item, told, size, queue)
            if full:
                oldest = queue[item][0]
                marked = replace(oldest.Value, StatusCode=ua.StatusCode(oldest.Value.StatusCode.value | OVERFLOW))
                queue[item][0] = replace(oldest, Value=marked)

        with mock.patch.object(InternalSubscription, "_enqueue_event", mark):
            yield

    def end_subscriptions(self) -> None:
        """Its subscriptions tell nothing any more; its sessions live on."""
        for subscription in list(self.server.iserver.subscription_service.subscriptions.values()):
            if subscription.pub_request_callback is not None:
                self.do(subscription.stop)

    @contextlib.contextmanager
    def limited(self, **most: int) -> Iterator[None]:
        """It says that it takes no more at once; `largest` is what it was asked at once meanwhile."""
        told = {
            "read": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
            "translate": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds,
            "monitor": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
            "items": ua.ObjectIds.Server_ServerCapabilities_MaxMonitoredItemsPerSubscription,
        }
        nodes = {name: self.server.get_node(ua.NodeId(number)) for name, number in told.items()}

        def say(limits: dict[str, int]) -> None:
            for name, value in limits.items():
                self.do(nodes[name].write_value, ua.Variant(value, ua.VariantType.UInt32))

        say(most)
        self.largest: dict[str, int] = {"subscriptions": 0}
        with contextlib.ExitStack() as stack:
            for name, method, size in (
                ("read", "read", lambda p: len(p.NodesToRead)),
                ("translate", "translate_browsepaths_to_nodeids", len),
                ("monitor", "create_monitored_items", lambda p: len(p.ItemsToCreate)),
                ("subscriptions", "create_subscription", lambda _: self.largest["subscriptions"] + 1),
            ):
                stack.enter_context(self._counting(name, method, size))
            yield
        say(dict.fromkeys(most, 0))

    def _counting(self, name: str, method: str, size: Callable[[Any], int]) -> Any:  # noqa: ANN401
        original = getattr(InternalSession, method)

        async def counted(session: Any, parameters: Any, *rest: Any, **more: Any) -> Any:  # noqa: ANN401
            if session.external:
                self.largest[name] = max(self.largest.get(name, 0), size(parameters))
            return await original(session, parameters, *rest, **more)

        return mock.patch.object(InternalSession, method, counted)

    def rows(self, name: str) -> list[Row]:
        """The record of a node."""
        return [(name, microseconds(data.SourceTimestamp), data.Value.Value) for data in self.record.values[self.nodes[name].nodeid]]


async def _cancel_the_rest() -> None:
    """What the server leaves running when it stops."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


# ── a machine that can be killed ──


@dataclass
class MachineProcess:
    """Measures a counter all the time. `record` is its file of what it measured, a line a value; it goes on with it when started again."""

    record: Path
    port: int
    every_s: float = 0.02
    process: subprocess.Popen[bytes] | None = None

    def start(self, namespaces: Sequence[str]) -> None:
        arguments = [str(self.record), str(self.port), str(self.every_s), *namespaces]
        self.process = subprocess.Popen([sys.executable, __file__, *arguments])

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def rows(self) -> list[tuple[int, int]]:
        """Source time in microseconds and value, as far as whole lines are there."""
        text = self.record.read_text() if self.record.exists() else ""
        return [tuple(json.loads(line)) for line in text.splitlines() if line.endswith("]")]


async def measure(record_file: Path, port: int, every_s: float, namespaces: Sequence[str]) -> None:
    """The process: a server whose node `counter` has a history that outlives it."""
    record = Record()
    server, indexes = await make_server(port, Users(), record, namespaces)
    node_id = ua.NodeId("counter", indexes[PLANT])
    lines = list(_whole_lines(record_file))
    record.values[node_id] = [_measured(us, value) for us, value in lines]
    count = lines[-1][1] if lines else 0
    node = await server.nodes.objects.add_variable(node_id, "counter", count, ua.VariantType.Int64)
    if lines:
        await node.write_attribute(ua.AttributeIds.Value, record.values[node_id][-1])
    for attribute in (ua.AttributeIds.AccessLevel, ua.AttributeIds.UserAccessLevel):
        await node.set_attr_bit(attribute, ua.AccessLevel.HistoryRead)
    with record_file.open("a") as file:
        # It measures whether anyone listens or not.
        for _ in range(5):
            count = await _one_more(file, record, node, count)
        await server.start()
        while True:
            count = await _one_more(file, record, node, count)
            await asyncio.sleep(every_s)


async def _one_more(file: Any, record: Record, node: Node, count: int) -> int:  # noqa: ANN401
    us = microseconds(datetime.now(UTC))
    file.write(json.dumps([us, count + 1]) + "\n")
    file.flush()
    data = _measured(us, count + 1)
    record.values[node.nodeid].append(data)
    await node.write_attribute(ua.AttributeIds.Value, data)
    return count + 1


def _measured(us: int, value: int) -> ua.DataValue:
    return ua.DataValue(ua.Variant(value, ua.VariantType.Int64), SourceTimestamp=moment(us), ServerTimestamp=moment(us))


def _whole_lines(path: Path) -> Iterator[tuple[int, int]]:
    text = path.read_text() if path.exists() else ""
    for line in text.splitlines():
        if line.endswith("]"):
            us, value = json.loads(line)
            yield us, value


if __name__ == "__main__":
    asyncio.run(measure(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]))
