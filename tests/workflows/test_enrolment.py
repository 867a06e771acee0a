"""A token lets one gateway in, once; the gate signs; a revoked gateway stays out. Everything is on record."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from vigia.authority.issuing import Authority
from vigia.authority.requests import fingerprint, public_key_of
from vigia.domain.errors import IdentityRefusedError, InvalidValueError, NotFoundError, TokenRefusedError, TransitionRefusedError
from vigia.domain.identities import CERTIFICATE_LIFE
from vigia.edge.identity import new_request, take_certificate
from vigia.store import audit, identities
from vigia.store.database import Caller, Database
from vigia.store.identities import EdgeCertificate, Identity
from vigia.workflows import (
    check_in_edge,
    enroll_edge,
    issue_certificates,
    make_edge_token,
    renew_edge_certificate,
    revoke_edge,
    warn_of_certificate,
)
from vigia.workflows.check_in_edge import CheckedIn, CheckIn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.workflows.conftest import Plant

T0 = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
STAFF = Caller(staff=True)


@pytest.fixture
async def node(plant: Plant) -> int:
    """The id of an edge node of the plant's customer."""
    async with plant.service.transaction() as tx:
        await tx.execute("insert into edge_node (customer_id, site_id, group_id, node_id) values (1, 1, 'north', 'mad')")
    return 1


@pytest.fixture
async def app(node: int, app_db: Database) -> Database:
    """The database in the role of the api."""
    del node
    return app_db


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("authority"), T0)


async def made(app: Database, *, at_hour: float = 0) -> str:
    async with app.transaction(STAFF) as tx:
        return (await make_edge_token.handle(tx, 1, 24 * HOUR, T0 + at_hour * HOUR, None)).token


async def used(app: Database, token: str, request: str, at_hour: float = 1) -> EdgeCertificate | TokenRefusedError:
    async with app.transaction(STAFF) as tx:
        return await enroll_edge.handle(tx, token, request, T0 + at_hour * HOUR)


async def signed(service: Database, authority: Authority) -> list[str]:
    async with service.transaction() as tx:
        return await issue_certificates.handle(tx, authority, CERTIFICATE_LIFE, [Identity("north", "mad")], T0 + 2 * HOUR)


async def actions(service: Database) -> Sequence[str]:
    async with service.transaction() as tx:
        return [event.action for event in await audit.of_subject(tx, "edge_node:1")]


async def test_a_token_becomes_a_certificate_in_the_nodes_name(
    app: Database, service: Database, authority: Authority, tmp_path: Path
) -> None:
    request = new_request(tmp_path)
    asked = await used(app, await made(app), request)
    assert isinstance(asked, EdgeCertificate)
    assert (asked.group_id, asked.node_id, asked.chain) == ("north", "mad", None)
    assert await signed(service, authority) == ["north:mad"]
    assert await signed(service, authority) == []
    async with app.transaction(STAFF) as tx:
        known = await identities.of_key(tx, fingerprint(public_key_of(request)))
    assert known is not None
    assert known.chain is not None
    assert known.chain.endswith(authority.certificate)
    assert known.valid_until == T0 + 2 * HOUR + CERTIFICATE_LIFE
    assert await actions(service) == ["make_edge_token", "enroll_edge", "issue_certificate"]


async def test_the_token_itself_is_not_stored(app: Database, dsn: str) -> None:
    token = await made(app)
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("select t::text from vigia.edge_token t union all select a::text from vigia.audit_event a").fetchall()
    assert len(rows) == 2
    assert not any(token in text or token[4:20] in text for (text,) in rows)


async def test_asking_again_with_the_same_key_gives_the_same_certificate(
    app: Database, service: Database, authority: Authority, tmp_path: Path
) -> None:
    token = await made(app)
    first = await used(app, token, new_request(tmp_path))
    await signed(service, authority)
    again = await used(app, token, new_request(tmp_path), at_hour=100)
    assert isinstance(first, EdgeCertificate)
    assert isinstance(again, EdgeCertificate)
    assert again.edge_certificate_id == first.edge_certificate_id
    assert again.chain is not None


async def test_a_token_admits_one_key_only_and_the_second_is_on_record(app: Database, service: Database, tmp_path: Path) -> None:
    token = await made(app)
    assert isinstance(await used(app, token, new_request(tmp_path / "one")), EdgeCertificate)
    assert isinstance(await used(app, token, new_request(tmp_path / "two")), TokenRefusedError)
    assert (await actions(service))[-1] == "refuse_enrolment"


