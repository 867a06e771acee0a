"""What the authority signs: gateways' certificates, the list of revoked ones, and messages to gateways.

The key lives in one folder of the machine that signs, never in the database.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vigia.authority import AuthorityError
from vigia.authority.requests import public_key_of

FILE = "authority.pem"  # its key and its certificate: neither is of use without the other
AUTHORITY_LIFE = timedelta(days=3650)
BACKDATED = timedelta(hours=1)
"""A gateway whose clock is behind by less believes its new certificate at once; never more than a small part of its life."""

_PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Issued:
    """A signed certificate. `chain` is PEM, the authority's own certificate behind it; `serial_number` is hexadecimal."""

    serial_number: str
    chain: str
    valid_from: datetime
    valid_until: datetime


@dataclass(frozen=True)
class Revoked:
    """A certificate that counts no more."""

    serial_number: str
    revoked_at: datetime


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key = key
        self._certificate = certificate

    @classmethod
    def create(cls, folder: Path, now: datetime) -> Self:
        """Make the authority. Raises AuthorityError when there is one already or the folder cannot be written."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("Vigia gateways")
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(now + AUTHORITY_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_secret(folder / FILE, private_bytes(key) + certificate.public_bytes(_PEM))
        except FileExistsError:
            raise AuthorityError(f"{folder} holds an authority already; every gateway trusts it, so it is made once") from None
        except OSError as error:
            raise AuthorityError(f"{folder}: {error.strerror or error}; choose another folder with --authority") from None
        return cls(key, certificate)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The authority of this folder. Raises AuthorityError when there is none or it cannot be read."""
        try:
            both = (folder / FILE).read_bytes()
            key = serialization.load_pem_private_key(both, None)
            certificate = x509.load_pem_x509_certificate(both)
        except FileNotFoundError:
            raise AuthorityError(f"there is no authority in {folder}; make it once with `vigia fleet ca`, or name its folder") from None
        except (OSError, ValueError, TypeError) as error:
            raise AuthorityError(f"the authority in {folder} cannot be read: {error}") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise AuthorityError(f"key and certificate in {folder / FILE} do not belong together; restore the file from a backup")
        return cls(key, certificate)

    @property
    def certificate(self) -> str:
        """Its own certificate, PEM: what the broker trusts."""
        return self._certificate.public_bytes(_PEM).decode()

    def issue(self, request: str, identity: str, now: datetime, life: timedelta) -> Issued:
        """A client certificate for the key of `request`, in the name of `identity` whatever the request says.

        Raises InvalidValueError when the request is none.
        """
        serial_number = x509.random_serial_number()
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(identity))
            .issuer_name(self._certificate.subject)
            .public_key(public_key_of(request))
            .serial_number(serial_number)
            .not_valid_before(now - min(BACKDATED, life / 24))
            .not_valid_after(now + life)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Issued(
            f"{serial_number:x}",
            certificate.public_bytes(_PEM).decode() + self.certificate,
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
        )

    def revocation_list(self, revoked: Iterable[Revoked], at: datetime) -> str:
        """The revocation list, PEM. Of two lists the one with the later `at`, in whole seconds, counts.

        It outlives the authority: an expired list would lock every gateway out.
        """
        made = (
            x509.CertificateRevocationListBuilder().issuer_name(self._certificate.subject).last_update(at).next_update(at + AUTHORITY_LIFE)
        )
        for one in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(int(one.serial_number, 16)).revocation_date(one.revoked_at).build()
            made = made.add_revoked_certificate(entry)
        return made.sign(self._key, hashes.SHA256()).public_bytes(_PEM).decode()

    def made(self, revocation_list: x509.CertificateRevocationList) -> bool:
        """Whether the list is of this authority."""
        return revocation_list.is_signature_valid(self._key.public_key())

    def sign(self, message: bytes) -> bytes:
        """The signature of a message to gateways. A message never looks like a certificate: those begin with 0x30."""
        if message[:1] == b"\x30":
            raise AuthorityError("a message to gateways must not begin like a certificate")
        return self._key.sign(message, ec.ECDSA(hashes.SHA256()))


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def private_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The key as PEM, not encrypted."""
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def write_secret(path: Path, data: bytes) -> None:
    """Write a new file that only its owner can read, from its first byte on, whole or not at all. Raises FileExistsError."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, path)
    finally:
        partial.unlink(missing_ok=True)
