"""A gateway whose configuration comes from its server: a new one is tried, and left again when it does not run.

Its own file has `[identity]` and `[buffer]` only. What it measures meanwhile is not lost: the buffer stays.
"""

import asyncio
import contextlib
import hashlib
import time
import tomllib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import structlog

from vigia.concurrency import ended
from vigia.edge import EdgeError, agent
from vigia.edge.allowed import commands_of
from vigia.edge.check_in import CheckIns
from vigia.edge.config import EdgeConfig, IdentityConfig, MetricsConfig, build_config, identity_config, read_tables
from vigia.edge.identity import load
from vigia.edge.node import EdgeNode
from vigia.edge.snapshots import Snapshot, Snapshots
from vigia.errors import ConfigError, VigiaError

log = structlog.get_logger()

LOOK_EVERY_S = 0.2


async def run(path: Path, broker_url: str | None = None, metrics: MetricsConfig | None = None) -> None:
    """Run the gateway of this file until cancelled; `broker_url`, when given, is used instead of what the server says.

    Raises ConfigError when the file or the configuration that ran well cannot be used any more, EdgeError when the gateway cannot go on.
    """
    managed = Managed(path, broker_url)
    with agent.telling(metrics, lambda: managed.nodes, managed.identity):
        await managed.run()


def check(path: Path, broker_url: str | None = None) -> tuple[str, EdgeConfig | None]:
    """What `run` would do, in words, and the configuration that it would begin with, if one has come.

    Raises ConfigError, or EdgeError without an identity.
    """
    settings = identity_config(path, read_tables(path))
    identity = load(settings.folder)
    good = Snapshots(settings.folder).good
    words = f"{identity.group_id}/{identity.node_id}: configuration from {identity.server}"
    if good is None:
        return f"{words}, none yet", None
    return f"{words}, version {good.version}", present_config(path, broker_url)


def present_config(path: Path, broker_url: str | None = None) -> EdgeConfig:
    """What the gateway of this file runs. Raises ConfigError, or EdgeError when nothing has come from its server yet."""
    managed = Managed(path, broker_url)
    return managed.present()


def present_version(path: Path) -> int | None:
    """The version of the configuration that the gateway of this file runs. Raises ConfigError, or EdgeError without an identity."""
    good = Snapshots(identity_config(path, read_tables(path)).folder).good
    return None if good is None else good.version


