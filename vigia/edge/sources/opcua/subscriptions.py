"""Lets the server tell changes: one subscription a group, its items in requests that the server takes, its silence noticed."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count, groupby
from typing import Final

import structlog
from asyncua import ua
from asyncua.client.ua_session import UaSession

from vigia.edge.clock import now_ms
from vigia.edge.sources import SourceUnavailableError
from vigia.edge.sources.opcua.config import GroupConfig, OpcUaConfig
from vigia.edge.sources.opcua.describe import Limits, in_parts
from vigia.edge.sources.opcua.items import Item

log = structlog.get_logger()

MOST_WAITING = 64  # answers of the server; then it keeps the rest, in the queues of its items
SILENT_FOR = 1.5  # keep-alives of a subscription
SLOWER = 60  # times what was asked for: a server that would be heard of so seldom is not a source
_NO_FILTER: Final = (
    ua.StatusCodes.BadMonitoredItemFilterInvalid,
    ua.StatusCodes.BadMonitoredItemFilterUnsupported,
    ua.StatusCodes.BadFilterNotAllowed,
    ua.StatusCodes.BadDeadbandFilterInvalid,
)
_FIRST_SEQUENCE: Final = 1
_LAST_SEQUENCE: Final = (1 << 32) - 1


class Inbox:
    """What the server told and nobody has taken yet: values by the handle of their item, each with when it was received."""

    def __init__(self) -> None:
        self._told: deque[tuple[int, ua.DataValue, int]] = deque()
        self._answers = 0
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._lost = ""

    async def put(self, told: Iterable[tuple[int, ua.DataValue, int]]) -> None:
        """Wait for room, so that the server is not asked for more than is taken."""
        while self._answers >= MOST_WAITING:
            self._room.clear()
            await self._room.wait()
        self._answers += 1
        self._told.extend(told)
        self._news.set()

    def lose(self, why: str) -> None:
        """No more will come."""
        self._lost = self._lost or why
        self._news.set()

    async def wait(self, timeout_s: float) -> None:
        """Until there is something to take, or `timeout_s` at most. Raises SourceUnavailableError when nothing is left and will come."""
        if not self._told and self._lost:
            raise SourceUnavailableError(self._lost)
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return

    def take(self) -> list[tuple[int, ua.DataValue, int]]:
        """All that was told since."""
        told = list(self._told)
        self._told.clear()
        self._answers = 0
        if not self._lost:
            self._news.clear()
        self._room.set()
        return told


@dataclass
class _Subscription:
    group: GroupConfig
    silence_s: float
    heard_at: float
    sequence: int = _FIRST_SEQUENCE
    items: int = 0


class Subscriptions:
    """The subscriptions of one session, which fill `inbox`."""

    def __init__(self, session: UaSession, limits: Limits, config: OpcUaConfig, inbox: Inbox) -> None:
        self._session = session
        self._limits = limits
        self._config = config
        self._inbox = inbox
        self._by_id: dict[int, _Subscription] = {}
        self._by_handle: dict[int, Item] = {}
        self._handles = count()

    def item(self, handle: int) -> Item | None:
        """Whose value was told under `handle`; None for one that was removed: the server may have told it before it knew."""
        return self._by_handle.get(handle)

    async def add(self, items: Sequence[Item]) -> None:
        """Have the server tell `items`; one that it refuses gets a `problem`."""
        for name, group in groupby(sorted(items, key=lambda item: item.config.group), key=lambda item: item.config.group):
            waiting = list(group)
            while waiting:
                subscription_id = self._with_room(name) or await self._open(waiting[0].group)
                subscription = self._by_id[subscription_id]
                room = self._limits.items - subscription.items
                part, waiting = waiting[:room], waiting[room:]
                subscription.items += len(part)
                await self._monitor(subscription_id, part)

    async def remove(self, items: Iterable[Item]) -> None:
        """Have the server forget `items`."""
        for item in items:
            if item.subscription_id is not None and item.monitored_id is not None:
                parameters = ua.DeleteMonitoredItemsParameters(item.subscription_id, [item.monitored_id])
                await self._session.delete_monitored_items(parameters)
                self._by_id[item.subscription_id].items -= 1
            if item.handle is not None:
                del self._by_handle[item.handle]
            item.subscription_id = item.monitored_id = item.handle = None

    def check(self) -> None:
        """Raises SourceUnavailableError when a subscription has been silent for too long."""
        now = time.monotonic()
        for subscription in self._by_id.values():
            if now - subscription.heard_at > subscription.silence_s:
                raise SourceUnavailableError(f"{self._config.url}: the server tells nothing any more")

    # ── inside ──

    def _with_room(self, name: str) -> int | None:
        for subscription_id, subscription in self._by_id.items():
            if subscription.group.name == name and subscription.items < self._limits.items:
                return subscription_id
        return None

    async def _open(self, group: GroupConfig) -> int:
        keepalive = max(1, math.ceil(self._config.keepalive_s / group.publishing_s))
        lifetime = max(3 * keepalive, math.ceil(self._config.session_timeout_s / group.publishing_s))
        wanted = ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=group.publishing_s * 1000,
            RequestedLifetimeCount=lifetime,
            RequestedMaxKeepAliveCount=keepalive,
            MaxNotificationsPerPublish=0,
            PublishingEnabled=True,
            Priority=0,
        )
        made = await self._session.create_subscription(wanted, self._published)
        keepalive_s = made.RevisedPublishingInterval / 1000 * made.RevisedMaxKeepAliveCount
        longest_s = SLOWER * max(self._config.keepalive_s, group.publishing_s)
        if not 0 < keepalive_s <= longest_s:
            raise SourceUnavailableError(f"{self._config.url}: the server would tell of itself every {keepalive_s:g} s only")
        silence_s = SILENT_FOR * keepalive_s + self._config.timeout_s
        self._by_id[made.SubscriptionId] = _Subscription(group, silence_s, time.monotonic())
        if made.RevisedPublishingInterval > wanted.RequestedPublishingInterval:
            log.info("the server publishes less often", group=group.name, publishing_s=made.RevisedPublishingInterval / 1000)
        return int(made.SubscriptionId)

    async def _monitor(self, subscription_id: int, items: Sequence[Item]) -> None:
        for item in items:
            item.handle = next(self._handles)
            self._by_handle[item.handle] = item
        refused = await self._create(subscription_id, [(item, _filter(item)) for item in items])
        again = []
        for item, status in refused:
            if status.value in _NO_FILTER:
                # Then it is kept here; a trigger that is not known is the server's own.
                item.band = item.dead_band
                again.append((item, None))
            else:
                item.problem = f"the server does not watch the node: {status.name}: {status.doc}"
        for item, status in await self._create(subscription_id, again):
            item.problem = f"the server does not watch the node: {status.name}: {status.doc}"
        self._by_id[subscription_id].items -= sum(bool(item.problem) for item in items)

    async def _create(
        self, subscription_id: int, wanted: Sequence[tuple[Item, ua.DataChangeFilter | None]]
    ) -> list[tuple[Item, ua.StatusCode]]:
        """Create the items; returns those that were refused."""

        async def ask(part: list[tuple[Item, ua.DataChangeFilter | None]]) -> list[ua.MonitoredItemCreateResult]:
            parameters = ua.CreateMonitoredItemsParameters(
                SubscriptionId=subscription_id,
                TimestampsToReturn=ua.TimestampsToReturn.Both,
                ItemsToCreate=[_request(item, change) for item, change in part],
            )
            made: list[ua.MonitoredItemCreateResult] = await self._session.create_monitored_items(parameters)
            return made

        refused = []
        for (item, _), made in zip(wanted, await in_parts(wanted, self._limits.monitor, ask), strict=True):
            if made.StatusCode.is_good():
                item.subscription_id, item.monitored_id = subscription_id, made.MonitoredItemId
                if made.RevisedQueueSize < item.group.queue_size:
                    log.info("the server keeps fewer values", point=item.name, queue_size=made.RevisedQueueSize)
            else:
                refused.append((item, made.StatusCode))
        return refused

    async def _published(self, result: ua.PublishResult) -> None:
        """Called by the session with each answer of the server; the next one is asked for when this returns."""
        subscription = self._by_id.get(result.SubscriptionId)
        if subscription is None:
            return
        subscription.heard_at = time.monotonic()
        message = result.NotificationMessage
        if not message.NotificationData:
            return
        received_ms = now_ms()
        told = []
        for data in message.NotificationData:
            if isinstance(data, ua.StatusChangeNotification):
                self._inbox.lose(f"{self._config.url}: the server ended a subscription: {data.Status.name}")
                return
            if isinstance(data, ua.DataChangeNotification):
                told += [(one.ClientHandle, one.Value, received_ms) for one in data.MonitoredItems]
        if message.SequenceNumber != subscription.sequence:
            self._inbox.lose(f"{self._config.url}: a message of the server was lost")
            return
        subscription.sequence = _FIRST_SEQUENCE if message.SequenceNumber == _LAST_SEQUENCE else message.SequenceNumber + 1
        await self._inbox.put(told)
        # While there was no room, the server was not asked: that silence was ours.
        waited = time.monotonic() - subscription.heard_at
        for one in self._by_id.values():
            one.heard_at += waited


def _filter(item: Item) -> ua.DataChangeFilter | None:
    numeric = item.described is not None and item.described.datatype.is_number
    band = item.dead_band if numeric else 0.0
    if not band and item.group.trigger == "value":
        return None
    trigger = ua.DataChangeTrigger.StatusValue if item.group.trigger == "value" else ua.DataChangeTrigger.StatusValueTimestamp
    return ua.DataChangeFilter(
        Trigger=trigger, DeadbandType=ua.DeadbandType.Absolute if band else ua.DeadbandType.None_, DeadbandValue=band
    )


def _request(item: Item, change: ua.DataChangeFilter | None) -> ua.MonitoredItemCreateRequest:
    sampling_s = item.group.publishing_s if item.group.sampling_s is None else item.group.sampling_s
    parameters = ua.MonitoringParameters(
        ClientHandle=item.handle, SamplingInterval=sampling_s * 1000, QueueSize=item.group.queue_size, DiscardOldest=True
    )
    if change is not None:
        parameters.Filter = change
    node = ua.ReadValueId(NodeId=item.described and item.described.node_id, AttributeId=ua.AttributeIds.Value)
    if item.config.index is not None:
        node.IndexRange = str(item.config.index)
    return ua.MonitoredItemCreateRequest(node, ua.MonitoringMode.Reporting, parameters)
