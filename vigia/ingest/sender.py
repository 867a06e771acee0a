"""Commands to devices: what staff requested goes out while the broker is there, and what nobody answers ends."""

import asyncio
from datetime import UTC, datetime
from typing import Protocol

import structlog

from vigia.ingest.commands import device_command
from vigia.sparkplug import PayloadError
from vigia.store.database import Database, StoreError
from vigia.workflows import end_command, send_commands

log = structlog.get_logger()

LOOK_EVERY_S = 1.0


class Outlet(Protocol):
    """What the sender wants of the broker's side; `Host` is one."""

    @property
    def connected(self) -> bool:
        """Whether a broker is there."""

    def publish(self, topic: str, payload: bytes) -> None:
        """Send a command if a broker is there."""


class Sender:
    """Sends what waits, again and again. Several workers may: one of them sends each command."""

    def __init__(self, database: Database, host: Outlet) -> None:
        self._database = database
        self._host = host
        self._no_answer = False

    async def run(self) -> None:
        """Work until cancelled. Without a database nothing is sent; without a broker it waits."""
        while True:
            try:
                await self.look(datetime.now(UTC))
            except StoreError as error:
                if not self._no_answer:
                    log.warning("commands wait", reason=str(error))
                self._no_answer = True
            except Exception:  # what brings in readings goes on
                log.exception("commands wait")
            else:
                self._no_answer = False
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self, now: datetime) -> None:
        """Send what waits, and end what is overdue."""
        if self._host.connected:
            await self._send(now)
        async with self._database.transaction() as tx:
            await end_command.overdue(tx, now)

    async def _send(self, now: datetime) -> None:
        async with self._database.transaction() as tx:
            for one in await send_commands.handle(tx, now):
                words = log.bind(group=one.group_id, node=one.node_id, device=one.device_id, command=one.metric, id=str(one.uid))
                try:
                    self._host.publish(*device_command(one, now))
                except PayloadError as error:
                    words.warning("command refused", reason=str(error))
                    await send_commands.unsendable(tx, one, str(error), now)
                else:
                    words.info("command sent")
