"""What a rule says when it refuses. The api maps these to problem+json; they know nothing of HTTP."""

from vigia.errors import VigiaError


class DomainError(VigiaError):
    """A rule of the business refuses this."""


class NotFoundError(DomainError):
    """There is no such thing, or the caller may not see it."""


class InvalidValueError(DomainError):
    """A value given cannot be used."""


class TransitionRefusedError(DomainError):
    """The state it is in does not allow this step."""


class SpareUnavailableError(DomainError):
    """No serviceable spare of that model is in the pool."""


class TokenRefusedError(DomainError):
    """The token admits no gateway: it is unknown, was used or has expired. Ask the service manager for a new one."""


class IdentityRefusedError(DomainError):
    """The certificate is not, or no longer, that of a gateway. Enrol it anew with a token."""
