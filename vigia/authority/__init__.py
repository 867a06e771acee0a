"""The gateways' certificate authority: its key, what it signs, and how requests and statements of gateways are checked."""

from vigia.errors import VigiaError


class AuthorityError(VigiaError):
    """The certificate authority cannot be used."""
