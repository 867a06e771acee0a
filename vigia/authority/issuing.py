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
    """A certificate that counts no more; `probe` marks one that was made to be refused, by which is seen that the list is in force."""

    serial_number: str
    revoked_at: datetime
    probe: bool = False


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
        return self._certify(public_key_of(request), identity, now, life)

    def credentials(self, identity: str, now: datetime, life: timedelta) -> tuple[bytes, str]:
        """A new key with a certificate in the name of `identity`, as one PEM, and its number: to be that client for a moment."""
        key = ec.generate_private_key(ec.SECP256R1())
        issued = self._certify(key.public_key(), identity, now, life)
        return private_bytes(key) + issued.chain.encode(), issued.serial_number

    def _certify(self, key: ec.EllipticCurvePublicKey, identity: str, now: datetime, life: timedelta) -> Issued:
        serial_number = x509.random_serial_number()
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(identity))
            .issuer_name(self._certificate.subject)
            .public_key(key)
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
            entry = x509.RevokedCertificateBuilder().serial_number(int(one.serial_number, 16)).revocation_date(one.revoked_at)
            if one.probe:
                entry = entry.add_extension(x509.CRLReason(x509.ReasonFlags.certificate_hold), critical=False)
            made = made.add_revoked_certificate(entry.build())
        return made.sign(self._key, hashes.SHA256()).public_bytes(_PEM).decode()

    def read(self, revocation_list: bytes) -> tuple[datetime, list[Revoked]] | None:
        """When a revocation list (PEM) was made and what is in it; None when it is none of this authority."""
        try:
            found = x509.load_pem_x509_crl(revocation_list)
        except ValueError:
            return None
        if not found.is_signature_valid(self._key.public_key()):
            return None
        return found.last_update_utc, [
            Revoked(f"{one.serial_number:x}", one.revocation_date_utc, probe=len(one.extensions) > 0) for one in found
        ]

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
