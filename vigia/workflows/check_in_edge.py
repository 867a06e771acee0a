"""A gateway shows that it is itself, and gets what waits for it."""

from dataclasses import dataclass
from datetime import datetime

from vigia.authority.requests import is_signed_by
from vigia.domain.errors import IdentityRefusedError
from vigia.store import identities
from vigia.store.database import Transaction
from vigia.store.identities import EdgeCertificate
from vigia.workflows import renew_edge_certificate


@dataclass(frozen=True)
class CheckIn:
    """What a gateway says: `message` is what it signed with the key of the certificate of this number.

    `request` (PKCS #10, PEM) asks for the next certificate.
    """

    serial_number: str
    message: bytes
    signature: bytes
    request: str | None


@dataclass(frozen=True)
class CheckedIn:
    """What it gets. `renewed` is None when it did not ask, or its certificate is not signed yet."""

    renewed: str | None


async def handle(tx: Transaction, said: CheckIn, now: datetime) -> CheckedIn:
    """Raises IdentityRefusedError unless the certificate is in force and its key has signed, and what renewing raises."""
    present = await identities.of_serial(tx, said.serial_number)
    if present is None or not _is_in_force(present, now) or not is_signed_by(present.chain or "", said.message, said.signature):
        raise IdentityRefusedError
    if said.request is None:
        return CheckedIn(None)
    return CheckedIn((await renew_edge_certificate.handle(tx, present, said.request, now)).chain)


def _is_in_force(certificate: EdgeCertificate, now: datetime) -> bool:
    return certificate.revoked_at is None and certificate.valid_until is not None and now < certificate.valid_until
