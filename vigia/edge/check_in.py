"""The gateway's word to its server, now and then: it shows that it is itself, and gets its next certificate in time."""

import asyncio
import base64
import contextlib
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from vigia.edge import EdgeError
from vigia.edge.enrolment import client, post
from vigia.edge.identity import Identity, load, new_request, take_certificate
from vigia.sparkplug.names import CHECK_IN

log = structlog.get_logger()

WARNING_DAYS = (30, 14, 7, 1)
DAY = timedelta(days=1)


class CheckIns:
    """Checks in for the identity in `folder` until cancelled; `on_new_certificate` is called in the event loop when it has another one."""

    def __init__(self, folder: Path, every_s: float, on_new_certificate: Callable[[], None]) -> None:
        self._folder = folder
        self._every_s = every_s
        self._on_new_certificate = on_new_certificate
        self._last_words = ""
        self._warned: int | None = None
        self.rounds = 0
        """How often it has tried."""

    async def run(self) -> None:
        """Check in again and again. A server that is away, or refuses, is told of once and asked again."""
        while True:
            try:
                if await asyncio.to_thread(self._check_in):
                    self._on_new_certificate()
                self._last_words = ""
            except EdgeError as error:
                if str(error) != self._last_words:
                    log.warning("not checked in", why=str(error))
                self._last_words = str(error)
            with contextlib.suppress(EdgeError):
                self._warn(load(self._folder))
            self.rounds += 1
            # Spread, so that a fleet does not come in one moment.
            await asyncio.sleep(self._every_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret

    def _check_in(self) -> bool:
        """Whether there is a new certificate."""
        identity = load(self._folder)
        due = renewal_due(identity, datetime.now(UTC))
        said = self._say(identity, {"request": new_request(self._folder) if due else None})
        chain = said.get("certificate")
        if not due or not isinstance(chain, str):
            return False
        take_certificate(self._folder, chain)
        self._warned = None
        log.info("certificate renewed", valid_until=load(self._folder).valid_until.isoformat(timespec="seconds"))
        return True

    def _say(self, identity: Identity, what: dict[str, Any]) -> dict[str, Any]:
        statement = json.dumps({"at": datetime.now(UTC).isoformat(), **what})
        signature = identity.sign(CHECK_IN + statement.encode())
        body = {"serial_number": identity.serial_number, "statement": statement, "signature": base64.b64encode(signature).decode()}
        with client(identity.server, identity.server_ca) as http:
            return post(http, "/api/v1/check-ins", body)

    def _warn(self, identity: Identity) -> None:
        """Tell that the certificate ends soon, once for each of WARNING_DAYS."""
        left = identity.valid_until - datetime.now(UTC)
        within = min((days for days in WARNING_DAYS if left <= days * DAY), default=None)
        if within is not None and within != self._warned:
            ends = identity.valid_until.isoformat(timespec="seconds")
            if left > timedelta():
                log.warning("the certificate ends soon and was not renewed", within_days=within, ends=ends)
            else:
                log.error("the certificate has ended: enrol the gateway anew", ended=ends)
            self._warned = within


def renewal_due(identity: Identity, now: datetime) -> bool:
    """Whether a third of the certificate's life, or less, is left."""
    return identity.valid_until - now <= (identity.valid_until - identity.valid_from) / 3
