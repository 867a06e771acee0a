"""Asked before a finding of one sensor raises an alarm: whether the machine works as it did while the sensor's baseline was learned."""

from collections.abc import Collection, Mapping
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.detectors import mode
from vigia.store import findings, points, telemetry
from vigia.store.database import Transaction

_TELLING: Mapping[str, Collection[str]] = {"drift": {"setting", "state"}, "rate": {"setting", "state"}, "together": {"state"}, "sensor": ()}
"""By detector, the kinds of points that tell; channels are watched together at every setting."""


async def other(tx: Transaction, finding_id: int) -> Mapping[str, float | str] | None:
    """The setting or state that is not where it was, and both values; None if none is, or nothing can be told."""
    channel = await findings.channel(tx, finding_id)
    if channel is None:
        return None
    kinds = _TELLING[channel.detector]
    telling = [point for point in await points.points_of(tx, [channel.asset_id]) if point.kind in kinds]
    if not telling:
        return None
    ids = [point.point_id for point in telling]
    learned = await telemetry.oldest(tx, channel.point_id, channel.healthy_from, channel.at, mode.LEARNED)
    recent = await telemetry.newest(tx, channel.point_id, channel.healthy_from, channel.at, mode.RECENT)
    found = mode.moved(*[await _then(tx, ids, [one.ts for one in part]) for part in (learned, recent)])
    return None if found is None else {"setting": telling[found.column].name, "was": found.home, "is": found.now}


async def _then(tx: Transaction, point_ids: list[int], moments: list[datetime]) -> NDArray[np.float64]:
    """What each point said last at each moment, float64[moments, points]; NaN: nothing yet."""
    said = await telemetry.at_moments(tx, point_ids, moments)
    values = [[np.nan if value is None else value for value in row] for row in said]
    return np.array(values, np.float64).reshape(len(moments), len(point_ids))
