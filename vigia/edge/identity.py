"""Who this gateway is: a key that is made here and never leaves, and the certificate that the server gave for it."""

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from vigia.edge import EdgeError

CREDENTIALS_FILE = "identity.pem"  # the key, its certificate and the authority's behind it: replaced as one
SERVER_FILE = "server.json"
SERVER_CA_FILE = "server-ca.pem"
BROKER_CA_FILE = "broker-ca.pem"
NEW_KEY_FILE = "new-key.pem"  # of a certificate that is asked for and not there yet

_PEM = serialization.Encoding.PEM


class NoIdentityError(EdgeError):
    """The gateway has no identity; enrol it with `vigia edge enroll`."""


@dataclass(frozen=True)
class Place:
    """Where the gateway belongs. `broker` None: its own file names the broker.

    `server_ca` and `broker_ca` are PEM of who vouches for them, None for the system's authorities.
    """

    server: str
    server_ca: str | None
    group_id: str
    node_id: str
    broker: str | None
    broker_ca: str | None


@dataclass(frozen=True)
class Identity:
    """The identity in a folder, as it was when it was read."""

    folder: Path
    server: str
    group_id: str
    node_id: str
    broker: str | None
    serial_number: str
    valid_from: datetime
    valid_until: datetime
    _key: ec.EllipticCurvePrivateKey
    _authority: x509.Certificate

    @property
    def credentials(self) -> Path:
        """PEM file with the key and the certificate for it."""
        return self.folder / CREDENTIALS_FILE

    @property
    def server_ca(self) -> Path | None:
        """PEM file of who vouches for the server; None for the system's authorities."""
        return self._given(SERVER_CA_FILE)

    @property
    def broker_ca(self) -> Path | None:
        """PEM file of who vouches for the broker; None for the system's authorities."""
        return self._given(BROKER_CA_FILE)

    def _given(self, name: str) -> Path | None:
        file = self.folder / name
        return file if file.exists() else None

    def sign(self, message: bytes) -> bytes:
        """What only this gateway can make of `message`."""
        return self._key.sign(message, ec.ECDSA(hashes.SHA256()))

    def is_from_the_server(self, message: bytes, signature: bytes) -> bool:
        """Whether the authority that vouches for this gateway signed `message`."""
        key = self._authority.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            return False
        try:
            key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


def load(folder: Path) -> Identity:
    """The identity in `folder`. Raises NoIdentityError when there is none, EdgeError when it cannot be read."""
    try:
        credentials = (folder / CREDENTIALS_FILE).read_bytes()
        place = json.loads((folder / SERVER_FILE).read_bytes())
        leaf, authority = x509.load_pem_x509_certificates(credentials)
        return Identity(
            folder=folder,
            server=place["server"],
            group_id=place["group_id"],
            node_id=place["node_id"],
            broker=place["broker"],
            serial_number=f"{leaf.serial_number:x}",
            valid_from=leaf.not_valid_before_utc,
            valid_until=leaf.not_valid_after_utc,
            _key=_private_key(credentials),
            _authority=authority,
        )
    except FileNotFoundError:
        raise NoIdentityError(f"there is no identity in {folder}; enrol the gateway with `vigia edge enroll --folder {folder}`") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise EdgeError(f"the identity in {folder} cannot be read ({error}); enrol the gateway anew") from None


def new_request(folder: Path) -> str:
    """A request (PKCS #10, PEM) for a certificate for a new key, which is kept in `folder` until its certificate comes.

    Until then it is the same key: asking again after a failure asks for the same certificate. Raises EdgeError for a folder that cannot
    be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = _new_key(folder)
    except OSError as error:
        raise EdgeError(f"{folder}: {error.strerror or error}; choose a folder that can be written with --folder") from None
    except (ValueError, TypeError) as error:
        raise EdgeError(f"{folder / NEW_KEY_FILE} cannot be read ({error}); remove it and try again") from None
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])  # the server knows which
    return x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256()).public_bytes(_PEM).decode()


def _new_key(folder: Path) -> ec.EllipticCurvePrivateKey:
    file = folder / NEW_KEY_FILE
    if file.exists():
        key = _private_key(file.read_bytes())
        if key.public_key() != _present_key(folder):
            return key
    key = ec.generate_private_key(ec.SECP256R1())
    replace_file(file, key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return key


def _private_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Raises ValueError or TypeError when it is none."""
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the key is not on an elliptic curve")
    return key


def _present_key(folder: Path) -> Any:  # noqa: ANN401 - any public key
    """The key whose certificate came, if the gateway was stopped before it could forget that it had asked."""
    try:
        return x509.load_pem_x509_certificates((folder / CREDENTIALS_FILE).read_bytes())[0].public_key()
    except (OSError, ValueError):
        return None


def take_certificate(folder: Path, chain: str) -> None:
    """Use the certificate (PEM, the authority's behind it) for the new key from now on. Raises EdgeError when it is not for that key."""
    try:
        key = (folder / NEW_KEY_FILE).read_bytes()
        leaf, _ = x509.load_pem_x509_certificates(chain.encode())
        own = _private_key(key).public_key() == leaf.public_key()
    except OSError as error:
        raise EdgeError(f"{folder}: {error.strerror or error}; the new certificate could not be kept") from None
    except (ValueError, TypeError) as error:
        raise EdgeError(f"the server's certificate cannot be used: {error}") from None
    if not own:
        raise EdgeError("the server's certificate cannot be used: it is for another key")
    try:
        replace_file(folder / CREDENTIALS_FILE, key + chain.encode())
        (folder / NEW_KEY_FILE).unlink()
    except OSError as error:
        raise EdgeError(f"{folder}: {error.strerror or error}; the new certificate could not be kept") from None


def take_place(folder: Path, place: Place) -> None:
    """Remember where the gateway belongs. Raises EdgeError for a folder that cannot be written."""
    said = {"server": place.server, "group_id": place.group_id, "node_id": place.node_id, "broker": place.broker}
    try:
        replace_file(folder / SERVER_FILE, json.dumps(said, indent=1).encode() + b"\n")
        for name, text in ((SERVER_CA_FILE, place.server_ca), (BROKER_CA_FILE, place.broker_ca)):
            if text is None:
                (folder / name).unlink(missing_ok=True)
            else:
                replace_file(folder / name, text.encode())
    except OSError as error:
        raise EdgeError(f"{folder}: {error.strerror or error}; choose a folder that can be written with --folder") from None


def replace_file(path: Path, data: bytes) -> None:
    """The file is the old one or the new one, whatever happens, and its owner's only."""
    partial = path.with_name(f".{path.name}")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
