"""The prognosis process: every cycle of every installed machine gets one prediction.

It wakes when readings are committed (or once a second), reads what is new, and writes predictions, their announcement and the jobs
they cause in one transaction. Nothing but the model is kept on disk: after a start, a machine's state is built again from its
readings since its installation. A reading that arrives after a newer one of its machine was predicted takes part from the next start on.
"""

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from vigia.analytics import retraining, training
from vigia.analytics.config import RunnerConfig
from vigia.analytics.inputs import PointMap
from vigia.analytics.prognosis import model as model_file
from vigia.analytics.prognosis.errors import PrognosisError
from vigia.analytics.prognosis.explain import AGE
from vigia.analytics.prognosis.follow import Cycle, Follower, Outcome
from vigia.analytics.prognosis.model import lowest_health
from vigia.analytics.retraining import Renewal
from vigia.analytics.training import TrainingPlan
from vigia.domain import risk
from vigia.domain.risk import Action, Rule
from vigia.store import alarms, models, predictions
from vigia.store.changes import announce, listen
from vigia.store.database import Database, DatabaseUnavailableError, Transaction
from vigia.store.models import ModelVersion, ShadowPrediction
from vigia.store.predictions import Followed, FollowedPoint, Moment, NewPrediction, Stretch
from vigia.workflows.choose_rule import OrderRules
from vigia.workflows.jobs import defer

log = structlog.get_logger()

AT_ONCE = 1_024
"""Machines that are read and predicted together, when each has little that is new ..."""
LITTLE = timedelta(hours=1)
LATE_AT_ONCE = 64
"""... and when they have more, or their state is built from all readings since their installation."""
LATE_A_TICK = 1_024
"""Then it is looked which models are in charge."""
WAVES_AT_ONCE = 25
"""Cycles of each machine between two commits when catching up: a stop waits for one such block."""


class NoModelError(PrognosisError):
    """No failure model is registered; make one with `vigia analytics train`, or name a training file with --train."""


@dataclass
class _Stay:
    """What is remembered of one machine in one role. `row` is None until its state is needed, and again when it has left."""

    row: int | None
    read_until: datetime
    predicted_at: datetime | None
    lowest_health: float | None
    life_p50: float | None
    probabilities: deque[float]


@dataclass
class _Work:
    """A machine that has new readings, and those readings in order."""

    followed: Followed
    stay: _Stay
    until: datetime
    moments: list[Moment] = field(default_factory=list)

    @property
    def is_fresh(self) -> bool:
        return self.stay.row is not None and self.until - self.stay.read_until <= LITTLE


@dataclass(frozen=True)
class _Step:
    """One cycle of one machine on its way through the model."""

    work: _Work
    at: datetime
    cycle: Cycle


async def run(config: RunnerConfig) -> None:
    """Predict until cancelled; once started, wait while the database is away.

    Raises at the start: DatabaseUnavailableError, UnknownAssetModelError, NoModelError, ModelFileError, or what training raises.
    """
    async with Database(config.dsn, "vigia_service", max_size=3, clock=config.clock) as database:
        runner = await open_runner(database, config)
        wake = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_wake_on_readings(config, wake), name="listen")
            tasks.create_task(_predict_forever(runner, wake, config), name="predict")
            if config.renewal is not None and config.training_data is not None:
                plan = TrainingPlan(config.training_data, config.training_units, training.models_folder(config.home), dask=config.dask)
                renewal = Renewal(config.asset_model, config.failure_mode, config.renewal, plan)
                tasks.create_task(retraining.run(database, renewal), name="renew")


async def _wake_on_readings(config: RunnerConfig, wake: asyncio.Event) -> None:
    while True:
        with contextlib.suppress(DatabaseUnavailableError):
            async with listen(config.dsn) as changes:
                wake.set()  # what was committed before we listened
                async for change in changes:
                    if change.kind == "telemetry":
                        wake.set()
        await asyncio.sleep(config.poll_s)  # meanwhile the poll finds what is new


