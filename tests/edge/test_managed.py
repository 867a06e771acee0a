"""A gateway configured by its server tries what is new, leaves what does not run, and loses nothing on the way."""

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import pytest
from edge_harness import Host, recording, told
from modbus_machine import Machine
from typer.testing import CliRunner

from vigia import cli
from vigia.authority.issuing import Authority
from vigia.edge import EdgeError
from vigia.edge.identity import Place, new_request, take_certificate, take_place
from vigia.edge.managed import Managed
from vigia.edge.metrics import Gateway
from vigia.edge.snapshots import Snapshot, Snapshots
from vigia.errors import ConfigError
from vigia.sparkplug import names, statements
from vigia.sparkplug.payload import Payload
from vigia.sparkplug.topics import MessageType, Topic
from vigia.supervisor.broker import RunningBroker

LIFE = timedelta(days=100)
TRIAL_S = 1.5
REPLAY = """
[[node]]
heartbeat_s = 0.5
ack_timeout_s = 1.0
[node.source]
type = "replay"
logbook = "logbook.jsonl"
data = "recording.txt"
devices = ["L", "R"]
"""
NOBODY_ANSWERS = """
[[node]]
[node.source]
type = "modbus"
host = "127.0.0.1"
port = 1
timeout_s = 0.2
[[node.source.device]]
device_id = "L"
unit_id = 1
serial = "1"
model = "m"
[[node.source.device.point]]
name = "t"
table = "holding_register"
address = 1
type = "int16"
"""

PUMP = """
[[node]]
heartbeat_s = 0.5
ack_timeout_s = 1.0
[node.source]
type = "modbus"
host = "127.0.0.1"
port = {port}
[[node.source.device]]
device_id = "P-101"
serial = "1"
model = "m"
poll_s = 0.1
[[node.source.device.point]]
name = "speed"
table = "holding_register"
address = 1
"""
COMMAND = """
[[node.command]]
device = "P-101"
name = "speed"
acts_on = "speed"
low = 0.0
high = 50.0
"""


async def until(condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("authority"), datetime.now(UTC))


class Plant:
    """A gateway with the identity air:bcn, two engines, and a server that offers it configurations."""

    def __init__(self, folder: Path, broker: str, authority: Authority) -> None:
        self.folder = folder
        self.identity = folder / "identity"
        self._authority = authority
        request = new_request(self.identity)
        take_place(self.identity, Place("http://127.0.0.1:1", None, "air", "bcn", broker, None))
        take_certificate(self.identity, authority.issue(request, "air:bcn", datetime.now(UTC), LIFE).chain)
        (folder / "recording.txt").write_text(recording())
        self.own("")
        self.write({"kind": "install", "role": "L", "serial": "ESN-2", "unit": 2, "hour": 0})
        self.write({"kind": "install", "role": "R", "serial": "ESN-3", "unit": 3, "hour": 0})

    def own(self, identity: str) -> None:
        """Write the gateway's own file, with more lines for `[identity]`."""
        (self.folder / "edge.toml").write_text(
            f'[identity]\nfolder = "identity"\ncheck_in_s = 60\ntrial_s = {TRIAL_S}\n{identity}[buffer]\nfolder = "buffers"\n'
        )

    def write(self, entry: dict[str, object]) -> None:
        with (self.folder / "logbook.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def clock(self, hour: int) -> None:
        self.write({"kind": "clock", "hour": hour})

    def snapshot(self, version: int, toml: str, node: str = "bcn") -> Snapshot:
        return Snapshot(version, toml, self._authority.sign(statements.configuration("air", node, version, toml)))

    @property
    def version(self) -> int | None:
        """What runs well."""
        good = self.snapshots.good
        return good and good.version

    @property
    def refused(self) -> int | None:
        """What did not run last."""
        failure = self.snapshots.failure
        return failure and failure.version

    @property
    def snapshots(self) -> Snapshots:
        return Snapshots(self.identity)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Managed]:
        managed = Managed(self.folder / "edge.toml", None)
        work = asyncio.create_task(managed.run())
        try:
            yield managed
        finally:
            work.cancel()
            await asyncio.wait((work,))
        if not work.cancelled():
            work.result()


class Ingest(Host):
    """A host that says at a node's birth, too, what it has."""

    def _hear(self, topic: Topic, payload: Payload) -> None:
        super()._hear(topic, payload)
        epoch = payload.metric(names.EPOCH)
        if topic.message_type is MessageType.NBIRTH and self.acknowledging and epoch is not None:
            self.acknowledge(int(str(epoch.value)))


@pytest.fixture
def host(broker: RunningBroker) -> Iterator[Host]:
    one = Ingest(broker.url)
    one.start()
    yield one
    one.stop()
    assert one.errors == []


@pytest.fixture
def plant(tmp_path: Path, broker: RunningBroker, authority: Authority) -> Plant:
    return Plant(tmp_path, broker.url, authority)


