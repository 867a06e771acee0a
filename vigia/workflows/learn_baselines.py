"""What is healthy of a machine's channels together is learned here, once in each of its lives: after its installation, and after a repair.

A stretch that holds a usual day is learned from, only while nothing is wrong with the machine, and without what a sensor told while it was
at fault. Of a machine that tells very much, the beginning of each hour.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import structlog
from numpy.typing import NDArray

from vigia.analytics.baselines import learned, rows_of, varying
from vigia.analytics.detectors.subspace import BaselineError
from vigia.analytics.detectors.together import LEAST_ROWS
from vigia.concurrency import unattended
from vigia.store import baselines, findings, points, predictions, telemetry
from vigia.store.baselines import Hour, NewBaseline, Wanted
from vigia.store.database import Database
from vigia.store.findings import SensorFault
from vigia.store.points import Point
from vigia.store.predictions import Moment, Stretch

log = structlog.get_logger()

SPAN = timedelta(days=1)
AN_HOUR = 2_000
"""Readings of a channel that are learned from, at most."""
MOST_HOURS = 24 * 60
AGAIN_AFTER = timedelta(hours=6)
"""Of the machine's own time, when it was too little."""


class Learner:
    """Learns what is missing; remembers what was too little. One a process.

    A stopping worker does not wait for what is being learned: it is learned by the next one.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._not_before: dict[int, datetime] = {}

    async def run(self) -> int:
        """Learn every baseline that can be learned now; how many. Raises DatabaseUnavailableError."""
        async with self._database.transaction() as tx:
            wanted = await baselines.wanted(tx, SPAN)
        done = 0
        for one in wanted:
            if one.newest_at < self._not_before.get(one.asset_id, one.newest_at):
                continue
            try:
                done += await self._learn(one)
            except BaselineError as error:
                self._not_before[one.asset_id] = one.newest_at + AGAIN_AFTER
                log.info("no baseline yet", asset=one.asset_id, reason=str(error))
        return done

    async def _learn(self, one: Wanted) -> int:
        async with self._database.transaction() as tx:
            hours = _enough(await baselines.hours(tx, one.asset_id, one.since, MOST_HOURS))
            moments = await predictions.readings(tx, _stretches(one, hours))
            known = await points.points_of(tx, [one.asset_id])
            faults = await findings.sensor_faults(tx, one.asset_id, one.since, one.newest_at)
        new = await unattended(_learned, one, known, moments, faults)
        async with self._database.transaction() as tx:
            await baselines.keep(tx, new)
        log.info("baseline learned", asset=one.asset_id, rows=len(moments), channels=len(new.point_ids))
        return 1


def _enough(hours: Sequence[Hour]) -> Sequence[Hour]:
    """The first hours that hold a usual day and rows enough. Raises BaselineError when there are none."""
    rows = 0
    for number, hour in enumerate(hours, start=1):
        rows += min(hour.readings, AN_HOUR)
        if hour.at - hours[0].at >= SPAN and rows >= LEAST_ROWS:
            return hours[:number]
    raise BaselineError(f"{rows} rows in {len(hours)} hours with readings; {LEAST_ROWS} in a day or more are needed")


def _stretches(one: Wanted, hours: Sequence[Hour]) -> list[Stretch]:
    found = []
    for hour in hours:
        share = min(1.0, AN_HOUR / hour.readings)
        found.append(Stretch(one.asset_id, max(hour.at, one.since), hour.at + share * timedelta(hours=1)))
    return found


def _learned(one: Wanted, known: Sequence[Point], moments: Sequence[Moment], faults: Sequence[SensorFault]) -> NewBaseline:
    """Raises BaselineError."""
    columns = [point for point in known if point.kind in {"measurement", "setting"}]
    column_of = {point.point_id: number for number, point in enumerate(columns)}
    rows = np.full((len(moments), len(columns)), np.nan)
    for row, moment in zip(rows, moments, strict=True):
        for point_id, value in zip(moment.point_ids, moment.values, strict=True):
            if value is not None and point_id in column_of:
                row[column_of[point_id]] = value
    ts = np.array([telemetry.to_us(moment.at) for moment in moments], np.int64)
    for fault in faults:
        if fault.point_id in column_of:
            _leave_out(fault, ts, rows[:, column_of[fault.point_id]])
    used = varying(rows)
    channels = [number for number, point in enumerate(columns) if point.kind == "measurement" and used[number]]
    settings = [number for number, point in enumerate(columns) if point.kind == "setting" and used[number]]
    ts, rows = rows_of(ts, rows)
    baseline = learned(ts, rows[:, channels], rows[:, settings])
    point_ids = [columns[number].point_id for number in (*channels, *settings)]
    return NewBaseline(one.asset_id, one.since, moments[-1].at, point_ids, baseline.to_bytes())


def _leave_out(fault: SensorFault, ts: NDArray[np.int64], column: NDArray[np.float64]) -> None:
    """Let the sensor have told nothing while it was at fault; float64[rows] at `ts`, in place."""
    told = np.flatnonzero(np.isfinite(column))
    first = int(np.searchsorted(ts[told], telemetry.to_us(fault.at), side="right")) - fault.readings
    behind = len(told) if fault.over_at is None else int(np.searchsorted(ts[told], telemetry.to_us(fault.over_at)))
    column[told[max(first, 0) : behind]] = np.nan
