"""What becomes of the commands to a node's devices: each judged, remembered, carried out by the source, and its result told.

Its id is on disk before a command acts and its result on disk after: whatever ends the gateway in between, it acts once at most, and its
result is told at least once. A result is an ordinary numbered sample of the device; while the device is away, it waits.
"""

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar

import structlog

from vigia.edge import EdgeError
from vigia.edge.allowed import Allowed
from vigia.edge.buffer import BufferUnavailableError, EdgeBuffer, UnbornDeviceError
from vigia.edge.buffer_commands import CommandMemory
from vigia.edge.clock import now_ms
from vigia.edge.commands import Accepted, Command, MalformedCommandError, Refused, decide, read
from vigia.edge.messages import Messages
from vigia.edge.samples import Device, Sample, Tick
from vigia.edge.sources import SourceUnavailableError
from vigia.sparkplug import PayloadError
from vigia.sparkplug.names import COMMAND_RESULT

log = structlog.get_logger()
Found = TypeVar("Found")
Outcome = Literal["done", "refused", "failed"]

DISK_PAUSE_S = 1.0
EXECUTE_S = 60.0
MOST_WAITING = 64
# Each result costs room that readings need: who floods a gateway finds the rest of the refusals in its log.
REFUSALS_TOLD_A_MINUTE = 60


class Commander:
    """Carries out the commands of one node, one after the other; `store` takes the ticks that tell their results."""

    def __init__(
        self, node: str, allowed: Allowed, messages: Messages, buffer: EdgeBuffer, store: Callable[[Tick], Awaitable[None]]
    ) -> None:
        self._allowed = allowed
        self._messages = messages
        self._buffer = buffer
        self._memory = CommandMemory(buffer)
        self._store = store
        self._log = log.bind(node=node)
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._wake = asyncio.Event()
        self._seen: dict[str, int] = {}
        self.outcomes: Counter[str] = Counter()
        """How many commands ended how, since the gateway's start."""
        self._refusals_told: deque[float] = deque(maxlen=REFUSALS_TOLD_A_MINUTE)

    def hear(self, device_id: str, data: bytes) -> None:
        """A DCMD arrived."""
        if len(self._waiting) >= MOST_WAITING:
            self.outcomes["refused"] += 1
            self._log.warning("command refused", device=device_id, reason=f"{MOST_WAITING} commands wait already")
            return
        self._waiting.append((device_id, data))
        self._wake.set()

    def devices_came(self) -> None:
        """Devices were born: results may have waited for them."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        self._seen = await self._on_disk(self._memory.seen)
        for id_, device_id, name in await self._on_disk(self._memory.unfinished):
            reason = "the gateway stopped while the machine was asked; whether it acted is not known"
            await self._end(id_, device_id, name, "failed", reason)
        while True:
            await self._tell()
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._take(*self._waiting.popleft())
                await self._tell()

    async def _take(self, device_id: str, data: bytes) -> None:
        """See what a DCMD asks for, and do it or say why not."""
        device = self._device(device_id)
        try:
            payload = self._messages.device_command(device or Device(device_id, "", "", ()), data)
            command = read(device_id, [(metric.name, metric.value) for metric in payload.metrics], payload.timestamp)
        except PayloadError as error:
            self.outcomes["refused"] += 1
            self._log.warning("command refused", device=device_id, reason=f"not a Sparkplug message: {error}")
            return
        except MalformedCommandError as error:
            await self._refuse(device, device_id, error.id, "", str(error))
            return
        words = self._log.bind(device=device_id, command=command.name, id=command.id)
        words.info(
            "command received",
            value=command.value,
            requested_by=command.requested_by or None,
            approved_by=command.approved_by,
            issued_at=command.issued_at,
        )
        if device is None:
            await self._refuse(None, device_id, command.id, command.name, "the device is not there")
            return
        decided = decide(command, self._allowed.rules(device), self._seen, now_ms(), self._buffer.epoch)
        if isinstance(decided, Refused):
            await self._refuse(device, device_id, command.id, command.name, decided.reason)
            return
        words.info("command accepted", acts_on=decided.rule.acts_on, value=decided.value)
        await self._carry_out(command, decided)

    async def _carry_out(self, command: Command, accepted: Accepted) -> None:
        expires_at = max(command.expires_at or 0, command.issued_at + accepted.rule.max_age_ms)
        try:
            is_new = await asyncio.to_thread(self._memory.begin, command.id, command.device, command.name, expires_at)
        except BufferUnavailableError as error:
            await self._end(command.id, command.device, command.name, "refused", f"the gateway cannot remember the command: {error}")
            return
        self._seen[command.id] = expires_at
        if not is_new:
            await self._end(command.id, command.device, command.name, "refused", "used before: a command of this id has acted")
            return
        outcome, reason = await self._execute(accepted)
        self._log.info("command executed", device=command.device, command=command.name, id=command.id, outcome=outcome)
        await self._end(command.id, command.device, command.name, outcome, reason)

    async def _execute(self, accepted: Accepted) -> tuple[Outcome, str]:
        try:
            async with asyncio.timeout(EXECUTE_S):
                await self._allowed.write(accepted.rule, accepted.value)
        except SourceUnavailableError as error:
            return "failed", str(error)
        except TimeoutError:
            return "failed", f"no answer in {EXECUTE_S:g} s; whether the machine acted is not known"
        except EdgeError as error:
            return "refused", str(error)
        return "done", ""

    async def _refuse(self, device: Device | None, device_id: str, id_: str, name: str, reason: str) -> None:
        """Say no; also on the wire if the device tells results, unless there are too many to tell."""
        now = time.monotonic()
        many = len(self._refusals_told) == REFUSALS_TOLD_A_MINUTE and now - self._refusals_told[0] < 60  # noqa: PLR2004 - a minute
        self._log.warning("command refused", device=device_id, command=name or None, id=id_ or None, reason=reason)
        if device is not None and self._allowed.announced(device) and not many:
            self._refusals_told.append(now)
            await self._end(id_, device_id, name, "refused", reason)
        else:
            self.outcomes["refused"] += 1

    async def _end(self, id_: str, device_id: str, name: str, outcome: Outcome, reason: str) -> None:
        """Put the result on disk, however long that refuses."""
        self.outcomes[outcome] += 1
        at = now_ms()
        body = {"id": id_ or None, "command": name or None, "outcome": outcome, "reason": reason, "at": at}
        await self._on_disk(self._memory.end, id_, device_id, at, json.dumps(body, separators=(",", ":"), ensure_ascii=False))
        self._log.info("command result", device=device_id, **{**body, "at": None, "result_at": at})

    async def _tell(self) -> None:
        """Give the results of the devices that are there their numbers."""
        for result in await self._on_disk(self._memory.waiting):
            if self._device(result.device_id) is None:
                continue
            try:
                await self._store(Tick(samples=(Sample(result.device_id, COMMAND_RESULT, result.at, result.body),)))
            except UnbornDeviceError:
                continue  # it has gone, or comes again with the point that tells results
            await self._on_disk(self._memory.told, result.number)

    def _device(self, device_id: str) -> Device | None:
        births = self._buffer.births().values()
        return next((birth.device for birth in births if birth.alive and birth.device.device_id == device_id), None)

    async def _on_disk(self, work: Callable[..., Found], *arguments: Any) -> Found:  # noqa: ANN401 - passed on as they are
        while True:
            try:
                return await asyncio.to_thread(work, *arguments)
            except BufferUnavailableError as error:
                self._log.error("commands wait for the disk", why=str(error))
            await asyncio.sleep(DISK_PAUSE_S)
