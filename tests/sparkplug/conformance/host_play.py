"""What a host application goes through: edges that live and die, messages out of order, strangers who call it dead, lost connections."""

import asyncio
import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ingest_harness import query

from conformance.foreign import DEVICES, POINTS, WRITTEN, ForeignEdge
from conformance.gateway import Machines
from conformance.packets import Connect, Disconnect, Publish
from conformance.people import at_work, now_ms, until, until_quiet
from conformance.stage import Stage, stage
from conformance.tap import LOOPBACK, Record
from conformance.transcript import Looked, Transcript
from vigia.ingest import process
from vigia.ingest.broker import Host
from vigia.ingest.config import BrokerConfig, IngestConfig, Limits
from vigia.ingest.inbox import Inbox
from vigia.store.database import Database
from vigia.supervisor.broker import running_broker
from vigia.workflows import request_command
from vigia.workflows.request_command import Wanted

HOST = "vigia"
STATE = f"spBv1.0/STATE/{HOST}"
OWN, FOREIGN = "acme/acme-one", "acme/acme-two"
REORDER_S = 0.4
HEARTBEAT_S = 0.3
LIMITS = Limits(reorder_s=REORDER_S, rebirth_pause_s=0.1)


def play_host(folder: Path, dsn: str) -> Transcript:
    """The transcript of `vigia ingest` on the database `dsn`, which knows both edge nodes, and of a second host on another broker."""
    process._warm_up()  # the first time it compiles for long, which nobody here would wait for
    record = Record()
    with contextlib.ExitStack() as stack:
        ports = {server: stack.enter_context(running_broker(folder / server, "mosquitto")).port for server in ("A", "B")}
        here, elsewhere = (stack.enter_context(stage(server, port, record)) for server, port in ports.items())
        here.director.state(HOST, now_ms() - 10_000, online=False)
        config = IngestConfig(dsn, BrokerConfig.from_url(here.tap.url), HOST, LIMITS)
        with elsewhere.expecting(Publish, STATE):
            stack.enter_context(at_work(lambda: _keep_a_session(elsewhere.tap.url)))
        with contextlib.ExitStack() as work:
            with here.expecting(Publish, STATE, by=2):  # it contradicts the word of long ago as well
                work.enter_context(at_work(lambda: process.run(config)))
            gateway = Machines(folder / "edge", OWN, [f"mqtt://{LOOPBACK}:{here.port}"], here.did, f"heartbeat_s = {HEARTBEAT_S}")
            work.enter_context(gateway.running())
            _hears_a_gateway(here, gateway)
            _hears_a_foreign_edge(here, dsn)
            _is_called_dead(here)
            _loses_the_line(here)
            here.did("stop", "A")
        here.did("stop", "B")
    until_quiet(record)
    facts = {"reorder_ms": 1000 * REORDER_S, "heartbeats_of_default": int(Limits().reorder_s / HEARTBEAT_S)}
    return record.transcript(host=HOST, own=(OWN,), foreign=(FOREIGN,), **facts)


async def _keep_a_session(url: str) -> None:
    await Host(BrokerConfig.from_url(url), HOST, Inbox(LIMITS)).run()


def _hears_a_gateway(here: Stage, gateway: Machines) -> None:
    for role in ("R1", "R2"):
        gateway.install(role, f"SN-{role}", 1)
    for _ in range(3):
        with here.expecting(Publish, f"spBv1.0/acme/NCMD/{gateway.node}"):
            gateway.fly()


def _hears_a_foreign_edge(here: Stage, dsn: str) -> None:
    edge = ForeignEdge(FOREIGN, here.port)
    edge.births()
    _commands_a_device(here, dsn)
    edge.data("R1")
    edge.swapped("R1")
    _goes_on_for_longer_than_it_waits(here, edge)
    here.did("gap", FOREIGN)
    edge.lose()
    with here.expecting(Publish, f"spBv1.0/acme/NCMD/{FOREIGN.split('/')[1]}"):
        edge.data("R1")
        edge.data("R2")
    edge.births()
    for device in DEVICES:
        edge.data(device)
    until(lambda: look(dsn)["qualities"] == {device: [192] for device in DEVICES}, "the data after the rebirth is stored")
    edge.device_dies("R1", now_ms() - 5_000)
    until(lambda: not look(dsn)["devices"]["R1"]["alive"], "the device is dead")
    here.record.write(lambda at: Looked(at, "DDEATH", look(dsn)))
    edge.vanish()
    until(lambda: not look(dsn)["online"], "the node is dead")
    here.record.write(lambda at: Looked(at, "NDEATH", look(dsn)))