async def _predict_forever(runner: "Runner", wake: asyncio.Event, config: RunnerConfig) -> None:
    pause_s = 0.0
    while True:
        wake.clear()
        try:
            done = await runner.tick()
        except DatabaseUnavailableError:
            if not pause_s:
                log.warning("the database is away; predictions wait")
            pause_s = min(max(2 * pause_s, 0.1), config.longest_pause_s)
            await asyncio.sleep(pause_s)
            continue
        if pause_s:
            log.info("the database is back")
            pause_s = 0.0
        if not done:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(config.poll_s):
                    await wake.wait()


async def open_runner(database: Database, config: RunnerConfig) -> "Runner":
    """A runner with the model in charge, which is trained first if there is none. Raises what `run` raises."""
    async with database.transaction() as tx:
        await models.asset_model_id(tx, config.asset_model)
        champion = await models.champion(tx, config.asset_model, config.failure_mode)
    folder = training.models_folder(config.home)
    if config.training_data is not None and (champion is None or not (folder / champion.file_name).exists()):
        log.info("training the failure model; this takes up to a minute", data=config.training_data.name)
        plan = TrainingPlan(config.training_data, config.training_units, folder)
        champion = await training.train_and_register(database, config.asset_model, plan)
        log.info("trained", version=champion.version, seconds=champion.metrics.get("train_s"))
    if champion is None:
        raise NoModelError
    return Runner(database, config, champion, await _load(config.home, champion))


async def _load(home: Path, version: ModelVersion) -> Follower:
    return Follower(await asyncio.to_thread(model_file.load, training.models_folder(home) / version.file_name, version.sha256))


