"""The director of the demo: lets fleet time pass, one hour at a time, and keeps the simulated world true to the work done.

An hour passes only when the one before it has gone the whole way: read, committed, predicted, every job done. So the outcome does
not depend on how fast the machine is, and `--speed max` means as fast as the pipeline keeps up.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from vigia.demo import fleet
from vigia.demo.fleet import fleet_time
from vigia.demo.logbook import Engine, Logbook
from vigia.demo.technician import SimulatedTechnician, TechnicianAwayError
from vigia.store import pilot
from vigia.store.database import Caller, Database, DatabaseUnavailableError

log = structlog.get_logger()

POLL_S = 0.01
SPARES_KEPT = 5
"""The shop sends overhauled engines, as new, before the pool runs dry."""
SLOW_AFTER_S = 10.0


def fleet_hour(at: datetime) -> int:
    """The whole hour of fleet time at `at`, rounded up: work that ends within an hour frees the engine at its end."""
    return -int((fleet.FLEET_START - at) // timedelta(hours=1))


@dataclass
class Director:
    """Lets the hours pass over the engines of `roles`.

    `lives` maps a recorded unit to its last cycle; `hours_per_s` None is as fast as the pipeline keeps up.
    """

    database: Database
    logbook: Logbook
    technician: SimulatedTechnician
    roles: frozenset[str]
    lives: Mapping[int, int]
    hours_per_s: float | None
    tell: Callable[[int, str], None] = field(default=lambda _hour, _state: None)

    async def run(self, until_hour: int | None) -> None:
        """Fly until fleet time reaches `until_hour`, or for ever. Goes on after any organ's outage."""
        await self._patiently(self._settle)
        next_step_at = time.monotonic()
        while until_hour is None or self.logbook.hour < until_hour:
            self.logbook.advance(self.logbook.hour + 1)
            self.tell(self.logbook.hour, "")
            await self._patiently(self._settle)
            if self.hours_per_s is not None:
                next_step_at = max(next_step_at + 1 / self.hours_per_s, time.monotonic())
                await asyncio.sleep(next_step_at - time.monotonic())

    async def _settle(self) -> None:
        """Everything due at this hour is done: readings, predictions, jobs, the technicians' visits, the world."""
        hour = self.logbook.hour
        await self._pipeline_done(hour)
        async with self.database.transaction(Caller(staff=True)) as tx:
            await fleet.restock(tx, SPARES_KEPT)
        if await self.technician.work(fleet_time(hour)):
            await self._pipeline_done(hour)
        await self._follow_the_work(hour)

    async def _patiently(self, step: Callable[[], Awaitable[None]]) -> None:
        """Repeat `step` while the database or the api is away: both come back."""
        pause_s = 0.2
        while True:
            try:
                await step()
            except (DatabaseUnavailableError, TechnicianAwayError) as error:
                self.tell(self.logbook.hour, f"waiting: {error}")
                log.warning("waiting", why=str(error))
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, 2.0)
            else:
                return

    async def _pipeline_done(self, hour: int) -> None:
        due = [self._due(engine, hour) for engine in self.logbook.engines.values() if engine.hour < hour]
        slow_at = time.monotonic() + SLOW_AFTER_S
        while True:
            async with self.database.transaction() as tx:
                lag = await pilot.lag(tx, due)
            if lag.none:
                return
            if time.monotonic() > slow_at:
                self.tell(hour, f"waiting for {lag.readings} readings, {lag.predictions} predictions, {lag.jobs} jobs")
            await asyncio.sleep(POLL_S)

    def _due(self, engine: Engine, hour: int) -> pilot.Due:
        life = self.lives[engine.unit]
        return pilot.Due(
            engine.serial,
            reading_at=fleet_time(min(hour, engine.hour + life + 1)),
            prediction_at=fleet_time(min(hour, engine.hour + life)),
        )

    async def _follow_the_work(self, hour: int) -> None:
        """The world does what the records say: an engine in work does not fly, a role gets the engine that was installed."""
        async with self.database.transaction(Caller(staff=True)) as tx:
            installed = {row.device_id: row for row in await pilot.installed(tx)}
        for role in list(self.logbook.engines):
            row = installed.get(role)
            if row is None or row.in_work or row.serial_number != self.logbook.engines[role].serial:
                self.logbook.remove(role, hour)
        for role, row in installed.items():
            if role in self.roles and role not in self.logbook.engines and not row.in_work:
                self.logbook.install(role, row.serial_number, fleet.unit_of(row.serial_number), max(hour, fleet_hour(row.installed_at)))
