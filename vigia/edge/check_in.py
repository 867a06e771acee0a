"""The gateway's word to its server, now and then: it shows that it is itself, and gets its next certificate in time."""

import asyncio
import base64
import contextlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import structlog

from vigia.edge import EdgeError
from vigia.edge.enrolment import client, post
from vigia.edge.identity import Identity, load, new_request, take_certificate
from vigia.edge.node import EdgeNode
from vigia.edge.snapshots import Snapshot
from vigia.sparkplug import statements

log = structlog.get_logger()

WARNING_DAYS = (30, 14, 7, 1)
DAY = timedelta(days=1)


class Listener(Protocol):
    """Whom the check-ins concern; called in the event loop, `report` in any thread."""

    def report(self) -> dict[str, Any] | None:
        """What the server is told of the configuration; None of a gateway that takes none from there."""

    def renewed(self) -> None:
        """There is another certificate."""

    def offered(self, snapshot: Snapshot) -> None:
        """The server has this configuration. Raises EdgeError when it is not to be believed."""


class Unmanaged:
    """A gateway that is configured by its own file alone."""

    def __init__(self, nodes: Sequence[EdgeNode]) -> None:
        self._nodes = nodes

    def report(self) -> None:
        """See `Listener`."""

    def renewed(self) -> None:
        """See `Listener`."""
        for node in self._nodes:
            node.reconnect()

    def offered(self, snapshot: Snapshot) -> None:
        """See `Listener`."""


class CheckIns:
    """Checks in for the identity in `folder` until cancelled."""

    def __init__(self, folder: Path, every_s: float, listener: Listener) -> None:
        self._folder = folder
        self._every_s = every_s
        self._listener = listener
        self._soon = asyncio.Event()
        self._last_words = ""
        self._warned: int | None = None
        self.rounds = 0
        """How often it has tried."""

    def soon(self) -> None:
        """Check in now: there is something to tell."""
        self._soon.set()

    async def run(self) -> None:
        """Check in again and again. A server that is away, or refuses, is told of once and asked again."""
        while True:
            self._soon.clear()
            try:
                answer = await asyncio.to_thread(self._check_in)
                if answer.renewed:
                    self._listener.renewed()
                if answer.offered is not None:
                    self._listener.offered(answer.offered)
                self._last_words = ""
            except EdgeError as error:
                if str(error) != self._last_words:
                    log.warning("not checked in", why=str(error))
                self._last_words = str(error)
            with contextlib.suppress(EdgeError):
                self._warn(load(self._folder))
            self.rounds += 1
            with contextlib.suppress(TimeoutError):
                # Spread, so that a fleet does not come in one moment.
                async with asyncio.timeout(self._every_s * random.uniform(0.5, 1.0)):  # noqa: S311 - no secret
                    await self._soon.wait()

    def _check_in(self) -> "_Answer":
        identity = load(self._folder)
        due = renewal_due(identity, datetime.now(UTC))
        request = new_request(self._folder) if due else None
        said = self._say(identity, {"request": request, "configuration": self._listener.report()})
        chain = said.get("certificate")
        renewed = due and isinstance(chain, str)
        if renewed:
            take_certificate(self._folder, str(chain))
            self._warned = None
            log.info("certificate renewed", valid_until=load(self._folder).valid_until.isoformat(timespec="seconds"))
        return _Answer(renewed, _snapshot(said.get("configuration")))

    def _say(self, identity: Identity, what: dict[str, Any]) -> dict[str, Any]:
        statement = json.dumps({"at": datetime.now(UTC).isoformat(), **what})
        signature = identity.sign(statements.check_in(statement))
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


@dataclass(frozen=True)
class _Answer:
    renewed: bool
    offered: Snapshot | None


def _snapshot(said: Any) -> Snapshot | None:  # noqa: ANN401 - any JSON
    if not isinstance(said, dict):
        return None
    try:
        return Snapshot(int(said["version"]), str(said["toml"]), base64.b64decode(said["signature"]))
    except (KeyError, ValueError, TypeError):
        raise EdgeError("the server's configuration cannot be read; it is ignored") from None


def renewal_due(identity: Identity, now: datetime) -> bool:
    """Whether a third of the certificate's life, or less, is left."""
    return identity.valid_until - now <= (identity.valid_until - identity.valid_from) / 3
