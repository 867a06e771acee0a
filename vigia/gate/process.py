"""The process: asks the database, again and again, whom to let in and whom to keep out."""

import asyncio
from datetime import UTC, datetime

import structlog

from vigia.authority.issuing import Authority, Revoked
from vigia.gate.config import GateConfig
from vigia.gate.lists import ListFolder, Lists
from vigia.store import identities
from vigia.store.database import Database, DatabaseUnavailableError, TransactionConflictError
from vigia.workflows import issue_certificates

log = structlog.get_logger()


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

    async def look(self) -> None:
        """Do what there is to do now."""
        try:
            await self._sign()
            await self._publish()
        except (DatabaseUnavailableError, TransactionConflictError) as error:
            if not self._waiting:
                log.warning("database away", reason=str(error))
            self._waiting = True
        else:
            self._waiting = False

    async def _sign(self) -> None:
        async with self._database.transaction() as tx:
            signed = await issue_certificates.handle(tx, self._authority, self._config.certificate_life, datetime.now(UTC))
        for identity in signed:
            log.info("certificate signed", identity=identity)

    async def _publish(self) -> None:
        now = datetime.now(UTC)
        async with self._database.transaction() as tx:
            known = await identities.in_force(tx, now)
            revoked = [Revoked(one.serial_number, one.revoked_at) for one in await identities.revoked(tx, now)]
        if self._folder.publish(Lists(known, revoked), now):
            log.info("lists written", admitted=len(known), revoked=len(revoked))
