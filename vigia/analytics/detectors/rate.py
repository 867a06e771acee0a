"""A sensor changes faster than ever in health, several readings in a row and in one direction.

The usual rate is the mean absolute change a second, learned with the baseline and followed like it. `climbs` changes in a row in one
direction, each more than `fast` times the usual one, are a finding; it ends with the first change that is not. A single jump is none: it
belongs to the drift if it stays, and to nothing if it does not. Noise alone cannot do it: its changes turn back.
"""

from vigia.analytics.detectors.drift import learned
from vigia.analytics.kernels.watch_state import Seen, Settings


def explain(seen: Seen, value: float, settings: Settings) -> tuple[float, dict[str, float | str]]:
    """The score, in multiples of what is fast, and why."""
    why: dict[str, float | str] = {
        "direction": "up" if seen.size > 0 else "down",
        "per_second": abs(seen.size),
        "usual_per_second": seen.total,
        "readings": settings.climbs,
        "value": value,
        "baseline": seen.level,
        **learned(seen),
    }
    return abs(seen.size) / (settings.fast * seen.total), why
