"""One run of the demo, from an empty folder or from where a former start was stopped: start all, fly, report."""

import asyncio
import contextlib
import socket
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib import resources
from pathlib import Path

from vigia.analytics.evaluate.cmapss import load_lives
from vigia.demo import fleet
from vigia.demo.director import Director
from vigia.demo.fleet import fleet_time
from vigia.demo.logbook import Logbook, RunPlan
from vigia.demo.report import RunReport, lead_figures, score
from vigia.demo.screen import Screen
from vigia.demo.technician import SimulatedTechnician
from vigia.domain.availability import Category
from vigia.edge.buffer import BufferStatus, buffer_status
from vigia.errors import ConfigError
from vigia.store import models, pilot
from vigia.store.database import Caller, Database
from vigia.supervisor.processes import Child, vigia_command
from vigia.supervisor.stack import Stack, StackConfig
from vigia.workflows import close_period

DRAINED_TIMEOUT_S = 60.0
MODEL_POLL_S = 0.2
STAFF = Caller(staff=True)


@dataclass(frozen=True)
class DemoConfig:
    """What to fly. `hours` None: until the last engine's recorded life is over; `hours_per_s` None: as fast as it goes."""

    home: Path
    host: str
    port: int
    dsn: str | None
    broker: str | None
    fix: bool
    engines: int
    hours: int | None
    hours_per_s: float | None
    headless: bool


def training_data() -> Path:
    """The recorded engines that ship with Vigía."""
    return Path(str(resources.files("vigia.demo") / "data" / "train_FD001.txt.gz"))


