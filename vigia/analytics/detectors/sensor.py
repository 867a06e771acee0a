"""A sensor, not the machine, is at fault: what it reads says nothing any more. Three ways, told apart.

- `drop_out`: no value, a bad one, or exactly zero where zero lies further from all of the baseline than the baseline is wide, `faulty`
  readings in a row. A broken wire reads so.
- `saturation`: at or beyond an end of the sensor's range, where the baseline never was, `faulty` readings in a row.
- `flat_line`: the same value again and again, `flat` times and at least `flat_ratio` times the longest such row of the baseline; a point
  that never changed while it was learned may stay as it is.

From the first suspect reading on none counts for any other detector, nor is learned from: a broken sensor neither starts a drift nor
becomes the new normal. The fault ends with the first reading that contradicts it.
"""

from collections.abc import Mapping
from types import MappingProxyType

from vigia.analytics.kernels.watch_state import DROPOUT, FLAT, SATURATION, Seen, Settings

FAULTS: Mapping[int, str] = MappingProxyType({FLAT: "flat_line", DROPOUT: "drop_out", SATURATION: "saturation"})


def explain(seen: Seen, value: float, settings: Settings) -> tuple[float, dict[str, float | str]]:
    """The score, in multiples of the readings it takes (of a flat line, the fewest), and why."""
    fault = int(seen.size)
    why: dict[str, float | str] = {"fault": FAULTS[fault], "readings": int(seen.total), "baseline": seen.level}
    if value == value:  # noqa: PLR0124 - not NaN, which JSON has no word for
        why["value"] = value
    return seen.total / (settings.flat if fault == FLAT else settings.faulty), why
