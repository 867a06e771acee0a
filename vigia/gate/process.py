"""The process: asks the database, again and again, whom to let in and whom to keep out."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from vigia.authority.issuing import Authority, Revoked
from vigia.domain.identities import identity_of
from vigia.gate.config import GateConfig
from vigia.gate.door import BrokerAwayError
from vigia.gate.lists import ListFolder, Lists
from vigia.store import identities
from vigia.store.database import Database, DatabaseUnavailableError, TransactionConflictError
from vigia.store.identities import EdgeCertificate, Identity
from vigia.workflows import issue_certificates, shut_out_edge, sign_configurations, warn_of_certificate

log = structlog.get_logger()

WARN_EVERY_S = 60.0
MOMENT = timedelta(minutes=10)
"""How long the gate's own certificates are valid."""


async def run(config: GateConfig) -> None:
    """Work until cancelled; a database that goes away is waited for.

    Raises AuthorityError without an authority, GateError when the lists cannot be written, DatabaseUnavailableError when no database
    answers at the start.
    """
    authority = Authority.load(config.authority)
    async with Database(config.dsn, "vigia_service", max_size=1) as database:
        gate = Gate(config, authority, database)
        log.info("gate open")
        try:
            while True:
                await gate.look()
                await asyncio.sleep(config.look_every_s)
        finally:
            log.info("gate closed")


class Gate:
    """What the process does each time it looks."""

    def __init__(self, config: GateConfig, authority: Authority, database: Database) -> None:
        self._config = config
        self._authority = authority
        self._database = database
        self._folder = ListFolder(config.lists, authority)
        self._waiting = False
        self._listed_at: dict[Identity, float] = {}
        self._probe: _Probe | None = None
        self._last_words = ""
        self._warn_at = 0.0

    async def look(self) -> None:
        """Do what there is to do now."""
        try:
            await self._publish()
            await self._sign()
            await self._shut_out()
            await self._warn()
        except (DatabaseUnavailableError, TransactionConflictError) as error:
            if not self._waiting:
                log.warning("database away", reason=str(error))
            self._waiting = True
        else:
            self._waiting = False

    async def _sign(self) -> None:
        until = time.monotonic() - self._config.settled_s
        admitted = {identity for identity, at in self._listed_at.items() if at <= until}
        async with self._database.transaction() as tx:
            signed = await issue_certificates.handle(tx, self._authority, self._config.certificate_life, admitted, datetime.now(UTC))
            configurations = await sign_configurations.handle(tx, self._authority)
        for identity in signed:
            log.info("certificate signed", identity=identity)
        if configurations:
            log.info("configurations signed", count=configurations)

    async def _publish(self) -> None:
        now = datetime.now(UTC)
        async with self._database.transaction() as tx:
            known = await identities.in_force(tx, now)
            revoked = [Revoked(one.serial_number, one.revoked_at) for one in await identities.revoked(tx, now)]
            if self._config.door is not None and (self._probe is None or now - self._probe.revoked.revoked_at > MOMENT / 2):
                waiting = await identities.to_shut_out(tx)
                self._probe = self._new_probe(waiting, now) if waiting else None
        if self._probe is not None:
            revoked.append(self._probe.revoked)
        if self._folder.publish(Lists(known, revoked), now):
            log.info("lists written", admitted=len(known), revoked=len(revoked))
        self._listed_at = {identity: self._listed_at.get(identity, time.monotonic()) for identity in known}

    def _new_probe(self, waiting: Sequence[EdgeCertificate], now: datetime) -> "_Probe":
        credentials, serial_number = self._authority.credentials("gate", now, MOMENT)
        return _Probe(credentials, Revoked(serial_number, now, probe=True), waiting)

    async def _shut_out(self) -> None:
        """When the broker refuses what is revoked, end the sessions that came in before."""
        door, probe = self._config.door, self._probe
        if door is None or probe is None:
            return
        try:
            if not await asyncio.to_thread(door.refuses, probe.credentials):
                return
            for identity in sorted({identity_of(one.group_id, one.node_id) for one in probe.waiting}):
                credentials, _ = self._authority.credentials(identity, datetime.now(UTC), MOMENT)
                await asyncio.to_thread(door.throw_out, credentials)
                log.info("gateway shut out", identity=identity)
        except BrokerAwayError as error:
            if str(error) != self._last_words:
                log.warning("broker away", reason=str(error))
            self._last_words = str(error)
            return
        async with self._database.transaction() as tx:
            await shut_out_edge.handle(tx, probe.waiting, datetime.now(UTC))
        self._probe, self._last_words = None, ""

    async def _warn(self) -> None:
        if time.monotonic() < self._warn_at:
            return
        self._warn_at = time.monotonic() + WARN_EVERY_S
        async with self._database.transaction() as tx:
            given = await warn_of_certificate.handle(tx, datetime.now(UTC))
        for one in given:
            ends = one.valid_until.isoformat(timespec="seconds")
            log.warning("a certificate ends soon and was not renewed", identity=one.identity, within_days=one.within_days, ends=ends)


@dataclass(frozen=True)
class _Probe:
    """A certificate that is on every list with those that wait to be shut out: when it is refused, they are."""

    credentials: bytes
    revoked: Revoked
    waiting: Sequence[EdgeCertificate]
