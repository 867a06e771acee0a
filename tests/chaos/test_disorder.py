"""Row 9: what one edge node says in order, another says doubled, shuffled and late; the database must hold the same of both."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from chaos_account import Account, query
from chaos_fleet import DEVICES, GROUP, NODES, START_MS, Wire, device_id, node_id
from chaos_processes import Process, ingest, running, wait_for
from ingest_harness import POINTS, Edge

from vigia.ingest.inbox import Message
from vigia.sparkplug.payload import Metric
from vigia.supervisor.broker import RunningBroker

SEED = 9
DAYS = 8
DAY_S = 86_400
STEP_S = 7
SHUFFLED_WITHIN_S = 60.0
LATE_BY_S = 7.0 * DAY_S
SHARE_LATE, SHARE_TWICE = 0.1, 0.2
AT_ONCE = 100  # messages of each edge node, then their commit is awaited: what is out of order meets what is stored

ROWS = """
select right(asset.serial_number, 2), point.name, ts, value, quality
from telemetry join point using (point_id) join asset using (asset_id) where serial_number like 'SN-N{node}%'
"""
ROLLUP = """
select right(asset.serial_number, 2), point.name, bucket, count, sum, min, max, last_ts, last, {good}
from {view} join point using (point_id) join asset using (asset_id) where serial_number like 'SN-N{node}%'
"""
STATES = """
select right(role.name, 2), category, started_at, ended_at
from state_interval join role using (role_id) where role.name like 'N{node}%'
"""
OF_STORED = {
    "rows": ROWS,
    "rollup_1m": ROLLUP.replace("{view}", "rollup_1m").replace("{good}", "good_mask"),
    "rollup_1h": ROLLUP.replace("{view}", "rollup_1h").replace("{good}", "good_seconds"),
}


@dataclass(frozen=True)
class Batch:
    """What machine `device` says at second `at_s`, under the number `eseq`."""

    eseq: int
    device: int
    at_s: int
    state: int
    value: float


def said(steps_a_day: int) -> list[Batch]:
    """Minutes of each of eight days. The values are eighths, whose sums are the same in any order."""
    rng = random.Random(SEED)  # noqa: S311 - no secrets
    batches = []
    for day in range(DAYS):
        for step in range(steps_a_day):
            state = 0 if day in (2, 5) and steps_a_day // 3 <= step < 2 * steps_a_day // 3 else 1
            for device in range(DEVICES):
                value = 500 + rng.randrange(800) / 8
                batches.append(Batch(len(batches) + 1, device, day * DAY_S + (step + 1) * STEP_S, state, value))
    return batches


def disordered(batches: list[Batch]) -> list[Batch]:
    """As they would come over bad lines: each within a minute of its time, some days late, some twice."""
    rng = random.Random(SEED)  # noqa: S311 - no secrets
    sent = [(one.at_s + rng.uniform(0, SHUFFLED_WITHIN_S), one) for one in batches]
    sent = [(at + (rng.uniform(0, LATE_BY_S) if rng.random() < SHARE_LATE else 0.0), one) for at, one in sent]
    sent += [(at + rng.uniform(0, SHUFFLED_WITHIN_S), one) for at, one in sent if rng.random() < SHARE_TWICE]
    return [one for _, one in sorted(sent, key=lambda pair: pair[0])]


def message(edge: Edge, number: int, batch: Batch) -> Message:
    device = device_id(number, batch.device)
    alias = edge.aliases(device)
    ts = START_MS + batch.at_s * 1000
    told = {"state": batch.state, "cycle": batch.at_s, "T50": batch.value, "Ps30": -batch.value}
    return edge.raw(device, [Metric(None, alias[name], ts, POINTS[name][0], value) for name, value in told.items()], batch.eseq)


def births(edge: Edge, number: int) -> list[Message]:
    names = [device_id(number, device) for device in range(DEVICES)]
    return [edge.node_birth(), *(edge.device_birth(name, f"SN-{name}", START_MS) for name in names)]


def committed(dsn: str, node: int) -> int:
    rows = query(dsn, "select node_id, numbers_in(eseqs) from ledger join edge_node using (edge_node_id)")
    return dict(rows).get(node_id(node), 0)


def send_both(dsn: str, wire: Wire, batches: list[Batch]) -> int:
    """The first edge node says all in order, the second in disorder; how many messages the second sent."""
    edges = [Edge(group=GROUP, node=node_id(node), epoch=node + 1) for node in range(NODES)]
    sequences = [batches, disordered(batches)]
    for node, edge in enumerate(edges):
        wire.send(births(edge, node))
    for first in range(0, len(sequences[1]), AT_ONCE):
        for node, edge in enumerate(edges):
            wire.send(message(edge, node, batch) for batch in sequences[node][first : first + AT_ONCE])
        for node in range(NODES):
            expected = len({batch.eseq for batch in sequences[node][: first + AT_ONCE]})
            wait_for(lambda node=node, expected=expected: committed(dsn, node) == expected, "commits")  # type: ignore[misc]
    return len(sequences[1])


def checksum(dsn: str, sql: str, node: int) -> tuple[int, str]:
    """Of all that the node's machines left behind, however it is ordered."""
    table = sql.replace("{node}", str(node))
    return query(dsn, f"select count(*), md5(string_agg(x::text, E'\\n' order by x::text)) from ({table}) as x")[0]  # type: ignore[return-value]  # noqa: S608 - ours


