"""The gate: the process that holds the authority's key and lets gateways in, or keeps them out."""

from vigia.errors import VigiaError


class GateError(VigiaError):
    """The gate cannot do its work."""
