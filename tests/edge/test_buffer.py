"""The buffer keeps every batch until it is settled, under one number, through restarts, limits and damage."""

import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vigia.edge.buffer import BufferUnavailableError, EdgeBuffer, UnbornDeviceError, buffer_status
from vigia.edge.buffer_records import MAX_SAMPLES, Tombstone
from vigia.edge.samples import Device, Point, Sample, Tick, Value
from vigia.sparkplug.datatypes import DataType

POINTS = (Point("t", DataType.DOUBLE, "Cel", 0.0, 100.0), Point("s", DataType.INT32, kind="state"))


def device(device_id: str = "d", serial: str = "1") -> Device:
    return Device(device_id, serial, "m", POINTS)


def sample(ts: int, value: Value | None = 1.0, device_id: str = "d", point: str = "t") -> Sample:
    return Sample(device_id, point, ts, value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "node.sqlite"


@pytest.fixture
def buffer(path: Path) -> Iterator[EdgeBuffer]:
    one = EdgeBuffer(path)
    one.append(Tick(births=(device(),)))
    yield one
    one.close()


def test_a_tick_is_a_batch_a_device_numbered_from_one(buffer: EdgeBuffer) -> None:
    buffer.append(Tick(births=(device("e"),)))
    batches = buffer.append(Tick(samples=(sample(1), sample(1, device_id="e"), sample(2)), position="here"))
    assert [(batch.eseq, batch.device_id, [s.ts for s in batch.samples]) for batch in batches] == [(1, "d", [1, 2]), (2, "e", [1])]
    assert buffer.take(1, 9, 9) == batches
    assert buffer.take(1, 9, 1) == batches[:1]
    assert buffer.take(2, 2, 9) == batches[1:]
    assert buffer.position == "here"


@pytest.mark.parametrize("value", [1.5, -3, True, "text", None, float("inf"), 2**53 + 1])
def test_values_come_back_as_they_were(buffer: EdgeBuffer, value: Value | None) -> None:
    buffer.append(Tick(samples=(Sample("d", "t", 5, value, quality=0),)))
    taken = buffer.take(1, 1, 1)[0].samples[0]
    assert taken == Sample("d", "t", 5, value, quality=0)
    assert type(taken.value) is type(value)


def test_many_samples_make_several_batches(buffer: EdgeBuffer) -> None:
    batches = buffer.append(Tick(samples=tuple(sample(ts) for ts in range(MAX_SAMPLES + 1))))
    assert [len(batch.samples) for batch in batches] == [MAX_SAMPLES, 1]


def test_samples_of_a_device_that_was_not_born_are_refused_whole(buffer: EdgeBuffer) -> None:
    with pytest.raises(UnbornDeviceError):
        buffer.append(Tick(samples=(sample(1), sample(1, device_id="x")), position="p"))
    assert (buffer.newest, buffer.position) == (0, None)


def use_bd_seq(buffer: EdgeBuffer) -> int:
    bd_seq = buffer.next_bd_seq
    buffer.use_bd_seq(bd_seq)
    return bd_seq


def test_all_of_it_survives_a_restart(buffer: EdgeBuffer, path: Path) -> None:
    buffer.append(Tick(samples=(sample(1),), position="p"))
    assert [use_bd_seq(buffer) for _ in range(2)] == [0, 1]
    epoch, births = buffer.epoch, buffer.births()
    buffer.close()
    again = EdgeBuffer(path)
    assert (again.epoch, again.newest, again.acknowledged, again.position, again.births()) == (epoch, 1, 0, "p", births)
    assert again.next_bd_seq == 2
    assert again.append(Tick(samples=(sample(2),)))[0].eseq == 2
    again.close()


def test_the_count_of_connections_wraps_after_255(buffer: EdgeBuffer) -> None:
    assert [use_bd_seq(buffer) for _ in range(258)][-3:] == [255, 0, 1]


def test_an_earlier_birth_is_kept_as_long_as_its_batches(buffer: EdgeBuffer) -> None:
    buffer.append(Tick(samples=(sample(1),)))
    buffer.append(Tick(deaths=("d",), births=(device(serial="2"),), samples=(sample(2),)))
    assert [(birth.device.serial, birth.alive) for birth in buffer.births().values()] == [("1", False), ("2", True)]
    assert len({batch.birth_id for batch in buffer.take(1, 2, 2)}) == 2
    buffer.settle(1)
    assert [birth.device.serial for birth in buffer.births().values()] == ["2"]


def test_the_same_birth_told_again_is_no_new_one(buffer: EdgeBuffer) -> None:
    before = buffer.births()
    buffer.append(Tick(births=(device(),)))
    assert buffer.births() == before


def test_a_limit_drops_the_oldest_data_before_any_state_and_says_so(path: Path) -> None:
    buffer = EdgeBuffer(path, max_bytes=64 * 1024)
    buffer.append(Tick(births=(device(),)))
    buffer.append(Tick(samples=(sample(0, 1, point="s"),)))
    for ts in range(1, 200):
        buffer.append(Tick(samples=tuple(sample(ts, float(n)) for n in range(50))))
    stored = [batch.eseq for batch in buffer.take(1, 10**9, 10**9)]
    tombstones = buffer.tombstones()
    assert stored[0] == 1
    assert stored[1:] == list(range(stored[1], 201))
    assert tombstones == [Tombstone(buffer.epoch, 2, stored[1] - 1, "the buffer's limit of 65536 bytes")]
    status = buffer_status(path)
    assert status is not None
    assert status.samples_stored == 1 + 199 * 50
    assert status.samples_dropped == 50 * (stored[1] - 2)
    assert status.waiting_batches == len(stored)
    assert status.waiting_bytes <= 64 * 1024
    buffer.settle(200)
    assert buffer.tombstones() == []
    buffer.close()


def test_what_is_too_old_is_dropped_and_said(path: Path) -> None:
    buffer = EdgeBuffer(path, max_age_s=3600)
    buffer.append(Tick(births=(device(),), samples=(sample(1),)))
    assert buffer.drop_old() == 0
    connection = sqlite3.connect(path)
    connection.execute("update batch set stored_ms = stored_ms - 3700000")
    connection.commit()
    connection.close()
    assert buffer.drop_old() == 1
    assert [(t.first, t.last, t.reason) for t in buffer.tombstones()] == [(1, 1, "older than 1 h")]
    buffer.close()


def test_a_full_disk_drops_the_oldest_and_goes_on(buffer: EdgeBuffer) -> None:
    pages = buffer._connection.execute("pragma page_count").fetchone()[0] + 40
    buffer._connection.execute(f"pragma max_page_count = {pages}")
    for ts in range(200):
        buffer.append(Tick(samples=tuple(sample(ts, float(n)) for n in range(50))))
    assert buffer.newest == 200
    stored = [batch.eseq for batch in buffer.take(1, 200, 200)]
    assert stored == list(range(stored[0], 201))
    assert [(t.first, t.last, t.reason) for t in buffer.tombstones()] == [(1, stored[0] - 1, "disk full")]


@pytest.fixture(params=[2, 4, 8])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A disk of so many megabytes."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    folder = tmp_path / "small disk"
    folder.mkdir()
    if (
        not mount
        or not umount
        or subprocess.run([mount, "-t", "tmpfs", "-o", f"size={request.param}m", "tmpfs", folder], check=False).returncode
    ):
        pytest.skip("mounting a small disk is not allowed here")
    yield folder
    subprocess.run([umount, "--lazy", folder], check=True)


def test_a_really_full_disk_is_survived_and_recovered_from(small_disk: Path) -> None:
    buffer = EdgeBuffer(small_disk / "node.sqlite")
    buffer.append(Tick(births=(device(),)))
    other = small_disk / "other"
    for ts in range(600):
        if ts == 300:  # another program takes half of what is left
            other.write_bytes(bytes(shutil.disk_usage(small_disk).free // 2))
        buffer.append(Tick(samples=tuple(sample(ts, n / 7) for n in range(200))))
    assert buffer.newest == 600
    assert buffer.dropped > 0
    stored = [batch.eseq for batch in buffer.take(1, 600, 600)]
    assert stored == list(range(stored[0], 601))
    assert [(t.first, t.last) for t in buffer.tombstones()] == [(1, stored[0] - 1)]
    other.unlink()
    buffer.settle(600)
    dropped = buffer.dropped
    for ts in range(5):
        buffer.append(Tick(samples=tuple(sample(ts, n / 7) for n in range(200))))
    assert buffer.dropped == dropped
    assert buffer._connection.execute("pragma integrity_check").fetchone() == ("ok",)
    buffer.close()


def test_a_disk_that_refuses_stores_nothing_and_is_tried_again(buffer: EdgeBuffer) -> None:
    buffer._connection.execute("pragma query_only = on")
    with pytest.raises(BufferUnavailableError):
        buffer.append(Tick(samples=(sample(1),)))
    with pytest.raises(BufferUnavailableError):
        buffer.use_bd_seq(0)
    buffer._connection.execute("pragma query_only = off")
    assert buffer.append(Tick(samples=(sample(1),)))[0].eseq == 1


def test_a_file_that_is_no_buffer_is_set_aside(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 1000)
    buffer = EdgeBuffer(path)
    assert (buffer.newest, buffer.position) == (0, None)
    assert [p.read_bytes()[:3] for p in path.parent.glob("*.damaged-*")] == [b"not"]
    buffer.close()


def test_damage_while_it_runs_keeps_devices_and_position(buffer: EdgeBuffer, path: Path) -> None:
    for ts in range(50):
        buffer.append(Tick(samples=tuple(sample(ts, n / 7) for n in range(50)), position=str(ts)))
    buffer._connection.execute("pragma wal_checkpoint(truncate)")
    epoch, size = buffer.epoch, path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    buffer._connection.execute("pragma shrink_memory")
    with pytest.raises(BufferUnavailableError, match="was damaged and has been replaced"):
        for ts in range(100, 200):
            buffer.append(Tick(samples=(sample(ts),), position=str(ts)))
    assert buffer.epoch > epoch
    assert int(buffer.position or 0) >= 49
    assert [birth.device.device_id for birth in buffer.births().values()] == ["d"]
    assert buffer.append(Tick(samples=(sample(999),)))[0].eseq == 1


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BufferUnavailableError, match="cannot be opened"):
        EdgeBuffer(tmp_path / "file" / "node.sqlite")


def test_there_is_no_status_without_a_buffer(path: Path) -> None:
    assert buffer_status(path) is None


class BufferMachine(RuleBasedStateMachine):
    """The buffer against a plain list, through restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "node.sqlite"
        self.buffer = EdgeBuffer(self.path)
        self.epoch = self.buffer.epoch
        self.stored: list[tuple[int, str, tuple[Sample, ...]]] = []
        self.alive: dict[str, str] = {}
        self.newest = self.acknowledged = self.samples = 0

    def teardown(self) -> None:
        self.buffer.close()
        self.folder.cleanup()

    @rule(device_id=st.sampled_from("ab"), serial=st.sampled_from("12"))
    def install(self, device_id: str, serial: str) -> None:
        self.buffer.append(Tick(births=(device(device_id, serial),)))
        self.alive[device_id] = serial

    @rule(device_id=st.sampled_from("ab"))
    def remove(self, device_id: str) -> None:
        self.buffer.append(Tick(deaths=(device_id,)))
        self.alive.pop(device_id, None)

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), values=st.lists(st.floats(allow_nan=False), min_size=1, max_size=3))
    def store(self, data: st.DataObject, values: list[float]) -> None:
        device_id = data.draw(st.sampled_from(sorted(self.alive)))
        samples = tuple(sample(ts, value, device_id) for ts, value in enumerate(values))
        self.buffer.append(Tick(samples=samples, position=str(self.newest)))
        self.newest += 1
        self.samples += len(samples)
        self.stored.append((self.newest, self.alive[device_id], samples))

    @rule(watermark=st.integers(-1, 30))
    def settle(self, watermark: int) -> None:
        self.buffer.settle(watermark)
        self.acknowledged = max(self.acknowledged, min(watermark, self.newest))
        self.stored = [one for one in self.stored if one[0] > self.acknowledged]

    @rule()
    def restart(self) -> None:
        self.buffer.close()
        self.buffer = EdgeBuffer(self.path)

    @invariant()
    def holds_what_it_should(self) -> None:
        births = self.buffer.births()
        held = [(batch.eseq, births[batch.birth_id].device.serial, batch.samples) for batch in self.buffer.take(1, 10**6, 10**6)]
        assert held == self.stored
        assert (self.buffer.epoch, self.buffer.newest, self.buffer.acknowledged) == (self.epoch, self.newest, self.acknowledged)
        assert {birth.device.device_id: birth.device.serial for birth in births.values() if birth.alive} == self.alive
        status = buffer_status(self.path)
        assert status is not None
        assert (status.samples_stored, status.samples_dropped, status.waiting_batches) == (self.samples, 0, len(self.stored))
        assert (status.oldest_waiting_ms is None) == (not self.stored)


TestBufferMachine = BufferMachine.TestCase
TestBufferMachine.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
