"""A gateway uses its token: its request for a certificate is kept, for the gate to sign."""

from datetime import datetime

from vigia.authority.requests import fingerprint, public_key_of
from vigia.domain.errors import InvalidValueError, TokenRefusedError
from vigia.domain.identities import admit
from vigia.store import audit, identities
from vigia.store.audit import Action
from vigia.store.database import Transaction
from vigia.store.identities import EdgeCertificate, EdgeToken, NewRequest


async def handle(tx: Transaction, token: str, request: str, now: datetime) -> EdgeCertificate | TokenRefusedError:
    """The certificate for the key of `request` (PKCS #10, PEM), signed or not yet; asking again with the same key gives the same.

    A refusal is returned, not raised, so that its audit event is committed. Raises InvalidValueError when the request cannot be read or
    its key is another gateway's.
    """
    key_sha256 = fingerprint(public_key_of(request))
    found = await identities.token(tx, token)
    if found is None:
        return TokenRefusedError()
    known = await identities.of_key(tx, key_sha256)
    if known is not None and known.edge_token_id == found.edge_token_id and known.revoked_at is None:
        return known
    try:
        admit(found.expires_at, found.used_at, now)
    except TokenRefusedError as refused:
        await _note(tx, found, "refuse_enrolment")
        return refused
    new = NewRequest(found.customer_id, found.edge_node_id, key_sha256, request, edge_token_id=found.edge_token_id)
    if not await identities.request_certificate(tx, new, now):
        raise InvalidValueError("The request's key has a certificate already: make a new key.")
    await identities.use_token(tx, found.edge_token_id, now)
    await _note(tx, found, "enroll_edge")
    made = await identities.of_key(tx, key_sha256)
    assert made is not None  # noqa: S101 - inserted above
    return made


async def _note(tx: Transaction, token: EdgeToken, action: str) -> None:
    detail = {"token": token.edge_token_id}
    await audit.record(tx, Action(None, token.customer_id, action, f"edge_node:{token.edge_node_id}", detail))
