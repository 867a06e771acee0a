"""What an edge node goes through: births, data, commands, a device's death, lost connections, hosts that come and go, several servers."""

import contextlib
from pathlib import Path
from unittest.mock import patch

from conformance.gateway import START_MS, STEP_MS, Gateway, Machines
from conformance.packets import Connect, Disconnect, Publish, Suback
from conformance.people import now_ms, until, until_quiet
from conformance.scripted import DEVICE, NOT_GOOD
from conformance.stage import Stage, stage
from conformance.tap import Record
from conformance.transcript import Transcript
from vigia.edge.buffer import EdgeBuffer, buffer_status
from vigia.edge.sources import SOURCES
from vigia.sparkplug import names
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.payload import Metric
from vigia.supervisor.broker import running_broker

HOST = "vigia"
ALONE, WALKING, SCRIPTED = "air/bcn", "air/mad", "air/zgz"
WRITTEN = "DOUBLE"
WRITABLE = f'primary_host = ""\n[[node.command]]\ndevice = "{DEVICE}"\nname = "{WRITTEN}"\nacts_on = "{WRITTEN}"\nplain = true'
REBIRTH = Metric(names.REBIRTH, datatype=DataType.BOOLEAN, value=True)
WRAP_HOURS = 140


def play_edge(folder: Path) -> Transcript:
    """The transcript of three acts, each with a gateway of its own, on real brokers."""
    record = Record()
    with contextlib.ExitStack() as stack:
        ports = {server: stack.enter_context(running_broker(folder / server, "mosquitto")).port for server in ("A", "B")}
        stages = [stack.enter_context(stage(server, port, record)) for server, port in ports.items()]
        urls = [one.tap.url for one in stages]
        alone = Machines(folder / "alone", ALONE, urls[:1], stages[0].did, "heartbeat_s = 0.3\nack_timeout_s = 0.6")
        _one_server(stages[0], alone)
        walking = Machines(folder / "walking", WALKING, urls, stages[0].did)
        _two_servers(stages[0], stages[1], walking)
        _all_kinds_of_values(stages[0], Gateway(folder / "scripted", SCRIPTED, urls[:1], WRITABLE, 'type = "scripted"'))
    return record.transcript(
        host=HOST,
        nodes={ALONE: ["A"], WALKING: ["A", "B"], SCRIPTED: ["A"]},
        waiting=(ALONE, WALKING),
        fresh=(ALONE, SCRIPTED),
        writable={SCRIPTED: [DEVICE]},
        told={ALONE: alone.told, WALKING: walking.told},
        source_times=(START_MS - STEP_MS, START_MS + 1000 * STEP_MS),
    )


# ── first act ──


def _one_server(here: Stage, gateway: Machines) -> None:
    with contextlib.ExitStack() as stack:
        with here.expecting(Suback, sent=False):
            stack.enter_context(gateway.running())
        gateway.install("R1", "SN-1", 1)
        gateway.install("R2", "SN-2", 2)
        online = _waits_for_its_host(here, gateway)
        _lives(here, gateway)
        _is_commanded(here, gateway)
        _loses_a_device(here, gateway)
        _hears_an_old_word(here, gateway, online)
        _loses_the_line(here, gateway)
        _loses_the_host(here, gateway, online)
        here.did("stop", gateway.name)
    until_quiet(here.record)


def _waits_for_its_host(here: Stage, gateway: Machines) -> int:
    """Only the newest word of its own host lets the births begin; returns that word's time."""
    now = now_ms()
    here.director.state("other", now, online=True)
    here.director.state(HOST, now, online=False)
    until_quiet(here.record)
    here.director.state(HOST, now - 1000, online=True)
    until_quiet(here.record)
    with here.expecting(Publish, gateway.topic("DBIRTH"), by=2):
        here.director.state(HOST, now + 1, online=True)
    return now + 1


def _lives(here: Stage, gateway: Machines) -> None:
    """Data beyond the highest sequence number; nobody acknowledges at first, so some of it comes again as history."""
    with here.expecting(Publish, gateway.topic("DDATA"), by=2 * WRAP_HOURS + 20), here.expecting(Publish, gateway.topic("NDATA"), by=2):
        gateway.fly(WRAP_HOURS)
    status = buffer_status(gateway.buffer)
    assert status is not None
    here.director.command(
        gateway.topic("NCMD"),
        Metric(names.EPOCH, datatype=DataType.INT64, value=status.epoch),
        Metric(names.ACKNOWLEDGED, datatype=DataType.INT64, value=status.newest),
    )
    with here.expecting(Publish, gateway.topic("NDATA"), by=2):
        pass