SIZES = pytest.mark.parametrize("steps_a_day", [pytest.param(30, id="short"), pytest.param(600, id="full", marks=pytest.mark.chaos)])


@pytest.mark.timeout(900)
@SIZES
def test_doubled_shuffled_and_late_leave_what_order_leaves(
    chaos_dsn: str, broker: RunningBroker, tmp_path: Path, keep: Callable[[Account], None], steps_a_day: int
) -> None:
    batches = said(steps_a_day)
    receiver = ingest(tmp_path, chaos_dsn, broker.url)
    with running(receiver), Wire(broker.port) as wire:
        wait_for(lambda: "broker connected" in receiver.words or not receiver.alive, "ingest")
        sent = send_both(chaos_dsn, wire, batches)
    assert query(chaos_dsn, "select * from ledger_hole") == []
    assert query(chaos_dsn, "select reason, detail from dead_letter limit 5") == []
    clean, dirty = ({name: checksum(chaos_dsn, sql, node) for name, sql in OF_STORED.items()} for node in range(NODES))
    expected, stored = len(batches) * len(POINTS), dirty["rows"][0]
    keep(
        Account(
            9,
            f"{sent} messages for {len(batches)} batches, shuffled within 60 s, late up to 7 days, seed {SEED}",
            sent=expected,
            stored=stored,
            lost=max(expected - stored, 0),
            recovered=expected,
            unexpected=sum(clean[name] != dirty[name] for name in OF_STORED),
            duplicated=max(stored - expected, 0),
            more={"compared": ", ".join(f"{count} {name}" for name, (count, _) in clean.items())},
        )
    )
    assert clean["rows"][0] == expected
    assert clean == dirty


@pytest.mark.timeout(900)
@SIZES
def test_uptime_is_what_it_is_in_order(chaos_dsn: str, broker: RunningBroker, tmp_path: Path, steps_a_day: int) -> None:
    batches = said(steps_a_day // 2)
    receiver = ingest(tmp_path, chaos_dsn, broker.url)
    worker = Process(["worker", "run", "--dsn", chaos_dsn], tmp_path / "worker.log")
    with running(receiver, worker), Wire(broker.port) as wire:
        wait_for(lambda: "broker connected" in receiver.words or not receiver.alive, "ingest")
        send_both(chaos_dsn, wire, batches)
        open_jobs = "select from jobs.procrastinate_jobs where task_name = 'record_state' and status in ('todo', 'doing')"
        wait_for(lambda: not query(chaos_dsn, open_jobs), f"jobs; worker: {worker.words[-2000:]}")
    clean, dirty = (query(chaos_dsn, STATES.replace("{node}", str(node)) + " order by 1, 3") for node in range(NODES))
    assert len(clean) > DEVICES
    assert clean == dirty