async def test_of_two_gateways_that_use_a_token_at_once_one_gets_in(app: Database, tmp_path: Path) -> None:
    token = await made(app)
    found = await asyncio.gather(*(used(app, token, new_request(tmp_path / str(number))) for number in range(4)))
    assert sorted(isinstance(one, EdgeCertificate) for one in found) == [False, False, False, True]


async def test_unknown_expired_and_replaced_tokens_are_refused(app: Database, tmp_path: Path) -> None:
    first = await made(app)
    late = await made(app, at_hour=1)
    request = new_request(tmp_path)
    for token, hour in (("vge_unknown", 1.0), (first, 2.0), (late, 25.0)):
        assert isinstance(await used(app, token, request, at_hour=hour), TokenRefusedError)
    assert isinstance(await used(app, late, request, at_hour=24.9), EdgeCertificate)


async def test_a_key_has_one_certificate(app: Database, tmp_path: Path) -> None:
    request = new_request(tmp_path)
    await used(app, await made(app), request)
    with pytest.raises(InvalidValueError, match="make a new key"):
        await used(app, await made(app), request)


async def test_a_revoked_gateway_has_nothing_that_counts(app: Database, service: Database, authority: Authority, tmp_path: Path) -> None:
    await used(app, await made(app), new_request(tmp_path / "signed"))
    await signed(service, authority)
    await used(app, await made(app), new_request(tmp_path / "waiting"))
    unused = await made(app)
    async with app.transaction(STAFF) as tx:
        assert await revoke_edge.handle(tx, 1, "stolen", T0 + 3 * HOUR, None) == 2
    assert await signed(service, authority) == []
    assert isinstance(await used(app, unused, new_request(tmp_path / "late")), TokenRefusedError)
    async with service.transaction() as tx:
        assert await identities.in_force(tx, T0 + 3 * HOUR) == []
        (listed,) = await identities.revoked(tx, T0 + 3 * HOUR)
        assert await identities.revoked(tx, T0 + CERTIFICATE_LIFE + 48 * HOUR) == []
        (live,) = await identities.to_shut_out(tx)
        await identities.shut_out(tx, [live.edge_certificate_id], T0 + 4 * HOUR)
        assert await identities.to_shut_out(tx) == []
    assert (listed.serial_number, listed.revoked_at) == (live.serial_number, T0 + 3 * HOUR)
    assert (await actions(service))[-2:] == ["revoke_edge", "refuse_enrolment"]


async def test_what_is_not_there_is_not_let_in_and_not_revoked(app: Database) -> None:
    async with app.transaction(STAFF) as tx:
        with pytest.raises(NotFoundError):
            await make_edge_token.handle(tx, 99, HOUR, T0, None)
        with pytest.raises(NotFoundError):
            await revoke_edge.handle(tx, 99, "x", T0, None)
        with pytest.raises(TransitionRefusedError):
            await revoke_edge.handle(tx, 1, "x", T0, None)


async def test_a_node_whose_name_cannot_stand_on_a_certificate_gets_no_token(app: Database, service: Database) -> None:
    async with service.transaction() as tx:
        await tx.execute("insert into edge_node (customer_id, site_id, group_id, node_id) values (1, 1, 'north', 'hall 2')")
    async with app.transaction(STAFF) as tx:
        with pytest.raises(InvalidValueError, match="hall 2"):
            await make_edge_token.handle(tx, 2, HOUR, T0, None)


async def test_customers_see_their_certificates_and_no_token(app: Database, tmp_path: Path) -> None:
    await used(app, await made(app), new_request(tmp_path))
    counts = []
    for caller in (Caller(customer_id=1), Caller(customer_id=2), None):
        async with app.transaction(caller) as tx:
            row = await (await tx.execute("select (select count(*) from edge_certificate), (select count(*) from edge_token)")).fetchone()
            counts.append(row)
    assert counts == [(1, 0), (0, 0), (0, 0)]


async def test_each_warning_of_an_end_is_given_once_and_on_record(
    app: Database, service: Database, authority: Authority, tmp_path: Path
) -> None:
    await used(app, await made(app), new_request(tmp_path))
    await signed(service, authority)
    ends, day, given = T0 + 2 * HOUR + CERTIFICATE_LIFE, timedelta(days=1), []
    for left in (31, 30, 29, 14, 13, 7, 3, 1, 0.5):
        async with service.transaction() as tx:
            given += [(left, one.within_days) for one in await warn_of_certificate.handle(tx, ends - left * day)]
    assert given == [(30, 30), (14, 14), (7, 7), (1, 1)]
    assert (await actions(service)).count("warn_of_certificate") == 4


