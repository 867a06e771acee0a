"""What can go wrong with a benchmark's files."""

from vigia.errors import VigiaError


class DataError(VigiaError):
    """The folder does not hold the benchmark's files, or one of them cannot be read."""
