"""What a machine's state point reports."""

from datetime import timedelta
from enum import IntEnum

CYCLE = timedelta(hours=1)
"""What one reading of a state point speaks for: the hour that ends with it."""


class Reported(IntEnum):
    """Values of a point of kind `state`."""

    FAILED = 0
    OPERATING = 1
