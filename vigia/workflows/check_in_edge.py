"""A gateway shows that it is itself, and gets what waits for it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from vigia.authority.requests import is_signed_by
from vigia.domain.errors import IdentityRefusedError
from vigia.store import identities, rollouts
from vigia.store.database import Transaction
from vigia.store.identities import EdgeCertificate
from vigia.store.rollouts import OfferedConfiguration
from vigia.workflows import renew_edge_certificate, report_configuration
from vigia.workflows.report_configuration import Report

MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True)
class CheckIn:
    """What a gateway says: `message` is what it signed with the key of the certificate of this number.

    `at` is the gateway's clock; `request` (PKCS #10, PEM) asks for the next certificate; `report` None is a gateway that takes no
    configuration from here.
    """

    serial_number: str
    message: bytes
    signature: bytes
    at: datetime
    request: str | None = None
    report: Report | None = None


@dataclass(frozen=True)
class CheckedIn:
    """What it gets. `renewed` is None when it did not ask, or its certificate is not signed yet; `offered` when there is nothing to run."""

    renewed: str | None
    offered: OfferedConfiguration | None


async def handle(tx: Transaction, said: CheckIn, now: datetime) -> CheckedIn:
    """Raises IdentityRefusedError unless the certificate is in force and its key has signed, and what renewing raises."""
    present = await identities.of_serial(tx, said.serial_number)
    if present is None or not _is_in_force(present, now) or not is_signed_by(present.chain or "", said.message, said.signature):
        raise IdentityRefusedError
    renewed = None if said.request is None else (await renew_edge_certificate.handle(tx, present, said.request, now)).chain
    offered = None
    if said.report is not None:
        await report_configuration.handle(tx, present.edge_node_id, said.report, now)
        offered = await rollouts.offered(tx, present.edge_node_id)
    version = None if said.report is None else said.report.version
    await rollouts.checked_in(tx, present.edge_node_id, version, round((said.at - now) / MILLISECOND), now)
    return CheckedIn(renewed, offered)


def _is_in_force(certificate: EdgeCertificate, now: datetime) -> bool:
    return certificate.revoked_at is None and certificate.valid_until is not None and now < certificate.valid_until