class Managed:
    """The gateway, and what its check-ins are told and tell."""

    def __init__(self, path: Path, broker_url: str | None) -> None:
        self._path = path
        self._broker_url = broker_url
        self._settings: IdentityConfig = identity_config(path, read_tables(path))
        self._snapshots = Snapshots(self._settings.folder)
        self._check_ins = CheckIns(self._settings.folder, self._settings.check_in_s, self)
        self.identity = self._settings.folder
        self.nodes: Sequence[EdgeNode] = ()
        """Those that run now."""
        self._offered = asyncio.Event()

    async def run(self) -> None:
        """Check in, and run what there is to run, until cancelled."""
        checking_in = asyncio.create_task(self._check_ins.run())
        operating = asyncio.create_task(self._operate())
        try:
            await asyncio.wait((checking_in, operating), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await ended(checking_in, operating)
        for task in (checking_in, operating):
            if not task.cancelled():
                task.result()

    def present(self) -> EdgeConfig:
        """The configuration that runs well. Raises EdgeError when there is none."""
        good = self._snapshots.good
        if good is None:
            raise EdgeError("no configuration has come from the server yet")
        return self._config(good)

    # ── what the check-ins need ──

    def report(self) -> dict[str, Any]:
        """What the server is told of the configuration."""
        return self._snapshots.report()

    def renewed(self) -> None:
        """There is another certificate."""
        for node in self.nodes:
            node.reconnect()

    def offered(self, snapshot: Snapshot) -> None:
        """The server has this configuration for us. Raises EdgeError when it is not to be believed."""
        if self._snapshots.offer(snapshot):
            log.info("new configuration", version=snapshot.version)
            self._offered.set()

    # ── what runs ──

    async def _operate(self) -> None:
        while True:
            self._offered.clear()
            trial, good = self._snapshots.trial, self._snapshots.good
            if trial is not None:
                await self._try(trial)
            elif good is not None:
                await self._work(good)
            else:
                log.info("no configuration yet", server=load(self._settings.folder).server)
                await self._offered.wait()

    async def _try(self, trial: Snapshot) -> None:
        """Run it; go on with it when it runs well, and leave it when it does not."""
        try:
            if not self._snapshots.begin_trial():
                raise EdgeError("the gateway ended while it tried it")
            config = self._config(trial)
            self._check_commands(config)
            async with self._running(config) as work:
                await self._judge(work)
                self._snapshots.keep()
                log.info("configuration runs", version=trial.version)
                self._check_ins.soon()
                await self._until_another(work)
        except VigiaError as error:
            if self._snapshots.trial is None:  # it ran well, until now
                raise
            log.warning("configuration left: it does not run", version=trial.version, why=str(error))
            self._snapshots.drop(str(error))
            self._check_ins.soon()

    async def _work(self, good: Snapshot) -> None:
        async with self._running(self._config(good)) as work:
            await self._until_another(work)

    def _config(self, snapshot: Snapshot) -> EdgeConfig:
        """What is to be done: the gateway's own file, and what the server says. Raises ConfigError."""
        try:
            said = tomllib.loads(snapshot.toml)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"configuration {snapshot.version}: not TOML: {error}") from None
        tables = {**said, **read_tables(self._path)}
        try:
            return build_config(self._path, tables, hashlib.sha256(snapshot.toml.encode()).hexdigest(), self._broker_url)
        except ConfigError as error:
            raise ConfigError(str(error).replace(str(self._path), f"configuration {snapshot.version}")) from None

    def _check_commands(self, config: EdgeConfig) -> None:
        """Raise EdgeError when `config` allows a command that what runs well does not allow, or not so, and the plant has not agreed."""
        if self._settings.commands_from_server:
            return
        try:
            allowed = commands_of(self.present())
        except VigiaError:  # nothing runs yet, or it cannot be used any more
            allowed = {}
        fresh = [name for name, what in commands_of(config).items() if allowed.get(name) != what]
        if fresh:
            raise EdgeError(
                f"it adds or changes what may be commanded ({', '.join(fresh)}), which is this plant's decision; "
                "to agree, write commands_from_server = true into [identity] of the gateway's own file"
            )

    @contextlib.asynccontextmanager
    async def _running(self, config: EdgeConfig) -> AsyncIterator[asyncio.Task[None]]:
        """The nodes of `config` run; leaving ends them in order."""
        with agent.opened(config) as nodes:
            self.nodes = nodes
            work = asyncio.create_task(agent.run_nodes(nodes))
            try:
                yield work
            finally:
                self.nodes = ()
                await ended(work)

    async def _judge(self, work: asyncio.Task[None]) -> None:
        """Return when every source has come up and the host has acknowledged; raises EdgeError when that takes too long."""
        deadline = time.monotonic() + self._settings.trial_s
        while (missing := _missing(self.nodes)) is not None:
            if work.done():
                work.result()
            if time.monotonic() > deadline:
                raise EdgeError(f"{missing} within {self._settings.trial_s:g} s")
            await asyncio.sleep(LOOK_EVERY_S)

    async def _until_another(self, work: asyncio.Task[None]) -> None:
        """Until the server has another configuration; raises what ends the nodes."""
        another = asyncio.create_task(self._offered.wait())
        try:
            await asyncio.wait((work, another), return_when=asyncio.FIRST_COMPLETED)
        finally:
            another.cancel()
        if work.done():
            work.result()


def _missing(nodes: Sequence[EdgeNode]) -> str | None:
    """What the gateway still lacks to run well."""
    for node in nodes:
        if node.source.state != "running":
            why = f": {node.source.why}" if node.source.why else ""
            return f"the source of {node.name} did not come up ({node.source.state}{why})"
        if not node.is_heard:
            return f"the host acknowledged nothing of {node.name}"
    return None
