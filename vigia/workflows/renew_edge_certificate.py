"""A gateway asks for the certificate after its present one, for a new key."""

from datetime import datetime

from vigia.authority.requests import fingerprint, public_key_of
from vigia.domain.errors import InvalidValueError
from vigia.domain.identities import check_renewal
from vigia.store import audit, identities
from vigia.store.audit import Action
from vigia.store.database import Transaction
from vigia.store.identities import EdgeCertificate, NewRequest


async def handle(tx: Transaction, present: EdgeCertificate, request: str, now: datetime) -> EdgeCertificate:
    """The certificate for the key of `request` (PKCS #10, PEM), signed or not yet; asking again with the same key gives the same.

    `present` is in force. Raises InvalidValueError when the request cannot be read, its key is in use, or the present certificate was
    renewed for another key; TransitionRefusedError when it is too early.
    """
    key_sha256 = fingerprint(public_key_of(request))
    known = await identities.of_key(tx, key_sha256)
    if known is not None and known.renews == present.edge_certificate_id:
        return known
    if present.valid_from is not None and present.valid_until is not None:
        check_renewal(present.valid_from, present.valid_until, now)
    new = NewRequest(present.customer_id, present.edge_node_id, key_sha256, request, renews=present.edge_certificate_id)
    if not await identities.request_certificate(tx, new, now):
        raise InvalidValueError("The certificate was renewed for another key; if this gateway does not have that key, enrol it anew.")
    detail = {"renews": present.serial_number}
    await audit.record(tx, Action(None, present.customer_id, "renew_edge_certificate", f"edge_node:{present.edge_node_id}", detail))
    made = await identities.of_key(tx, key_sha256)
    assert made is not None  # noqa: S101 - inserted above
    return made