def _commands_a_device(here: Stage, dsn: str) -> None:
    group, node = FOREIGN.split("/")
    until(lambda: look(dsn)["devices"].get("R1", {}).get("alive") is True, "the device is born")
    with here.expecting(Publish, f"spBv1.0/{group}/DCMD/{node}/R1"), ThreadPoolExecutor(1) as thread:  # here a loop may run already
        thread.submit(asyncio.run, _request_command(dsn, node)).result()


async def _request_command(dsn: str, node: str) -> None:
    async with Database(dsn, "vigia_service", max_size=1) as database, database.transaction() as tx:
        account = "insert into account (kind, login, name, password_hash) values ('technician', 'ana', 'Ana', '') returning account_id"
        (account_id,) = await (await tx.execute(account)).fetchone() or (0,)
        asset = "select asset_id from birth join edge_node using (edge_node_id) where node_id = %s and device_id = 'R1'"
        (asset_id,) = await (await tx.execute(asset, (node,))).fetchone() or (0,)
        wanted = Wanted(WRITTEN, 0.75, "the play wants it", timedelta(minutes=1))
        await request_command.handle(tx, asset_id, wanted, datetime.now(UTC), account_id)


def _goes_on_for_longer_than_it_waits(here: Stage, edge: ForeignEdge) -> None:
    here.did("swapped", FOREIGN)
    end = time.monotonic() + 1.5 * REORDER_S
    while time.monotonic() < end:
        edge.data("R2")
        until_quiet(here.record, 0.02)


def _is_called_dead(here: Stage) -> None:
    """By an old word, by one as old as its own, and by a newer one, which needs a new session to be contradicted."""
    own = here.last_time(STATE)
    for timestamp in (own - 1, own):
        with here.expecting(Publish, STATE):
            here.director.state(HOST, timestamp, online=False)
    with here.expecting(Publish, STATE), here.expecting(Connect), here.expecting(Disconnect):
        here.director.state(HOST, now_ms() + 1, online=False)


def _loses_the_line(here: Stage) -> None:
    with here.expecting(Publish, STATE), here.expecting(Connect, by=2):
        here.did("cut", here.server)
        here.tap.cut()
    until_quiet(here.record)


def look(dsn: str) -> dict[str, Any]:
    """What the database says of the foreign edge node, its devices and the quality of their latest readings; times in ms since 1970 UTC."""
    node = FOREIGN.split("/")[1]
    online, died_at = query(dsn, f"select online, {_ms('died_at')} from edge_node where node_id = '{node}'")[0]  # noqa: S608 - our own names
    births = query(
        dsn,
        f"select device_id, alive, {_ms('b.died_at')} from birth b join edge_node using (edge_node_id)"  # noqa: S608
        f" where node_id = '{node}' and device_id <> ''",
    )
    latest = query(
        dsn,
        "select distinct r.device_id, l.quality from point_latest l join point p using (point_id) join installation i using (asset_id)"  # noqa: S608
        f" join role r using (role_id) join edge_node e using (edge_node_id) where node_id = '{node}' and p.name in {POINTS}",
    )
    qualities: dict[str, list[int]] = {}
    for device, quality in sorted(latest, key=str):
        qualities.setdefault(str(device), []).append(int(str(quality)))
    devices = {str(device): {"alive": alive, "died_at": died} for device, alive, died in births}
    return {"online": online, "died_at": died_at, "devices": devices, "qualities": qualities}


def _ms(column: str) -> str:
    return f"(extract(epoch from {column}) * 1000)::bigint"
