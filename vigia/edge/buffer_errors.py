"""What can be wrong with a buffer, and with what it is given."""

from vigia.edge import EdgeError


class BufferUnavailableError(EdgeError):
    """The buffer cannot be written now; nothing was stored, try again."""


class BufferFullError(BufferUnavailableError):
    """The disk that holds the buffer is full."""


class UnbornDeviceError(EdgeError):
    """A source gave samples of a device, or of a point, that it has not announced."""