async def test_nobody_is_warned_of_a_certificate_that_was_renewed_or_revoked(
    app: Database, service: Database, authority: Authority, tmp_path: Path
) -> None:
    first = await enrolled(app, service, authority, tmp_path)
    late = CERTIFICATE_LIFE * 0.9
    await renewed(app, first, new_request(tmp_path), late)
    async with service.transaction() as tx:
        await issue_certificates.handle(tx, authority, CERTIFICATE_LIFE, [Identity("north", "mad")], T0 + late)
        assert await warn_of_certificate.handle(tx, T0 + late) == []
    async with app.transaction(STAFF) as tx:
        await revoke_edge.handle(tx, 1, "gone", T0 + late, None)
    async with service.transaction() as tx:
        assert await warn_of_certificate.handle(tx, T0 + 1.9 * CERTIFICATE_LIFE) == []


async def enrolled(app: Database, service: Database, authority: Authority, folder: Path) -> EdgeCertificate:
    """A certificate in force since hour 2, the gateway's in `folder`."""
    request = new_request(folder)
    await used(app, await made(app), request)
    await signed(service, authority)
    async with app.transaction(STAFF) as tx:
        found = await identities.of_key(tx, fingerprint(public_key_of(request)))
    assert found is not None
    assert found.chain is not None
    take_certificate(folder, found.chain)
    return found


async def renewed(app: Database, present: EdgeCertificate, request: str, at: timedelta) -> EdgeCertificate:
    async with app.transaction(STAFF) as tx:
        return await renew_edge_certificate.handle(tx, present, request, T0 + at)


async def test_a_certificate_is_renewed_once_for_a_new_key_while_it_is_in_force(
    app: Database, service: Database, authority: Authority, tmp_path: Path
) -> None:
    first = await enrolled(app, service, authority, tmp_path)
    late = CERTIFICATE_LIFE * 2 / 3
    request = new_request(tmp_path)
    asked = await renewed(app, first, request, late)
    assert await signed(service, authority) == ["north:mad"]
    again = await renewed(app, first, request, late)
    assert again.edge_certificate_id == asked.edge_certificate_id
    assert again.serial_number not in (None, first.serial_number)
    with pytest.raises(InvalidValueError, match="another key"):
        await renewed(app, first, new_request(tmp_path / "thief"), late)
    assert (await actions(service))[-2:] == ["renew_edge_certificate", "issue_certificate"]


async def test_nobody_needs_so_many_certificates(app: Database, service: Database, authority: Authority, tmp_path: Path) -> None:
    first = await enrolled(app, service, authority, tmp_path)
    with pytest.raises(TransitionRefusedError, match="half of its life"):
        await renewed(app, first, new_request(tmp_path), CERTIFICATE_LIFE / 3)


async def test_a_check_in_needs_the_key_of_a_certificate_in_force(
    app: Database, service: Database, authority: Authority, tmp_path: Path
) -> None:
    present = await enrolled(app, service, authority, tmp_path)
    assert present.serial_number is not None
    key = load_pem_private_key((tmp_path / "identity.pem").read_bytes(), None)
    assert isinstance(key, EllipticCurvePrivateKey)
    genuine = CheckIn(present.serial_number, b"here I am", key.sign(b"here I am", ECDSA(SHA256())), T0)

    async def says(said: CheckIn, at: timedelta = 3 * HOUR) -> CheckedIn:
        async with app.transaction(STAFF) as tx:
            return await check_in_edge.handle(tx, said, T0 + at)

    assert await says(genuine) == CheckedIn(None, None)
    for forged in (replace(genuine, message=b"there I am"), replace(genuine, signature=b""), replace(genuine, serial_number="1")):
        with pytest.raises(IdentityRefusedError):
            await says(forged)
    with pytest.raises(IdentityRefusedError):
        await says(genuine, 2 * HOUR + CERTIFICATE_LIFE)
    async with app.transaction(STAFF) as tx:
        await revoke_edge.handle(tx, 1, "stolen", T0 + 3 * HOUR, None)
    with pytest.raises(IdentityRefusedError):
        await says(genuine)
