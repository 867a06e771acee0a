"""A gateway's key is its own; a certificate replaces the one before whole or not at all."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from vigia.authority.issuing import Authority
from vigia.authority.requests import fingerprint, is_signed_by, public_key_of
from vigia.edge import EdgeError
from vigia.edge.identity import Identity, NoIdentityError, Place, load, new_request, take_certificate, take_place

LIFE = timedelta(days=90)
PLACE = Place("http://server", None, "acme", "madrid", "mqtts://broker", "a certificate")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("authority"), datetime.now(UTC))


def chain_for(authority: Authority, request: str) -> str:
    return authority.issue(request, "acme:madrid", datetime.now(UTC), LIFE).chain


def certify(authority: Authority, folder: Path) -> Identity:
    request = new_request(folder)
    take_place(folder, PLACE)
    take_certificate(folder, chain_for(authority, request))
    return load(folder)


def test_an_identity_is_what_the_server_said(authority: Authority, tmp_path: Path) -> None:
    identity = certify(authority, tmp_path)
    assert (identity.server, identity.group_id, identity.node_id, identity.broker) == ("http://server", "acme", "madrid", "mqtts://broker")
    assert identity.broker_ca is not None
    assert identity.broker_ca.read_text() == "a certificate"
    leaf = x509.load_pem_x509_certificates(identity.credentials.read_bytes())[0]
    assert (identity.serial_number, identity.valid_until) == (f"{leaf.serial_number:x}", leaf.not_valid_after_utc)


def test_only_the_owner_can_read_it(authority: Authority, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        new_request(tmp_path / "identity")
        assert [path.stat().st_mode & 0o777 for path in (tmp_path / "identity").iterdir()] == [0o600]
        certify(authority, tmp_path / "identity")
    finally:
        os.umask(before)
    assert (tmp_path / "identity").stat().st_mode & 0o777 == 0o700
    assert {path.name for path in (tmp_path / "identity").iterdir()} == {"identity.pem", "server.json", "broker-ca.pem"}
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "identity").iterdir()} == {0o600}


def test_the_request_holds_no_secret_and_is_for_the_kept_key(tmp_path: Path) -> None:
    request = new_request(tmp_path)
    assert "PRIVATE" not in request
    assert fingerprint(public_key_of(request)) == fingerprint(public_key_of(new_request(tmp_path)))


def test_a_renewal_is_for_another_key_and_the_old_one_serves_until_it_comes(authority: Authority, tmp_path: Path) -> None:
    first = certify(authority, tmp_path)
    request = new_request(tmp_path)
    assert load(tmp_path).serial_number == first.serial_number
    take_certificate(tmp_path, chain_for(authority, request))
    second = load(tmp_path)
    assert second.serial_number != first.serial_number
    signature = second.sign(b"me")
    chain = second.credentials.read_text().split("-----END PRIVATE KEY-----\n")[1]
    assert is_signed_by(chain, b"me", signature)
    assert not is_signed_by(chain, b"me", first.sign(b"me"))


def test_killed_between_taking_the_certificate_and_forgetting_the_request_it_makes_a_new_key(authority: Authority, tmp_path: Path) -> None:
    request = new_request(tmp_path)
    left_over = (tmp_path / "new-key.pem").read_bytes()
    take_certificate(tmp_path, chain_for(authority, request))
    (tmp_path / "new-key.pem").write_bytes(left_over)
    assert fingerprint(public_key_of(new_request(tmp_path))) != fingerprint(public_key_of(request))


def test_a_certificate_for_another_key_changes_nothing(authority: Authority, tmp_path: Path) -> None:
    first = certify(authority, tmp_path / "mine")
    new_request(tmp_path / "mine")
    for chain in (chain_for(authority, new_request(tmp_path / "other")), "nonsense", authority.certificate):
        with pytest.raises(EdgeError, match="cannot be used"):
            take_certificate(tmp_path / "mine", chain)
    assert load(tmp_path / "mine").serial_number == first.serial_number


def test_messages_are_believed_from_the_own_server_only(authority: Authority, tmp_path: Path) -> None:
    identity = certify(authority, tmp_path / "identity")
    other = Authority.create(tmp_path / "other", datetime.now(UTC))
    assert identity.is_from_the_server(b"do this", authority.sign(b"do this"))
    assert not identity.is_from_the_server(b"do that", authority.sign(b"do this"))
    assert not identity.is_from_the_server(b"do this", other.sign(b"do this"))
    assert not identity.is_from_the_server(b"do this", b"")


def test_without_an_identity_it_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(NoIdentityError, match="vigia edge enroll"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("file", "content"), [("identity.pem", b"no key"), ("server.json", b"{}"), ("server.json", b"{"), ("server.json", b"[]")]
)
def test_a_damaged_identity_is_one_sentence(authority: Authority, tmp_path: Path, file: str, content: bytes) -> None:
    certify(authority, tmp_path)
    (tmp_path / file).write_bytes(content)
    with pytest.raises(EdgeError, match="cannot be read"):
        load(tmp_path)