def flown(hours: int) -> set[tuple[str, str, int, object]]:
    return told("L", 2, 0, range(1, hours + 1)) | told("R", 3, 0, range(1, hours + 1))


async def test_it_waits_for_a_configuration_and_keeps_the_one_that_runs(plant: Plant, host: Host) -> None:
    async with plant.running() as managed:
        managed.offered(plant.snapshot(1, REPLAY))
        await until(lambda: plant.snapshots.good is not None, "the first configuration")
        assert managed.report() == {"version": 1, "failed": None}
        plant.clock(1)
        await until(lambda: set(host.rows) == flown(1), "readings")


async def test_another_configuration_takes_over_and_nothing_is_lost(plant: Plant, host: Host) -> None:
    async with plant.running() as managed:
        managed.offered(plant.snapshot(1, REPLAY))
        await until(lambda: plant.snapshots.good is not None, "the first configuration")
        plant.clock(1)
        managed.offered(plant.snapshot(2, REPLAY.replace("0.5", "0.4")))
        plant.clock(2)
        await until(lambda: plant.version == 2, "the second")
        plant.clock(3)
        await until(lambda: set(host.rows) == flown(3), "readings")
    assert len({epoch for epoch, _ in host.batches}) == 1
    assert host.types.count(MessageType.NBIRTH) == 2


@pytest.mark.parametrize(
    ("toml", "why"),
    [
        (NOBODY_ANSWERS, "the source of air/bcn did not come up (unavailable"),
        ("[[node]]\n[node.source]\ntype = 'telepathy'\n", "configuration 2: node[0].source.type is 'telepathy'"),
        ("[[node]]\nsource = 1\n", "node[0].source"),
        (REPLAY.replace("recording.txt", "nowhere.txt"), "nowhere.txt"),
    ],
)
async def test_a_configuration_that_does_not_run_is_left_for_the_one_before(plant: Plant, host: Host, toml: str, why: str) -> None:
    async with plant.running() as managed:
        managed.offered(plant.snapshot(1, REPLAY))
        await until(lambda: plant.snapshots.good is not None, "the first configuration")
        managed.offered(plant.snapshot(2, toml))
        await until(lambda: plant.snapshots.failure is not None, "the failure")
        said = managed.report()
        assert said["version"] == 1
        assert said["failed"]["version"] == 2
        assert why in said["failed"]["why"]
        plant.clock(1)
        await until(lambda: set(host.rows) == flown(1), "readings under the first again")
        assert not plant.snapshots.offer(plant.snapshot(2, toml))


async def test_a_configuration_under_which_nothing_is_acknowledged_is_left(plant: Plant, host: Host) -> None:
    host.acknowledging = False
    async with plant.running() as managed:
        managed.offered(plant.snapshot(1, REPLAY))
        await until(lambda: plant.snapshots.failure is not None, "the failure")
        assert "acknowledged nothing" in managed.report()["failed"]["why"]
        assert managed.report()["version"] is None


async def test_a_trial_that_the_gateways_end_interrupts_is_begun_once_more(plant: Plant, host: Host) -> None:
    host.acknowledging = False
    for interrupted in (1, 2):
        async with plant.running() as managed:
            if interrupted == 1:
                managed.offered(plant.snapshot(1, REPLAY))
            await until(lambda: host.types.count(MessageType.NBIRTH) == interrupted, "its birth")  # noqa: B023
        assert plant.snapshots.trial is not None
    async with plant.running() as managed:
        await until(lambda: plant.snapshots.failure is not None, "the failure")
        assert "ended while it tried it" in managed.report()["failed"]["why"]


async def test_it_goes_on_with_the_good_configuration_after_a_restart(plant: Plant, host: Host) -> None:
    async with plant.running() as managed:
        managed.offered(plant.snapshot(1, REPLAY))
        await until(lambda: plant.snapshots.good is not None, "the first configuration")
    async with plant.running():
        plant.clock(1)
        await until(lambda: set(host.rows) == flown(1), "readings")


async def test_commands_are_the_plants_decision(plant: Plant, host: Host) -> None:
    assert host.acknowledging
    async with Machine({1: {"holding_register": [[0, "0001 0002"]], "coil": [0]}}) as machine:
        allowing = PUMP.format(port=machine.port) + COMMAND
        async with plant.running() as managed:
            managed.offered(plant.snapshot(1, allowing))
            await until(lambda: plant.refused == 1, "the first refusal")
            assert "(air/bcn P-101 speed), which is this plant's decision" in managed.report()["failed"]["why"]
        plant.own("commands_from_server = true\n")
        async with plant.running() as managed:
            managed.offered(plant.snapshot(2, allowing))
            await until(lambda: plant.version == 2, "what the plant agrees to")
        plant.own("")
        async with plant.running() as managed:
            offers = [
                (allowing.replace("poll_s = 0.1", "poll_s = 0.2"), True),
                (allowing.replace("high = 50.0", "high = 60.0"), False),
                (allowing.replace("address = 1", "address = 0"), False),
                (allowing + COMMAND.replace('name = "speed"', 'name = "Device Control/speed"'), False),
                (PUMP.format(port=machine.port), True),
                (allowing, False),
            ]
            for number, (toml, good) in enumerate(offers, start=3):
                managed.offered(plant.snapshot(number, toml))
                await until(lambda: number in {plant.version, plant.refused}, f"configuration {number}")  # noqa: B023
                assert (plant.version == number) == good, number
    assert plant.version == 7


