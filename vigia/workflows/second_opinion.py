"""After a finding's alarm, a closer look at its channel tells whether this shape was ever seen in health.

It comes later and changes no alarm: it is kept with the finding, for the person who looks at it.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import numpy as np

from vigia.analytics.detectors import likeness
from vigia.store import findings, telemetry
from vigia.store.changes import announce
from vigia.store.database import Database
from vigia.store.findings import Channel
from vigia.store.telemetry import Stored, to_us

_MOST_READINGS = likeness.MOST_PAST + likeness.GUARD + 2 * likeness.STRETCH


async def handle(database: Database, finding_id: int) -> Mapping[str, float | str] | None:
    """What was kept, or None if there is nothing to compare. No transaction is open while it computes, in a thread: a tenth of a second."""
    async with database.transaction() as tx:
        channel = await findings.channel(tx, finding_id)
        if channel is None:
            return None
        before = await telemetry.newest(tx, channel.point_id, channel.healthy_from, channel.at, _MOST_READINGS)
        after = await telemetry.around(tx, channel.point_id, channel.at, channel.at + _half_window(before))
    opinion = await asyncio.to_thread(_opinion, before + [one for one in after if one.ts > channel.at], channel)
    async with database.transaction() as tx:
        await findings.keep_second_opinion(tx, finding_id, opinion)
        await announce(tx, "alarm", channel.customer_id, channel.role_id)
    return opinion


def _half_window(readings: list[Stored]) -> timedelta:
    """As long as half a window of the newest readings took."""
    newest = readings[-likeness.WINDOW :]
    return (newest[-1].ts - newest[0].ts) / 2 if newest else timedelta()


def _opinion(readings: list[Stored], channel: Channel) -> dict[str, float | str]:
    ts_us = np.array([to_us(one.ts) for one in readings], np.int64)
    value = np.array([one.value for one in readings], np.float64)
    return likeness.opinion(ts_us, value, to_us(channel.healthy_from), to_us(channel.at))
