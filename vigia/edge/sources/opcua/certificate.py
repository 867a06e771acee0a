"""The gateway's own certificate, and which certificates of servers it trusts."""

import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vigia.edge import EdgeError

KEY_BITS = 2048
VALID_DAYS = 5 * 365
WARNING_DAYS = (30, 14, 7, 1)
KEY_FILE = "gateway.key.pem"
CERTIFICATE_FILE = "gateway.der"
_CERTIFICATES = (".der", ".pem", ".crt", ".cer")


def default_application_uri() -> str:
    """Under which name a gateway without a certificate is known to servers."""
    return f"urn:{socket.gethostname()}:vigia:gateway"


def make_certificate(folder: Path, application_uri: str | None = None) -> tuple[Path, Path]:
    """A new key and a certificate signed with it in `folder`; returns the files of certificate and key.

    Raises EdgeError when one of them is there already or the folder cannot be written.
    """
    certificate_file, key_file = folder / CERTIFICATE_FILE, folder / KEY_FILE
    for path in (certificate_file, key_file):
        if path.exists():
            raise EdgeError(f"{path} is there already; remove it, or choose another folder")
    key = rsa.generate_private_key(65537, KEY_BITS)
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    certificate = _self_signed(key, application_uri or default_application_uri())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        key_file.touch(mode=0o600)
        key_file.write_bytes(text)
        certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.DER))
    except OSError as error:
        raise EdgeError(f"{folder}: {error.strerror or error}; choose a folder that can be written") from None
    return certificate_file, key_file


def _self_signed(key: rsa.RSAPrivateKey, application_uri: str) -> x509.Certificate:
    """With all that OPC UA part 6 demands of an application's certificate."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Vigia gateway"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Vigia")])
    now = datetime.now(UTC)
    public = key.public_key()
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    names = [x509.UniformResourceIdentifier(application_uri), x509.DNSName(socket.gethostname())]
    return (
        x509.CertificateBuilder(name, name, public, x509.random_serial_number(), now - timedelta(days=1), now + timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )


def load_certificate(path: Path) -> x509.Certificate:
    """The certificate in `path`, DER or PEM. Raises EdgeError."""
    try:
        return read_certificate(path.read_bytes())
    except OSError as error:
        raise EdgeError(f"{path}: {error.strerror or error}; name a certificate file (DER or PEM)") from None
    except ValueError:
        raise EdgeError(f"{path} holds no certificate; name a certificate file (DER or PEM)") from None


def read_certificate(data: bytes) -> x509.Certificate:
    """The first certificate in `data`, DER or PEM. Raises ValueError."""
    if data.lstrip().startswith(b"-----"):
        return x509.load_pem_x509_certificate(data)
    # A server may append the certificates of its authorities.
    size = int.from_bytes(data[2:4], "big") + 4
    return x509.load_der_x509_certificate(data[:size])


def check_own(certificate: x509.Certificate, certificate_file: Path, key_file: Path) -> None:
    """Raises EdgeError unless the key in `key_file` belongs to the certificate."""
    try:
        data = key_file.read_bytes()
        load = serialization.load_pem_private_key if data.lstrip().startswith(b"-----") else serialization.load_der_private_key
        key = load(data, None)
    except OSError as error:
        raise EdgeError(f"{key_file}: {error.strerror or error}; name the private key of {certificate_file.name}") from None
    except (ValueError, TypeError):
        raise EdgeError(f"{key_file} holds no private key without a password; name the private key of {certificate_file.name}") from None
    if key.public_key() != certificate.public_key():
        raise EdgeError(f"{key_file} is not the private key of {certificate_file}; name the two that were made together")


def application_uri_of(certificate: x509.Certificate, path: Path) -> str:
    """The application URI that the certificate was made for. Raises EdgeError when there is none."""
    names = _alternative_names(certificate)
    uris = [] if names is None else names.get_values_for_type(x509.UniformResourceIdentifier)
    if not uris:
        raise EdgeError(f"{path} has no application URI, so servers will refuse it; make one with `vigia edge opcua certificate`")
    return uris[0]


def ends_within(certificate: x509.Certificate, now: datetime) -> int | None:
    """The fewest of WARNING_DAYS within which the certificate ends; None while it is valid for longer."""
    left = certificate.not_valid_after_utc - now
    return min((days for days in WARNING_DAYS if left <= timedelta(days=days)), default=None)


def fingerprint(certificate: x509.Certificate) -> str:
    """How people compare certificates."""
    return certificate.fingerprint(hashes.SHA256()).hex(":")


def describe(certificate: x509.Certificate) -> str:
    """A certificate for people."""
    return f"{certificate.subject.rfc4514_string() or 'no name'}, SHA-256 {fingerprint(certificate)}"


def trusted_in(folder: Path) -> list[x509.Certificate]:
    """The certificates in `folder`. Raises EdgeError when it cannot be read or one is none."""
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in _CERTIFICATES)
    except OSError as error:
        raise EdgeError(f"{folder}: {error.strerror or error}; name a folder of trusted certificates") from None
    return [load_certificate(path) for path in files]


def why_untrusted(certificate: x509.Certificate, trusted: Sequence[x509.Certificate], host: str, now: datetime) -> str:
    """Why the server at `host` cannot be known by `certificate`; "" when it can.

    It is known by a certificate that is trusted itself. One of a trusted authority must also be made for the host.
    """
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        return f"is not valid now, only {certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}"
    if certificate in trusted:
        return ""
    if not any(_signed_by(certificate, authority, now) for authority in trusted):
        return "is not trusted"
    if host.lower() not in {name.lower() for name in _hosts(certificate)}:
        return f"is not made for {host}"
    return ""


def _signed_by(certificate: x509.Certificate, authority: x509.Certificate, now: datetime) -> bool:
    try:
        constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
        certificate.verify_directly_issued_by(authority)
    except (x509.ExtensionNotFound, ValueError, TypeError, InvalidSignature):
        return False
    return constraints.ca and authority.not_valid_before_utc <= now <= authority.not_valid_after_utc


def _hosts(certificate: x509.Certificate) -> set[str]:
    names = _alternative_names(certificate)
    if names is None:
        return set()
    return {*names.get_values_for_type(x509.DNSName), *(str(address) for address in names.get_values_for_type(x509.IPAddress))}


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return None