def test_only_what_the_own_server_signed_for_this_gateway_is_believed(plant: Plant, tmp_path: Path) -> None:
    stranger = Authority.create(tmp_path / "stranger", datetime.now(UTC))
    forged = Snapshot(1, REPLAY, stranger.sign(statements.configuration("air", "bcn", 1, REPLAY)))
    changed = Snapshot(1, REPLAY + "#", plant.snapshot(1, REPLAY).signature)
    renumbered = Snapshot(9, REPLAY, plant.snapshot(1, REPLAY).signature)
    of_another = plant.snapshot(1, REPLAY, node="mad")
    for snapshot in (forged, changed, renumbered, of_another):
        with pytest.raises(EdgeError, match="not signed"):
            plant.snapshots.offer(snapshot)
    assert plant.snapshots.trial is None
    assert plant.snapshots.offer(plant.snapshot(1, REPLAY))


def test_an_older_configuration_is_not_tried(plant: Plant) -> None:
    plant.snapshots.offer(plant.snapshot(5, REPLAY))
    plant.snapshots.keep()
    assert not plant.snapshots.offer(plant.snapshot(5, REPLAY))
    assert not plant.snapshots.offer(plant.snapshot(4, REPLAY))
    assert plant.snapshots.offer(plant.snapshot(6, REPLAY))
    assert not plant.snapshots.offer(plant.snapshot(7, REPLAY))


def test_what_was_changed_on_disk_is_not_there(plant: Plant) -> None:
    plant.snapshots.offer(plant.snapshot(1, REPLAY))
    plant.snapshots.keep()
    file = plant.identity / "configuration" / "good.json"
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text(file.read_text().replace("replay", "mtconnect"))
    assert plant.snapshots.good is None
    file.write_text("{")
    assert plant.snapshots.good is None


def test_the_command_line_says_what_it_runs(plant: Plant) -> None:
    config = str(plant.folder / "edge.toml")
    runner = CliRunner()
    checked = runner.invoke(cli.app, ["edge", "run", "--config", config, "--check"])
    assert checked.output == "air/bcn: configuration from http://127.0.0.1:1, none yet\n"
    nothing = runner.invoke(cli.app, ["edge", "status", "--config", config]).exception
    assert "no configuration has come from the server yet" in str(nothing)
    plant.snapshots.offer(plant.snapshot(3, REPLAY))
    plant.snapshots.keep()
    checked = runner.invoke(cli.app, ["edge", "run", "--config", config, "--check", "--patience", "0.1"])
    assert "version 3" in checked.stdout
    assert "  L       T24" in checked.stdout
    words = runner.invoke(cli.app, ["edge", "status", "--config", config]).output
    assert f"configuration: version 3, SHA-256 {hashlib.sha256(REPLAY.encode()).hexdigest()}\n" in words
    assert "nothing stored yet" in words


async def test_births_tell_the_program_and_the_configuration(plant: Plant, host: Host) -> None:
    async with plant.running() as managed:
        managed.offered(plant.snapshot(1, REPLAY))
        await until(lambda: plant.version == 1, "the first configuration")
    birth = host.payloads(MessageType.NBIRTH)[0]
    told = {name: metric.value for name in (names.AGENT_VERSION, names.CONFIGURATION) if (metric := birth.metric(name)) is not None}
    assert told == {names.AGENT_VERSION: version("vigia"), names.CONFIGURATION: hashlib.sha256(REPLAY.encode()).hexdigest()}


def test_metrics_tell_how_long_the_certificate_is_valid(plant: Plant) -> None:
    (family,) = [one for one in Gateway(lambda: (), plant.identity).collect() if one.name == "vigia_edge_certificate_seconds"]
    assert family.samples[0].value == pytest.approx(LIFE.total_seconds(), abs=100)


@pytest.mark.parametrize("text", ["[identity]\n", "identity = 1\n", '[identity]\nfolder = "i"\nfoo = 1\n'])
def test_a_managed_file_that_makes_no_sense_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "edge.toml").write_text(text)
    with pytest.raises(ConfigError, match="identity"):
        Managed(tmp_path / "edge.toml", None)