def _is_commanded(here: Stage, gateway: Machines) -> None:
    commands = gateway.topic("NCMD")
    here.director.command(commands, Metric("Node Control/Reboot", datatype=DataType.BOOLEAN, value=True))
    here.director.command(commands, Metric(names.REBIRTH, datatype=DataType.BOOLEAN, value=False))
    here.director.rubbish(commands)
    here.director.command(gateway.topic("DCMD", "R1"), Metric("T2", datatype=DataType.DOUBLE, value=1.0))
    here.director.command(gateway.topic("DCMD", "nobody"), Metric("x", datatype=DataType.DOUBLE, value=1.0))
    until_quiet(here.record, 0.02)
    for _ in range(2):  # the second request comes while the births of the first are still fresh
        with here.expecting(Publish, gateway.topic("DBIRTH"), by=2), here.expecting(Publish, gateway.topic("DDATA"), by=2):
            here.director.command(commands, REBIRTH)
            gateway.fly()


def _loses_a_device(here: Stage, gateway: Machines) -> None:
    with here.expecting(Publish, gateway.topic("DDEATH")):
        gateway.remove("R2")
    with here.expecting(Publish, gateway.topic("DDATA", "R1")):
        gateway.fly()
    with here.expecting(Publish, gateway.topic("DBIRTH", "R2")):
        gateway.install("R2", "SN-3", 3)
    with here.expecting(Publish, gateway.topic("DDATA", "R2")):
        gateway.fly()


def _hears_an_old_word(here: Stage, gateway: Machines, online: int) -> None:
    here.director.state(HOST, online - 1, online=False)
    until_quiet(here.record, 0.02)
    with here.expecting(Publish, gateway.topic("DDATA")):
        gateway.fly()
    with here.expecting(Publish, f"spBv1.0/STATE/{HOST}", sent=False):
        here.director.state(HOST, online, online=True)


def _loses_the_line(here: Stage, gateway: Machines) -> None:
    for _ in range(2):
        with here.expecting(Publish, gateway.topic("DBIRTH"), by=2), here.expecting(Connect):
            here.did("cut", here.server)
            here.tap.cut()


def _loses_the_host(here: Stage, gateway: Machines, online: int) -> None:
    with here.expecting(Disconnect), here.expecting(Connect):
        here.director.state(HOST, online + 1, online=False)
    gateway.fly(2)
    until_quiet(here.record)
    here.director.state(HOST, online + 2, online=True)
    until(lambda: gateway.is_told(here.record.events), "all is told")


# ── second act ──


def _two_servers(first: Stage, second: Stage, gateway: Machines) -> None:
    """The host is online at the second server only, then at the first only. The connections are counted beyond the highest number."""
    _count_connections_from(gateway, 254)
    now = now_ms()
    first.director.state(HOST, now, online=False)
    second.director.state(HOST, now, online=True)
    with contextlib.ExitStack() as stack:
        with second.expecting(Publish, gateway.topic("NBIRTH")):
            stack.enter_context(gateway.running())
        with second.expecting(Publish, gateway.topic("DDATA")):
            gateway.install("R1", "SN-1", 1)
            gateway.fly()
        with first.expecting(Publish, gateway.topic("DBIRTH")), second.expecting(Disconnect):
            first.director.state(HOST, now + 1, online=True)
            second.director.state(HOST, now + 1, online=False)
        gateway.fly()
        until(lambda: gateway.is_told(first.record.events), "all is told")
        first.did("stop", gateway.name)
    until_quiet(first.record)


def _count_connections_from(gateway: Gateway, bd_seq: int) -> None:
    buffer = EdgeBuffer(gateway.buffer)
    buffer.use_bd_seq(bd_seq - 1)
    buffer.close()


# ── third act ──


def _all_kinds_of_values(here: Stage, gateway: Gateway) -> None:
    """No host is waited for: the births come at once, then whatever the machine tells, and what became of a command."""
    with patch.dict(SOURCES, scripted="conformance.scripted:ScriptedSource"), contextlib.ExitStack() as stack:
        with here.expecting(Publish, gateway.topic("DBIRTH")):
            stack.enter_context(gateway.running())
        with here.expecting(Publish, gateway.topic("DDATA"), by=2 + len(NOT_GOOD)):
            (gateway.folder / "go").touch()
        with here.expecting(Publish, gateway.topic("DDATA")):
            here.director.command(gateway.topic("DCMD", DEVICE), Metric(WRITTEN, datatype=DataType.DOUBLE, value=0.75))
        here.did("stop", gateway.name)
    until_quiet(here.record)
