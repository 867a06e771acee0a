"""Who may come in: one-time tokens to enrol with, and the gateways' certificates from their request to their end."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from vigia.store import queries
from vigia.store.database import Transaction

TOKEN_PREFIX = "vge_"  # noqa: S105 - by which a token that got into the wrong place is found


@dataclass(frozen=True)
class EdgeToken:
    """Leave to enrol once as this edge node."""

    edge_token_id: int
    customer_id: int
    edge_node_id: int
    group_id: str
    node_id: str
    expires_at: datetime
    used_at: datetime | None


@dataclass(frozen=True)
class EdgeCertificate:
    """A certificate of an edge node, or the request for one: `serial_number` (hexadecimal), `chain` (PEM) and times None until signed."""

    edge_certificate_id: int
    customer_id: int
    edge_node_id: int
    group_id: str
    node_id: str
    edge_token_id: int | None
    renews: int | None
    request: str
    serial_number: str | None
    chain: str | None
    valid_from: datetime | None
    valid_until: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True)
class NewRequest:
    """A request (PKCS #10, PEM) for a certificate for the key with this fingerprint. Either a token or the certificate before vouches."""

    customer_id: int
    edge_node_id: int
    key_sha256: bytes
    request: str
    edge_token_id: int | None = None
    renews: int | None = None


@dataclass(frozen=True)
class Signature:
    """What the authority made of a request."""

    serial_number: str
    chain: str
    valid_from: datetime
    valid_until: datetime


@dataclass(frozen=True)
class Identity:
    """An edge node that may come in."""

    group_id: str
    node_id: str


@dataclass(frozen=True)
class RevokedCertificate:
    """A certificate that counts no more before its end."""

    serial_number: str
    revoked_at: datetime


@dataclass(frozen=True)
class EndingCertificate:
    """The newest certificate of an edge node, which ends soon. `warned_days` is the nearest warning given."""

    edge_certificate_id: int
    customer_id: int
    edge_node_id: int
    group_id: str
    node_id: str
    valid_until: datetime
    warned_days: int | None


@dataclass(frozen=True)
class TokenTerms:
    """For whom a token is, and until when; `account_id` None: made on the command line."""

    customer_id: int
    edge_node_id: int
    expires_at: datetime
    account_id: int | None


async def add_token(tx: Transaction, terms: TokenTerms, now: datetime) -> str:
    """A new token: 256 random bits. It cannot be read again."""
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    await queries.execute(
        tx,
        "add_edge_token",
        customer_id=terms.customer_id,
        edge_node_id=terms.edge_node_id,
        token_sha256=_sha256(token),
        now=now,
        account_id=terms.account_id,
        expires_at=terms.expires_at,
    )
    return token


async def token(tx: Transaction, text: str) -> EdgeToken | None:
    """The token, locked, used or not; None if it never was."""
    return await queries.first(tx, "edge_token", EdgeToken, token_sha256=_sha256(text))


async def use_token(tx: Transaction, edge_token_id: int, now: datetime) -> None:
    """The token admits nobody any more."""
    await queries.execute(tx, "use_edge_token", edge_token_id=edge_token_id, now=now)


async def void_tokens(tx: Transaction, edge_node_id: int, now: datetime) -> None:
    """No token of this edge node admits anybody any more."""
    await queries.execute(tx, "void_edge_tokens", edge_node_id=edge_node_id, now=now)


async def request_certificate(tx: Transaction, new: NewRequest, now: datetime) -> bool:
    """Keep a request until it is signed; False when there is one for that key, or by that token or certificate, already."""
    made = await queries.value(
        tx,
        "request_edge_certificate",
        customer_id=new.customer_id,
        edge_node_id=new.edge_node_id,
        edge_token_id=new.edge_token_id,
        renews=new.renews,
        key_sha256=new.key_sha256,
        request=new.request,
        now=now,
    )
    return made is not None


async def of_key(tx: Transaction, key_sha256: bytes) -> EdgeCertificate | None:
    """The certificate, or request, for the key with this fingerprint."""
    return await queries.first(tx, "edge_certificate_of_key", EdgeCertificate, key_sha256=key_sha256)


async def of_serial(tx: Transaction, serial_number: str) -> EdgeCertificate | None:
    """The certificate of this number, in force or not."""
    return await queries.first(tx, "edge_certificate_of_serial", EdgeCertificate, serial_number=serial_number)


async def unsigned(tx: Transaction) -> list[EdgeCertificate]:
    """Requests that wait for their signature, locked, oldest first; those another signs now are left out."""
    return await queries.rows(tx, "unsigned_edge_certificates", EdgeCertificate)


async def sign(tx: Transaction, edge_certificate_id: int, signature: Signature) -> None:
    """The request is a certificate now."""
    await queries.execute(
        tx,
        "sign_edge_certificate",
        edge_certificate_id=edge_certificate_id,
        serial_number=signature.serial_number,
        chain=signature.chain,
        valid_from=signature.valid_from,
        valid_until=signature.valid_until,
    )


async def revoke(tx: Transaction, edge_node_id: int, because: str, now: datetime) -> int:
    """Revoke every certificate and request of an edge node that still counts; how many."""
    return await queries.execute(tx, "revoke_edge_certificates", edge_node_id=edge_node_id, because=because, now=now)


async def in_force(tx: Transaction, now: datetime) -> list[Identity]:
    """The edge nodes that may come in, or may once their request is signed, by name."""
    return await queries.rows(tx, "edge_identities_in_force", Identity, now=now)


async def revoked(tx: Transaction, now: datetime) -> list[RevokedCertificate]:
    """Certificates to refuse by their number, oldest first."""
    return await queries.rows(tx, "revoked_edge_certificates", RevokedCertificate, now=now)


async def to_shut_out(tx: Transaction) -> list[EdgeCertificate]:
    """Revoked certificates that the broker was not yet seen to refuse."""
    return await queries.rows(tx, "edge_certificates_to_shut_out", EdgeCertificate)


async def shut_out(tx: Transaction, edge_certificate_ids: Sequence[int], now: datetime) -> None:
    """The broker refuses these, and none of their sessions is left."""
    await queries.execute(tx, "edge_certificates_shut_out", edge_certificate_ids=list(edge_certificate_ids), now=now)


async def ending(tx: Transaction, now: datetime, within: timedelta) -> list[EndingCertificate]:
    """Edge nodes whose newest certificate ends so soon, the nearest end first."""
    return await queries.rows(tx, "ending_edge_certificates", EndingCertificate, now=now, until=now + within)


async def warned(tx: Transaction, edge_certificate_id: int, days: int) -> None:
    """Somebody was told that it ends within so many days."""
    await queries.execute(tx, "warned_of_edge_certificate", edge_certificate_id=edge_certificate_id, days=days)


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
