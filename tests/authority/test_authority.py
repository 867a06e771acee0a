"""The authority: made once, its key for its owner only; it signs what the server says, not what a request says."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vigia.authority import AuthorityError
from vigia.authority.issuing import Authority, Issued, Revoked
from vigia.authority.requests import fingerprint, is_signed_by, public_key_of
from vigia.domain.errors import InvalidValueError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
KEY = ec.generate_private_key(ec.SECP256R1())


def request(name: str = "whoever", key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey = KEY) -> str:
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
    return made.sign(key, algorithm).public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("authority"), NOW)


@pytest.fixture(scope="module")
def issued(authority: Authority) -> Issued:
    return authority.issue(request("ingest"), "acme:madrid", NOW, 90 * DAY)


def test_it_is_made_once_and_its_key_is_its_owners(tmp_path: Path) -> None:
    made = Authority.create(tmp_path / "new", NOW)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["authority.pem"]
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "new" / "authority.pem").stat().st_mode & 0o777 == 0o600
    before = (tmp_path / "new" / "authority.pem").read_bytes()
    with pytest.raises(AuthorityError, match="already"):
        Authority.create(tmp_path / "new", NOW)
    assert (tmp_path / "new" / "authority.pem").read_bytes() == before
    assert Authority.load(tmp_path / "new").certificate == made.certificate


def test_what_is_no_authority_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(AuthorityError, match="vigia fleet ca"):
        Authority.load(tmp_path)
    Authority.create(tmp_path / "one", NOW)
    Authority.create(tmp_path / "two", NOW)
    key, two = (tmp_path / "one" / "authority.pem", tmp_path / "two" / "authority.pem")
    key.write_text(key.read_text().split("-----BEGIN CERTIFICATE")[0] + two.read_text().split("-----END PRIVATE KEY-----")[1])
    with pytest.raises(AuthorityError, match="do not belong together"):
        Authority.load(tmp_path / "one")
    key.write_text("nothing")
    with pytest.raises(AuthorityError, match="cannot be read"):
        Authority.load(tmp_path / "one")


def test_a_certificate_is_in_the_name_the_server_says(authority: Authority, issued: Issued) -> None:
    leaf, root = x509.load_pem_x509_certificates(issued.chain.encode())
    assert [name.value for name in leaf.subject] == ["acme:madrid"]
    assert f"{leaf.serial_number:x}" == issued.serial_number
    assert leaf.public_key() == KEY.public_key()
    assert list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert (issued.valid_until, issued.valid_from) == (NOW + 90 * DAY, NOW - timedelta(hours=1))
    assert root.public_bytes(serialization.Encoding.PEM).decode() == authority.certificate
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(ca=True, path_length=0)


def test_openssl_believes_a_certificate_until_its_end(authority: Authority, issued: Issued, tmp_path: Path) -> None:
    (tmp_path / "ca").write_text(authority.certificate)
    (tmp_path / "leaf").write_text(issued.chain)

    def verified(at: datetime) -> bool:
        command = ["openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-attime", str(int(at.timestamp())), "-CAfile"]
        return subprocess.run([*command, "ca", "leaf"], cwd=tmp_path, capture_output=True, check=False).returncode == 0

    assert verified(NOW)
    assert verified(NOW + 90 * DAY - timedelta(minutes=1))
    assert not verified(NOW + 90 * DAY + timedelta(minutes=1))
    assert not verified(NOW - DAY)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "ñ",
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        request(key=ec.generate_private_key(ec.SECP384R1())),
        request(key=rsa.generate_private_key(65537, 2048)),
        request(key=ed25519.Ed25519PrivateKey.generate()),
    ],
)
def test_what_is_no_request_for_a_p256_key_is_refused(bad: str) -> None:
    with pytest.raises(InvalidValueError):
        public_key_of(bad)


def test_a_request_that_its_key_did_not_sign_is_refused() -> None:
    der = x509.load_pem_x509_csr(request().encode()).public_bytes(serialization.Encoding.DER)
    at = der.index(b"whoever")
    forged = x509.load_der_x509_csr(der[:at] + b"another" + der[at + 7 :]).public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(InvalidValueError, match="signed with it"):
        public_key_of(forged)


def test_the_revocation_list_names_what_counts_no_more(authority: Authority, issued: Issued) -> None:
    made = x509.load_pem_x509_crl(authority.revocation_list([Revoked(issued.serial_number, NOW)], NOW + DAY).encode())
    assert [entry.serial_number for entry in made] == [int(issued.serial_number, 16)]
    assert made.last_update_utc == NOW + DAY
    key = x509.load_pem_x509_certificate(authority.certificate.encode()).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert made.is_signature_valid(key)


def test_statements_and_messages_are_believed_from_their_owner_only(authority: Authority, issued: Issued) -> None:
    signature = KEY.sign(b"all is well", ec.ECDSA(hashes.SHA256()))
    assert is_signed_by(issued.chain, b"all is well", signature)
    assert not is_signed_by(issued.chain, b"all is lost", signature)
    assert not is_signed_by(issued.chain, b"all is well", b"")
    assert not is_signed_by(authority.certificate, b"all is well", signature)
    assert is_signed_by(authority.certificate, b"do this", authority.sign(b"do this"))
    with pytest.raises(AuthorityError):
        authority.sign(b"\x30\x82")


def test_one_key_has_one_fingerprint() -> None:
    assert fingerprint(public_key_of(request("a"))) == fingerprint(public_key_of(request("b")))
    assert fingerprint(public_key_of(request(key=ec.generate_private_key(ec.SECP256R1())))) != fingerprint(public_key_of(request()))
