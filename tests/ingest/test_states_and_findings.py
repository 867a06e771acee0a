"""State changes and findings become jobs in the transaction of their readings."""

import numpy as np
import pytest
from ingest_harness import Edge, Line, line, query

from vigia.analytics import detectors
from vigia.analytics.detectors.together import Baseline
from vigia.ingest import scoring
from vigia.store import baselines
from vigia.store.database import Database
from vigia.workflows.learn_baselines import Learner

HOURS = 130


def recorded(dsn: str) -> list[tuple[object, ...]]:
    return query(
        dsn,
        "select (args ->> 'state')::int, extract(epoch from (args ->> 'at')::timestamptz - '2026-01-01')::int / 3600"
        " from procrastinate_jobs where task_name = 'record_state' order by 2, id",
    )


async def test_each_change_of_state_is_one_job(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(*edge.born(), *(edge.data("R1", hour, state=int(hour < 4)) for hour in range(1, 7)))
    await wire.hear(edge.data("R1", 7, state=1))
    assert recorded(seeded) == [(1, 1), (0, 4), (1, 7)]


async def test_a_replayed_batch_changes_no_state(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(*edge.born(), edge.data("R1", 1, state=1), edge.data("R1", 2, state=0))
    await wire.hear(edge.data("R1", 1, eseq=1, state=1), edge.data("R1", 2, eseq=2, state=0))
    assert recorded(seeded) == [(1, 1), (0, 2)]


async def test_a_late_change_and_the_way_back_from_it_are_both_told(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(*edge.born(), edge.data("R1", 1, state=1), edge.data("R1", 9, state=1))
    await wire.hear(edge.data("R1", 5, state=0, historical=True))
    assert recorded(seeded) == [(1, 1), (0, 5), (1, 9)]


def findings(dsn: str) -> list[tuple[object, ...]]:
    return query(
        dsn,
        "select p.name, a.serial_number, extract(epoch from f.at - '2026-01-01')::int / 3600, f.why ->> 'direction'"
        " from finding f join point p using (point_id) join asset a on a.asset_id = f.asset_id order by f.finding_id",
    )


def drifting(hour: int) -> dict[str, float]:
    noise = 0.1 * ((hour * 7919) % 13 - 6)
    return {"T50": 500.0 + noise + max(0, hour - 70) * 0.4, "Ps30": 47.0 + noise}


async def test_a_drift_is_one_finding_with_its_reason_and_its_job(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(*edge.born())
    for hour in range(1, HOURS):
        await wire.hear(edge.data("R1", hour, **drifting(hour)))
    found = findings(seeded)
    assert [(name, serial, direction) for name, serial, _, direction in found] == [("T50", "SN-R1", "up")]
    assert 72 <= int(str(found[0][2])) <= 90
    assert query(seeded, "select args ->> 'finding_id' from procrastinate_jobs where task_name = 'finding_to_alarm'") == [("1",)]
    assert query(seeded, "select why ->> 'point', (why ->> 'learned_from')::int from finding") == [("T50", 50)]


async def test_the_end_of_a_drift_is_a_job_after_the_one_of_its_start(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(*edge.born())
    hours = range(1, 140)
    healthy = {hour: {**drifting(hour), "T50": drifting(hour)["Ps30"] + 453.0} for hour in hours}
    await wire.hear(*(edge.data("R1", hour, **(drifting(hour) if hour < 100 else healthy[hour])) for hour in hours))
    jobs = query(seeded, "select task_name, args from procrastinate_jobs where task_name like 'finding_%' order by id")
    assert [name for name, _ in jobs] == ["finding_to_alarm", "finding_over"]
    ((point_id, asset_id),) = query(seeded, "select point_id, asset_id from finding")
    args = jobs[1][1]
    assert isinstance(args, dict)
    assert (args["point_id"], args["asset_id"], args["detector"]) == (point_id, asset_id, "drift")
    assert "2026-01-05T04" <= args["at"] <= "2026-01-05T12"
    assert query(seeded, "select count(distinct lock) from procrastinate_jobs where task_name like 'finding_%'") == [(1,)]


async def test_findings_are_the_same_however_the_process_is_restarted(seeded: str, edge: Edge) -> None:
    async with line(seeded) as one:
        await one.hear(*edge.born())
    for first in range(1, HOURS, 40):
        async with line(seeded) as one:
            await one.hear(*edge.born())
            await one.hear(*(edge.data("R1", hour, **drifting(hour)) for hour in range(first, min(first + 40, HOURS))))
    whole = Edge(node="acme-two")
    async with line(seeded) as one:
        await one.hear(
            whole.node_birth(),
            whole.device_birth("R1", "SN-3"),
            *(whole.data("R1", hour, **drifting(hour)) for hour in range(1, HOURS)),
        )
    first_found, second_found = findings(seeded)
    assert (first_found[0], first_found[2], first_found[3]) == (second_found[0], second_found[2], second_found[3])


async def test_a_rolled_back_transaction_leaves_no_memory(wire: Line, edge: Edge, seeded: str) -> None:
    """A batch that is refused once and accepted later is scored once."""
    await wire.hear(*edge.born(), *(edge.data("R1", hour, **drifting(hour)) for hour in range(1, 60)))
    before = query(seeded, "select encode(state, 'hex') from detector_snapshot")
    await wire.hear(*(edge.data("R1", hour, eseq=hour, **drifting(hour)) for hour in range(1, 60)))
    assert query(seeded, "select encode(state, 'hex') from detector_snapshot") == before


async def test_a_sensor_that_says_nothing_any_more_is_a_finding_of_its_own(wire: Line, edge: Edge, seeded: str) -> None:
    await wire.hear(*edge.born())
    await wire.hear(*(edge.data("R1", hour, **drifting(hour)) for hour in range(1, 60)))
    await wire.hear(*(edge.data("R1", hour, **{**drifting(hour), "Ps30": None}) for hour in range(60, 70)))
    found = query(seeded, "select detector, why ->> 'point', why ->> 'fault' from finding")
    assert found == [("sensor", "Ps30", "drop_out")]


def memory(dsn: str, point: str) -> np.void:
    """What the detectors remember of R1's point."""
    ((point_id,),) = query(
        dsn,
        f"select point_id from point join asset using (asset_id) where serial_number = 'SN-R1' and name = '{point}'",  # noqa: S608
    )
    ((point_ids, state),) = query(dsn, "select point_ids, state from detector_snapshot")
    records: np.void = np.frombuffer(bytes(state), detectors.STATE)[list(point_ids).index(point_id)]  # type: ignore[arg-type,call-overload]
    return records


async def test_nothing_is_learned_while_a_case_is_open_and_afterwards_anew(seeded: str, edge: Edge) -> None:
    async with line(seeded) as one:
        await one.hear(*edge.born())
        await one.hear(*(edge.data("R1", hour, T50=500.0 + hour % 3) for hour in range(1, 80)))
        healthy = memory(seeded, "T50")
        query(
            seeded,
            "insert into failure_case (customer_id, role_id, asset_id, failure_mode, opened_at)"
            " select 1, role_id, asset_id, 'wear', '2026-01-04 08:00+00' from installation order by installation_id limit 1 returning 1",
        )
        await one.hear(*(edge.data("R1", hour, T50=500.5 + hour % 3) for hour in range(81, 100)))
        ill = memory(seeded, "T50")
        assert (ill["level"], ill["spread"], ill["mean"]) == (healthy["level"], healthy["spread"], healthy["mean"])
        assert ill["last_ts"] > healthy["last_ts"]
        query(seeded, "update failure_case set closed_at = '2026-01-05 05:00+00' returning 1")
    for first in (100, 140):  # also by a process that never knew of the case
        async with line(seeded) as one:
            await one.hear(*edge.born())
            await one.hear(*(edge.data("R1", hour, T50=520.0 + hour % 3) for hour in range(first, first + 30)))
    renewed = memory(seeded, "T50")
    assert 520.0 < renewed["mean"] < 522.0
    assert renewed["learned"] == 50
    assert query(seeded, "select * from finding") == []


def moving_together(hour: int, *, broken: bool = False) -> dict[str, float]:
    """Two sensors that follow one load; when `broken` the second goes its own way, within what is usual of it."""
    rng = np.random.default_rng(hour)
    load = np.sin(hour / 9) + np.sin(hour / 5.3)
    own = -load if broken else load
    return {"T50": 500.0 + 4 * load + 0.4 * rng.normal(), "Ps30": 47.0 + 0.5 * own + 0.05 * rng.normal()}


async def test_sensors_that_part_are_a_finding_once_a_usual_day_is_learned(
    wire: Line, edge: Edge, seeded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "BASELINES_EVERY_S", 0.0)
    together = (
        "select p.name, extract(epoch from f.at - '2026-01-01')::int / 3600, f.why"
        " from finding f join point p using (point_id) where detector = 'together'"
    )
    await wire.hear(*edge.born())
    query(seeded, "update installation set installed_at = '2026-01-01 00:00+00' returning 1")
    await wire.hear(*(edge.data("R1", hour, **moving_together(hour)) for hour in range(1, 300)))
    async with Database(seeded, "vigia_service") as database:
        learner = Learner(database)
        assert await learner.run() == 0
        await wire.hear(*(edge.data("R1", hour, **moving_together(hour)) for hour in range(300, 600)))
        assert await learner.run() == 1
        assert await learner.run() == 0
        for begin in range(600, 700, 10):
            await wire.hear(*(edge.data("R1", hour, **moving_together(hour)) for hour in range(begin, begin + 10)))
        assert query(seeded, together) == []
        kept = query(seeded, "select body from baseline")[0][0]
        change = "update baseline set learned_at = clock_timestamp(), body = {} returning 1"
        query(seeded, change.format("'of another program'"))
        await wire.hear(edge.data("R1", 700, **moving_together(700)))
        assert query(seeded, "select count(*) from dead_letter") == [(0,)]
        query(seeded, change.format(f"'\\x{bytes(kept).hex()}'"))  # type: ignore[arg-type]
        await wire.hear(*(edge.data("R1", hour, **moving_together(hour)) for hour in range(701, 710)))
        for begin in range(710, 800, 10):
            await wire.hear(*(edge.data("R1", hour, **moving_together(hour, broken=True)) for hour in range(begin, begin + 10)))
        found = query(seeded, together)
        assert len(found) == 1
        name, hour, why = found[0]
        assert name in {"T50", "Ps30"}
        assert 710 < int(str(hour)) < 750
        assert why["spe"] + why["t2"] > 1.0  # type: ignore[index]
        query(
            seeded,
            "insert into failure_case (customer_id, role_id, asset_id, failure_mode, opened_at)"
            " select 1, role_id, asset_id, 'wear', '2026-02-03 08:00+00' from installation order by installation_id limit 1 returning 1",
        )
        async with database.transaction() as tx:
            assert list(await baselines.valid(tx)) == [1]
        query(seeded, "update failure_case set closed_at = '2026-02-03 09:00+00' returning 1")
        async with database.transaction() as tx:
            assert await baselines.valid(tx) == {}, "what was healthy before the repair is over"
        await wire.hear(*(edge.data("R1", hour, **moving_together(hour, broken=True)) for hour in range(800, 900)))
        assert len(query(seeded, together)) == 1
        assert await learner.run() == 0, "the machine's new usual day is not over"


async def test_what_a_sensor_told_while_it_was_at_fault_is_not_learned(wire: Line, edge: Edge, seeded: str) -> None:
    """A wire is loose for thirty hours of the stretch: the sensor reads zero."""
    await wire.hear(*edge.born())
    query(seeded, "update installation set installed_at = '2026-01-01 00:00+00' returning 1")
    for begin in range(1, 600, 50):
        hours = range(begin, begin + 50)
        told = {hour: moving_together(hour) | ({"Ps30": 0.0} if 200 <= hour < 230 else {}) for hour in hours}
        await wire.hear(*(edge.data("R1", hour, **told[hour]) for hour in hours))
    assert query(seeded, "select detector, why ->> 'fault' from finding") == [("sensor", "drop_out")]
    query(seeded, "update finding set over_at = '2026-01-10 14:00+00' returning 1")
    async with Database(seeded, "vigia_service", max_size=2) as database:
        assert await Learner(database).run() == 1
    ((body,),) = query(seeded, "select body from baseline")
    deviations = 1.0 / Baseline.from_bytes(bytes(body)).healthy.inverse[0]  # type: ignore[arg-type]
    assert 0.3 < deviations.min() < 0.7
    assert 2.0 < deviations.max() < 5.0