class Run:
    """A run in progress; `fly` does all of it."""

    def __init__(self, config: DemoConfig, screen: Screen) -> None:
        if not 1 <= config.engines <= len(fleet.ROLES):
            raise ConfigError(f"--engines {config.engines}: the fleet has 1 to {len(fleet.ROLES)} engines")
        if config.hours is not None and config.hours < 1:
            raise ConfigError(f"--hours {config.hours}: give at least 1, or leave it out to fly until every life is over")
        self.config = config if config.port else replace(config, port=_free_port(config.host))
        self.screen = screen
        self.started_s = time.monotonic()
        self.lives = load_lives(training_data())
        self.roles = fleet.ROLES[: config.engines]
        self.logbook = Logbook.open(config.home / "demo" / "logbook.jsonl")
        self.gateway = config.home / "demo" / "gateway.toml"

    async def fly(self) -> RunReport:
        """Start everything, fly the plan, stop everything. Interactive, the fleet flies on until it is interrupted."""
        config = self.config
        self.logbook.begin(RunPlan(fix=config.fix, engines=config.engines, hours=config.hours or self._whole_pilot()))
        stack_config = StackConfig(config.home, config.host, config.port, config.dsn, config.broker, {"VIGIA_CLOCK": "fleet"})
        credentials = fleet.credentials(config.home)
        async with Stack(replace(stack_config, analytics_options=self._analytics_options())) as stack:
            self.screen.starting(stack)
            async with Database(stack.dsn, "vigia_service", max_size=4) as database:
                await self._seed(database, credentials)
                self.gateway.write_text(fleet.gateway_toml(self.roles, stack.broker_url, config.home, training_data(), self.logbook.path))
                await stack.start_services()
                await stack.start(Child("edge", vigia_command("edge", "run", "--config", str(self.gateway))))
                self.screen.ready(stack, credentials, self.logbook)
                return await self._fly(stack, database, credentials)

    async def _fly(self, stack: Stack, database: Database, credentials: fleet.Credentials) -> RunReport:
        assert self.logbook.plan is not None  # noqa: S101 - begun above
        technician = SimulatedTechnician(
            stack.api_url, *credentials.simulated_technician, fix=self.logbook.plan.fix, logbook=self.logbook, lives=self.lives
        )
        director = Director(
            database,
            self.logbook,
            technician,
            roles=frozenset(role.device_id for role in self.roles),
            lives=self.lives,
            hours_per_s=self.config.hours_per_s,
            tell=self.screen.progress,
        )
        async with contextlib.aclosing(technician):
            await self._model_trained(database)
            await director.run(self.logbook.plan.hours)
            await self._drained()
            report = await self._report(stack, database)
            self.screen.report(report)
            if not self.config.headless:
                await director.run(None)
        return report

    async def _seed(self, database: Database, credentials: fleet.Credentials) -> None:
        async with database.transaction(STAFF) as tx:
            if self.logbook.hour == 0 and (await pilot.counts(tx)).rows_stored:
                raise ConfigError("the database holds the readings of another run; name an empty one with --dsn, or use that run's --home")
            await fleet.seed(tx, self.roles, credentials)

    def _whole_pilot(self) -> int:
        """Hours until every engine has flown to its end and, had it failed, stood until it was replaced."""
        longest = max(self.lives[role.unit] for role in self.roles)
        return longest + int((fleet.CORRECTIVE_LEAD + fleet.VISIT_DURATION) / timedelta(hours=1)) + 2

    def _analytics_options(self) -> list[str]:
        return ["--train", str(training_data()), "--train-units", "1-80"]

    async def _model_trained(self, database: Database) -> None:
        """Wait for the first failure model: before it, no engine can be predicted."""
        while True:
            async with database.transaction(STAFF) as tx:
                if await models.champion(tx, fleet.ASSET_MODEL, fleet.FAILURE_MODE) is not None:
                    return
            self.screen.progress(self.logbook.hour, "training the failure model on engines 1 to 80, the first time only")
            await asyncio.sleep(MODEL_POLL_S)

    async def _drained(self) -> None:
        """Wait until the gateways have nothing unsent: what is counted next is all there is."""
        deadline = time.monotonic() + DRAINED_TIMEOUT_S
        while any(buffer.waiting_batches for buffer in self._buffers()):
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(0.05)

    def _buffers(self) -> list[BufferStatus]:
        found = (buffer_status(path) for path in fleet.buffer_files(self.roles, self.config.home))
        return [status for status in found if status is not None]

    async def _report(self, stack: Stack, database: Database) -> RunReport:
        assert self.logbook.plan is not None  # noqa: S101 - begun
        hours = self.logbook.plan.hours
        async with database.transaction(STAFF) as tx:
            counts = await pilot.counts(tx)
            flown = {engine.serial_number: engine for engine in await pilot.engines(tx)}
            outcome = await close_period.handle(tx, fleet.FLEET_START, fleet_time(hours))
            champion = await models.champion(tx, fleet.ASSET_MODEL, fleet.FAILURE_MODE)
        scores = [score(flown[role.serial_number], self.lives[role.unit]) for role in self.roles]
        median, p10 = lead_figures(scores)
        verdicts = [engine.verdict for engine in scores]
        return RunReport(
            mode="fix" if self.logbook.plan.fix else "no-fix",
            rows_sent=sum(buffer.samples_stored for buffer in self._buffers()),
            rows_stored=counts.rows_stored,
            rows_duplicated=counts.rows_duplicated,
            holes=counts.holes,
            dead_letters=counts.dead_letters,
            engines=len(scores),
            caught=verdicts.count("caught"),
            early=verdicts.count("early"),
            missed=verdicts.count("missed"),
            failures=sum(engine.failed for engine in scores),
            lead_cycles_median=median,
            lead_cycles_p10=p10,
            work_orders=counts.work_orders,
            false_orders=counts.false_orders,
            availability=outcome.elements.time_based_availability,
            unknown_hours=outcome.elements.of(Category.DATA_UNKNOWN) / timedelta(hours=1),
            hours_delivered=float(outcome.hours_delivered),
            credits={currency: str(amount) for currency, amount in outcome.credits.items()},
            fleet_hours=hours,
            wall_s=round(time.monotonic() - self.started_s, 1),
            database=stack.migration.profile if stack.migration else "",
            broker=stack.broker_name,
            model=champion.version if champion else "",
        )


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        try:
            probe.bind((host, 0))
        except OSError as error:
            raise ConfigError(f"cannot listen on {host} ({error.strerror}); choose another address with --host (VIGIA_HOST)") from None
        return int(probe.getsockname()[1])
