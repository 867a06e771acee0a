"""What gateways send: requests for certificates, and statements that they sign with the key of their certificate."""

import hashlib
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from vigia.domain.errors import InvalidValueError

LONGEST_REQUEST = 4096  # characters


def public_key_of(request: str) -> ec.EllipticCurvePublicKey:
    """The key that a certificate request (PKCS #10, PEM) asks for, whose owner made the request.

    Raises InvalidValueError when it is none, is not signed by that key, or the key is not on the curve P-256.
    """
    try:
        read = x509.load_pem_x509_csr(request.encode("ascii"))
        key, signed = read.public_key(), read.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidValueError("The certificate request cannot be read: send PKCS #10 in PEM.") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1) or not signed:
        raise InvalidValueError("The certificate request must be for a key on the curve P-256, and signed with it.")
    return key


def fingerprint(key: ec.EllipticCurvePublicKey) -> bytes:
    """SHA-256 of the public key: the same key, the same fingerprint."""
    return hashlib.sha256(key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)).digest()


def is_signed_by(chain: str, message: bytes, signature: bytes) -> bool:
    """Whether `signature` of `message` was made with the key of the first certificate in `chain` (PEM)."""
    try:
        _key_of(chain).verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


@lru_cache(maxsize=4096)
def _key_of(chain: str) -> ec.EllipticCurvePublicKey:
    key = x509.load_pem_x509_certificate(chain.encode()).public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise InvalidValueError("The certificate is not one of this authority.")
    return key
