"""After a finding's alarm, a closer look at its channel tells whether this shape was ever seen in health.

It comes later and changes no alarm: it is kept with the finding, for the person who looks at it.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future
from datetime import datetime, timedelta
from threading import Lock, Thread

import numpy as np

from vigia.analytics.detectors import likeness
from vigia.store import findings, telemetry
from vigia.store.changes import announce
from vigia.store.database import Database
from vigia.store.findings import Channel
from vigia.store.telemetry import Stored, from_us, to_us

_MOST_READINGS = likeness.MOST_PAST + likeness.GUARD + 2 * likeness.STRETCH

# Numba's simplest threading layer ends the process when two threads compute in parallel at once; a cancelled job's thread may still run.
_alone = Lock()


async def handle(database: Database, finding_id: int) -> Mapping[str, float | str] | None:
    """What was kept, or None if there is nothing to compare. No transaction is open while it computes, in a thread."""
    async with database.transaction() as tx:
        channel = await findings.channel(tx, finding_id)
        if channel is None:
            return None
        before = await telemetry.newest(tx, channel.point_id, channel.healthy_from, channel.at, _MOST_READINGS)
        after = await telemetry.around(tx, channel.point_id, channel.at, channel.at + _half_window(before))
    opinion = await _computed(before + [one for one in after if one.ts > channel.at], channel)
    async with database.transaction() as tx:
        await findings.keep_second_opinion(tx, finding_id, opinion)
        await announce(tx, "alarm", channel.customer_id, channel.role_id)
    return opinion


def _half_window(readings: list[Stored]) -> timedelta:
    """As long as half a window of the newest readings took."""
    newest = readings[-likeness.WINDOW :]
    return (newest[-1].ts - newest[0].ts) / 2 if newest else timedelta()


async def _computed(readings: list[Stored], channel: Channel) -> dict[str, float | str]:
    """The opinion, from a thread that nobody waits for when the worker stops: the job is put back."""
    promised: Future[dict[str, float | str]] = Future()

    def compute() -> None:
        with _alone:
            if promised.set_running_or_notify_cancel():
                try:
                    promised.set_result(_opinion(readings, channel.healthy_from, channel.at))
                except Exception as error:  # noqa: BLE001 - raised where the result is awaited
                    promised.set_exception(error)

    Thread(target=compute, daemon=True).start()
    return await asyncio.wrap_future(promised)


def _opinion(readings: list[Stored], healthy_from: datetime, at: datetime) -> dict[str, float | str]:
    ts_us = np.array([to_us(one.ts) for one in readings], np.int64)
    value = np.array([one.value for one in readings], np.float64)
    try:
        found = likeness.compare(ts_us, value, to_us(healthy_from), to_us(at))
    except likeness.TooLittleError as refusal:
        return {"method": "matrix_profile", "refused": str(refusal)}
    return {
        "method": "matrix_profile",
        "at": from_us(found.at_us).isoformat(),
        "distance": found.distance,
        "p_value": found.p_value,
        "compared": found.compared,
        "nearest_at": from_us(found.nearest_us).isoformat(),
        "past_from": from_us(found.past_from_us).isoformat(),
        "past_until": from_us(found.past_until_us).isoformat(),
        "step_s": found.step_us / 1e6,
        "window_s": likeness.WINDOW * found.step_us / 1e6,
    }
