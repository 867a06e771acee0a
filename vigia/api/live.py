"""Live changes: one LISTEN for the process, fanned out to every open stream whose caller may see the change."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from vigia.store.changes import Change, listen
from vigia.store.database import DatabaseUnavailableError
from vigia.store.sessions import Session

PENDING_LIMIT = 200
RETRY_S = 2.0

log = structlog.get_logger()


@dataclass(frozen=True)
class Reload:
    """Changes were missed or were too many: load the page's figures anew."""


class Subscription:
    """One client's pending changes. Equal ones are told once; a client too slow to keep up is told to reload instead."""

    def __init__(self, caller: Session) -> None:
        self._caller = caller
        self._pending: dict[Change | Reload, None] = {}
        self._wake = asyncio.Event()
        self._closed = False

    def belongs_to(self, caller: Session) -> bool:
        """Whether the stream was opened in this session."""
        return self._caller.token_sha256 == caller.token_sha256

    def offer(self, change: Change) -> None:
        """Keep the change for the client, if its caller may see it."""
        if self._caller.customer_id is None or change.customer_id == self._caller.customer_id:
            self._add(change)

    def reload(self) -> None:
        """Tell the client that it missed something."""
        self._pending.clear()
        self._add(Reload())

    def close(self) -> None:
        """End the stream."""
        self._closed = True
        self._wake.set()

    def _add(self, item: Change | Reload) -> None:
        if len(self._pending) >= PENDING_LIMIT:
            self._pending.clear()
            item = Reload()
        self._pending[item] = None
        self._wake.set()

    async def batches(self, heartbeat_s: float) -> AsyncIterator[list[Change | Reload]]:
        """The pending changes whenever there are some; an empty batch after each silent `heartbeat_s`; ends when closed."""
        while not self._closed:
            try:
                async with asyncio.timeout(heartbeat_s):
                    await self._wake.wait()
            except TimeoutError:
                yield []
                continue
            self._wake.clear()
            batch = list(self._pending)
            self._pending.clear()
            if batch:
                yield batch


class Hub:
    """The process's one listener and everyone who follows it."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._subscriptions: set[Subscription] = set()
        self._closed = False

    async def run(self) -> None:
        """Listen until cancelled; while the database is away, try again, and tell all to reload when it is back."""
        while True:
            try:
                async with listen(self._dsn) as changes:
                    for subscription in self._subscriptions:
                        subscription.reload()
                    async for change in changes:
                        for subscription in self._subscriptions:
                            subscription.offer(change)
            except DatabaseUnavailableError:
                log.warning("no live changes: the database is away", retry_s=RETRY_S)
            await asyncio.sleep(RETRY_S)

    @contextmanager
    def subscribe(self, caller: Session) -> Iterator[Subscription]:
        """Follow the changes `caller` may see."""
        subscription = Subscription(caller)
        if self._closed:
            subscription.close()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def end(self, caller: Session) -> None:
        """End the streams of one session: it is logged out."""
        for subscription in self._subscriptions:
            if subscription.belongs_to(caller):
                subscription.close()

    def close(self) -> None:
        """End every stream, now and from now on: the process is about to stop."""
        self._closed = True
        for subscription in self._subscriptions:
            subscription.close()