class Runner:
    """The state between two ticks. Made by `open_runner`."""

    def __init__(self, database: Database, config: RunnerConfig, version: ModelVersion, follower: Follower) -> None:
        self._database = database
        self._config = config
        self._checked = 0.0
        self._shadow: Runner | None = None
        self._take_over(version, follower)

    def _take_over(self, version: ModelVersion, follower: Follower) -> None:
        self._version = version
        self._follower = follower
        self._rules = OrderRules(version)
        self._stays: dict[int, _Stay] = {}
        self._points: dict[int, PointMap] = {}
        log.info("predicting", failure_mode=version.failure_mode, version=version.version, state=version.state)

    async def _follow_registry(self) -> None:
        """Change models when others were put in charge or in the shadow; one that cannot be loaded leaves the present one at work."""
        now = asyncio.get_running_loop().time()
        if now - self._checked < self._config.champion_check_s:
            return
        self._checked = now
        async with self._database.transaction() as tx:
            champion = await models.champion(tx, self._config.asset_model, self._config.failure_mode)
            shadow = await models.shadow(tx, self._config.asset_model, self._config.failure_mode)
        await self._follow_shadow(shadow)
        await self._follow_champion(champion)

    async def _follow_shadow(self, shadow: ModelVersion | None) -> None:
        if shadow is None:
            self._shadow = None
            return
        if self._shadow is not None and self._shadow._version.model_version_id == shadow.model_version_id:  # noqa: SLF001 - of its own kind
            return
        self._shadow = None
        try:
            self._shadow = _ShadowRunner(self._database, self._config, shadow, await _load(self._config.home, shadow))
        except PrognosisError as error:
            log.error("the model in the shadow cannot be used", reason=str(error))  # noqa: TRY400 - foreseen

    async def _follow_champion(self, champion: ModelVersion | None) -> None:
        if champion is None or champion.model_version_id == self._version.model_version_id:
            return
        try:
            follower = await _load(self._config.home, champion)
        except PrognosisError as error:
            log.error("the new model cannot be used; the present one goes on", reason=str(error))  # noqa: TRY400 - foreseen
        else:
            self._take_over(champion, follower)

    async def tick(self) -> int:
        """Predict what is new; the number of cycles taken in, 0 when there was nothing to do. Raises DatabaseUnavailableError."""
        await self._follow_registry()
        done = await self._advance()
        return done + (0 if self._shadow is None else await self._shadow.tick())

    async def _followed(self, tx: Transaction) -> list[Followed]:
        version, grace = self._version, self._config.grace
        return await predictions.followed(tx, version.asset_model_id, version.failure_mode, recent=self._rules.longest_run, grace=grace)

    async def _advance(self) -> int:
        async with self._database.transaction() as tx:
            followed = await self._followed(tx)
        self._drop_gone({one.installation_id for one in followed})
        work = self._new_work(followed)
        fresh = [one for one in work if one.is_fresh]
        late = [one for one in work if not one.is_fresh][:LATE_A_TICK]
        done = 0
        for some, size in ((fresh, AT_ONCE), (late, LATE_AT_ONCE)):
            for start in range(0, len(some), size):
                done += await self._take_in(some[start : start + size])
        return done

    async def _take_in(self, work: Sequence[_Work]) -> int:
        async with self._database.transaction() as tx:
            await self._read(tx, work)
        steps = [self._steps(one) for one in work]
        waves = [[step for step in wave if step is not None] for wave in itertools.zip_longest(*steps)]
        try:
            for start in range(0, len(waves), WAVES_AT_ONCE):
                await self._block(waves[start : start + WAVES_AT_ONCE])
        except BaseException:
            self._forget(work)  # its state has run ahead of what is committed: it is built again from the readings
            raise
        for one in work:
            self._settle(one)
        return sum(len(wave) for wave in waves) or len(work)

    def _drop_gone(self, present: set[int]) -> None:
        for installation_id in [known for known in self._stays if known not in present]:
            self._release(self._stays.pop(installation_id))

    def _release(self, stay: _Stay) -> None:
        if stay.row is not None:
            self._follower.end(stay.row)
            stay.row = None

    def _forget(self, work: Sequence[_Work]) -> None:
        for one in work:
            self._release(self._stays.pop(one.followed.installation_id))

    def _settle(self, one: _Work) -> None:
        one.stay.read_until = one.until
        if one.followed.removed_at is not None and one.until >= one.followed.removed_at:
            self._release(one.stay)

    def _new_work(self, followed: Sequence[Followed]) -> list[_Work]:
        """The machines with readings beyond what was read, each once."""
        found: dict[int, _Work] = {}
        for one in followed:
            stay = self._stays.get(one.installation_id)
            until = one.newest_at if one.removed_at is None else min(one.newest_at, one.removed_at)
            done_until = stay.read_until if stay else (one.predicted_at or one.installed_at)
            if until <= done_until or one.asset_id in found:
                continue
            if stay is None:
                recent = deque(one.probabilities or [], maxlen=self._rules.longest_run)
                stay = _Stay(None, one.installed_at, one.predicted_at, one.lowest_health, one.life_p50, recent)
                self._stays[one.installation_id] = stay
            found[one.asset_id] = _Work(one, stay, until)
        return list(found.values())

    async def _read(self, tx: Transaction, work: Sequence[_Work]) -> None:
        """The new readings of each machine, and its points where they are not known yet."""
        by_asset = {one.followed.asset_id: one for one in work}
        stretches = [Stretch(asset, one.stay.read_until, one.until) for asset, one in by_asset.items()]
        for moment in await predictions.readings(tx, stretches):
            by_asset[moment.asset_id].moments.append(moment)
        unknown = [asset for asset, one in by_asset.items() if asset not in self._points or not self._points[asset].covers(one.moments)]
        if unknown:
            found: dict[int, list[FollowedPoint]] = {asset: [] for asset in unknown}
            for point in await predictions.points(tx, unknown):
                found[point.asset_id].append(point)
            spec = self._follower.model.spec
            self._points.update({asset: PointMap.of(spec, points) for asset, points in found.items()})

    def _steps(self, one: _Work) -> list[_Step]:
        """The machine's new cycles in order; those predicted before only build its state."""
        found = []
        points, stay = self._points[one.followed.asset_id], one.stay
        for moment in one.moments:
            inputs = points.inputs(moment)
            if inputs is None:
                continue
            if stay.row is None:
                stay.row = self._follower.begin()
            wanted = stay.predicted_at is None or moment.at > stay.predicted_at
            found.append(_Step(one, moment.at, Cycle(stay.row, inputs.values, inputs.age, wanted, one.followed.asset_id)))
        return found

    async def _block(self, waves: Sequence[Sequence[_Step]]) -> None:
        """Predict some cycles of many machines and commit them."""
        outcomes = await asyncio.to_thread(self._follower.advance, [[step.cycle for step in wave] for wave in waves])
        steps = itertools.chain.from_iterable(waves)
        new = [
            (step.work.stay, self._prediction(step, outcome)) for step, outcome in zip(steps, outcomes, strict=True) if outcome is not None
        ]
        if new:
            async with self._database.transaction() as tx:
                await self._write(tx, new)

    def _prediction(self, step: _Step, outcome: Outcome) -> NewPrediction:
        followed, stay, version = step.work.followed, step.work.stay, self._version
        stay.lowest_health = lowest_health(stay.lowest_health, outcome.health)
        stay.predicted_at = step.at
        units, horizons = {**self._points[followed.asset_id].units, AGE: followed.life_unit}, self._follower.model.horizons.every
        return NewPrediction(
            customer_id=followed.customer_id,
            role_id=followed.role_id,
            asset_id=followed.asset_id,
            failure_mode=version.failure_mode,
            at=step.at,
            horizon=self._follower.model.horizon,
            probability=outcome.probability,
            probabilities=[{"horizon": to, "probability": said} for to, said in zip(horizons, outcome.within, strict=True)],
            life_p10=outcome.life_p10,
            life_p50=outcome.life_p50,
            life_p90=outcome.life_p90,
            health=stay.lowest_health,
            contributions=[part._asdict() | {"unit": units.get(part.point, "1")} for part in outcome.reasons],
            model_version_id=version.model_version_id,
            similar_cases=[case.told(followed.customer_id) for case in outcome.similar],
        )

    async def _write(self, tx: Transaction, new: Sequence[tuple[_Stay, NewPrediction]]) -> None:
        """Store the predictions, say so, and ask for the alarm's change where one is due."""
        ids = await predictions.insert(tx, [one for _, one in new])
        active = await alarms.predicted_failures(tx)
        by = await self._rules.by_machine(tx, {one.asset_id for _, one in new}, max(one.at for _, one in new))
        for prediction_id, (stay, one) in zip(ids, new, strict=True):
            action = self._action(stay, one, active, by[one.asset_id].rule)
            if prediction_id is not None and action is not Action.KEEP:
                await defer(tx, "prediction_to_alarm", prediction_id=prediction_id, **by[one.asset_id].named)
                log.info("prediction changes the alarm", action=action.value, asset=one.asset_id, probability=round(one.probability, 3))
        for customer_id in sorted({one.customer_id for _, one in new}):
            await announce(tx, "prediction", customer_id)

    def _action(self, stay: _Stay, one: NewPrediction, active: set[tuple[int, str]], rule: Rule) -> Action:
        """What the newest prediction asks of the alarm; RAISE also when an active alarm's priority changes. Keeps `active` up to date."""
        stay.probabilities.append(one.probability)
        key, before, stay.life_p50 = (one.asset_id, one.failure_mode), stay.life_p50, one.life_p50
        action = risk.decide(list(stay.probabilities), rule, active=key in active)
        if action is Action.RAISE:
            active.add(key)
        elif action is Action.CLEAR:
            active.discard(key)
        elif key in active and before is not None and risk.priority_of(before) is not risk.priority_of(one.life_p50):
            return Action.RAISE
        return action


class _ShadowRunner(Runner):
    """The same machines through a model in the shadow of the one in charge: what it says is kept apart, and nothing follows."""

    async def _follow_registry(self) -> None:
        """The runner in whose shadow it stands does that."""

    async def _followed(self, tx: Transaction) -> list[Followed]:
        return await predictions.followed_in_shadow(
            tx, self._version.asset_model_id, self._version.model_version_id, grace=self._config.grace
        )

    async def _write(self, tx: Transaction, new: Sequence[tuple[_Stay, NewPrediction]]) -> None:
        said = [
            ShadowPrediction(
                one.customer_id, one.asset_id, one.model_version_id, one.at, one.probability, one.life_p10, one.life_p50, one.life_p90
            )
            for _, one in new
        ]
        await models.add_shadow_predictions(tx, said)
