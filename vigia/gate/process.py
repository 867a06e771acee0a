"""The process: asks the database, again and again, whom to let in and whom to keep out."""

import asyncio
from datetime import UTC, datetime

import structlog

from vigia.authority.issuing import Authority
from vigia.gate.config import GateConfig
from vigia.store.database import Database, DatabaseUnavailableError, TransactionConflictError
from vigia.workflows import issue_certificates

log = structlog.get_logger()


async def run(config: GateConfig) -> None:
    """Work until cancelled; a database that goes away is waited for.

    Raises AuthorityError without an authority, DatabaseUnavailableError when no database answers at the start.
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
        self._waiting = False

    async def look(self) -> None:
        """Do what there is to do now."""
        try:
            await self._sign()
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
