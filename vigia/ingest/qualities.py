"""Qualities as they are told, and as they are stored."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from vigia.sparkplug.names import QUALITY_GOOD, QUALITY_STALE
from vigia.store import telemetry

_UNCERTAIN_FROM: Final = 64  # classic OPC quality: 0-63 bad, 64-191 uncertain, 192-255 good
_GOOD_UNTIL: Final = 255


def qualities(said: NDArray[np.int64]) -> NDArray[np.int16]:
    """Each quality that was said as one of those that are stored."""
    quality = np.full(len(said), telemetry.BAD, np.int16)
    quality[said == QUALITY_STALE] = telemetry.STALE
    quality[(said >= _UNCERTAIN_FROM) & (said < QUALITY_GOOD)] = telemetry.UNCERTAIN
    quality[(said >= QUALITY_GOOD) & (said <= _GOOD_UNTIL)] = telemetry.GOOD
    return quality
