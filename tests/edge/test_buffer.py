"""The buffer keeps every batch until it is settled, under one number, through restarts and damage."""

import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from buffer_harness import device, noise, sample
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vigia.edge.buffer import BufferUnavailableError, EdgeBuffer, UnbornDeviceError, buffer_status
from vigia.edge.buffer_records import MAX_SAMPLES, Tombstone
from vigia.edge.samples import Sample, Tick, Value


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


def test_ticks_stored_together_are_what_they_are_one_by_one(buffer: EdgeBuffer) -> None:
    ticks = [
        Tick(samples=(sample(1),), position="1"),
        Tick(deaths=("d",), births=(device(serial="2"),)),
        Tick(samples=(sample(2),), position="2"),
        Tick(samples=(sample(3),)),
    ]
    batches = buffer.append(*ticks)
    assert [(batch.eseq, batch.samples[0].ts) for batch in batches] == [(1, 1), (2, 2), (3, 3)]
    assert [buffer.births()[batch.birth_id].device.serial for batch in batches] == ["1", "2", "2"]
    assert buffer.position == "2"


@pytest.mark.parametrize("value", [1.5, -3, True, "text", None, float("inf"), 2**53 + 1])
def test_values_come_back_as_they_were(buffer: EdgeBuffer, value: Value | None) -> None:
    buffer.append(Tick(samples=(Sample("d", "t", 5, value, quality=0, received=7),)))
    taken = buffer.take(1, 1, 1)[0].samples[0]
    assert taken == Sample("d", "t", 5, value, quality=0, received=7)
    assert type(taken.value) is type(value)


def test_many_samples_make_several_batches(buffer: EdgeBuffer) -> None:
    batches = buffer.append(Tick(samples=tuple(sample(ts) for ts in range(MAX_SAMPLES + 1))))
    assert [len(batch.samples) for batch in batches] == [MAX_SAMPLES, 1]


@pytest.mark.parametrize("stranger", [sample(1, device_id="x"), sample(1, point="x")])
def test_samples_of_what_was_not_announced_are_refused_whole(buffer: EdgeBuffer, stranger: Sample) -> None:
    with pytest.raises(UnbornDeviceError, match="'x'"):
        buffer.append(Tick(samples=(sample(1), stranger), position="p"))
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


def test_a_second_gateway_is_kept_away(buffer: EdgeBuffer, path: Path) -> None:
    with pytest.raises(BufferUnavailableError, match="another gateway uses the buffer"):
        EdgeBuffer(path)
    buffer.close()
    EdgeBuffer(path).close()


def test_whoever_comes_after_the_end_changes_nothing(buffer: EdgeBuffer, path: Path) -> None:
    buffer.append(Tick(samples=(sample(1),)))
    buffer.close()
    late = [lambda: buffer.settle(1), lambda: buffer.append(Tick(samples=(sample(2),))), buffer.drop_old, lambda: buffer.take(1, 1, 1)]
    for do in late:
        with pytest.raises(BufferUnavailableError, match="is closed"):
            do()
    again = EdgeBuffer(path)
    assert [batch.eseq for batch in again.take(1, 9, 9)] == [1]
    assert list(path.parent.glob("*.damaged-*")) == []
    again.close()


def test_several_threads_may_use_it(buffer: EdgeBuffer) -> None:
    def store(first: int) -> None:
        for ts in range(first, first + 20):
            buffer.append(Tick(samples=(sample(ts),)))

    threads = [threading.Thread(target=store, args=(first,)) for first in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for number in range(1, 40):
        buffer.settle(number)
        buffer.take(1, 100, 10)
    for thread in threads:
        thread.join()
    assert buffer.newest == 60
    assert [batch.eseq for batch in buffer.take(1, 100, 100)] == list(range(buffer.acknowledged + 1, 61))


# ── a disk that refuses, a file that is damaged ──


def test_a_disk_that_refuses_stores_nothing_and_is_tried_again(buffer: EdgeBuffer) -> None:
    assert buffer._connection is not None
    buffer._connection.execute("pragma query_only = on")
    with pytest.raises(BufferUnavailableError):
        buffer.append(Tick(samples=(sample(1),)))
    buffer._connection.execute("pragma query_only = off")
    assert buffer.append(Tick(samples=(sample(1),)))[0].eseq == 1


def test_a_disk_that_refuses_keeps_nobody_from_connecting(buffer: EdgeBuffer, path: Path) -> None:
    assert buffer._connection is not None
    buffer._connection.execute("pragma query_only = on")
    assert [use_bd_seq(buffer) for _ in range(2)] == [0, 1]
    buffer._connection.execute("pragma query_only = off")
    buffer.append(Tick(samples=(sample(1),)))
    buffer.close()
    again = EdgeBuffer(path)
    assert again.next_bd_seq == 2
    again.close()


def test_a_file_that_is_no_buffer_is_set_aside(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 1000)
    buffer = EdgeBuffer(path)
    assert (buffer.newest, buffer.position) == (0, None)
    assert [p.read_bytes()[:3] for p in path.parent.glob("*.damaged-*")] == [b"not"]
    buffer.close()


def damage(path: Path, first_byte: int, last_byte: int | None = None) -> None:
    with path.open("r+b") as file:
        file.seek(first_byte)
        file.write(b"\xff" * ((last_byte or path.stat().st_size) - first_byte))


def test_damage_while_it_runs_keeps_devices_and_position_and_says_what_is_lost(buffer: EdgeBuffer, path: Path) -> None:
    for ts in range(50):
        buffer.append(Tick(samples=noise(ts).samples, position=str(ts)))
    buffer.settle(7)
    assert buffer._connection is not None
    buffer._connection.execute("pragma wal_checkpoint(truncate)")
    epoch = buffer.epoch
    damage(path, 4096)
    buffer._connection.execute("pragma shrink_memory")
    with pytest.raises(BufferUnavailableError, match="was damaged and has been replaced"):
        for ts in range(100, 200):
            buffer.append(Tick(samples=(sample(ts),), position=str(ts)))
    (lost,) = buffer.tombstones()
    (aside,) = path.parent.glob("*.damaged-*")
    assert buffer.epoch > epoch
    assert int(buffer.position or 0) >= 49
    assert (lost.epoch, lost.first, lost.reason) == (epoch, 8, f"the buffer was damaged; set aside as {aside.name}")
    assert lost.last >= 50
    assert [birth.device.device_id for birth in buffer.births().values()] == ["d"]
    assert buffer.append(Tick(samples=(sample(999),)))[0].eseq == 1
    status = buffer_status(path)
    assert status is not None
    assert status.set_aside == (aside.name,)
    buffer.settle(1)
    assert buffer.tombstones() == [lost]
    buffer.append(Tick(samples=(sample(1000),)))
    buffer.settle(lost.last - 1, epoch)
    assert buffer.tombstones() == [lost]
    buffer.settle(lost.last, epoch)
    assert buffer.tombstones() == []
    assert [batch.eseq for batch in buffer.take(1, 9, 9)] == [2], "what was acknowledged of one epoch is another's business"


def test_a_batch_whose_bytes_rotted_is_dropped_and_said_and_the_others_stay(buffer: EdgeBuffer, path: Path) -> None:
    for ts in range(3):
        buffer.append(noise(ts))
    connection = sqlite3.connect(path)
    body = bytearray(connection.execute("select body from batch where eseq = 2").fetchone()[0])
    body[len(body) // 2] ^= 1
    connection.execute("update batch set body = ? where eseq = 2", (body,))
    connection.commit()
    connection.close()
    assert [batch.eseq for batch in buffer.take(1, 9, 9)] == [1, 3]
    assert buffer.tombstones() == [Tombstone(buffer.epoch, 2, 2, "damaged on disk")]
    assert [batch.eseq for batch in buffer.take(1, 9, 9)] == [1, 3]


@pytest.mark.parametrize("change", ["update state set newest = 1", "drop table birth", "update birth set definition = 'x'"])
def test_a_file_that_contradicts_itself_is_set_aside(buffer: EdgeBuffer, path: Path, change: str) -> None:
    for ts in range(3):
        buffer.append(Tick(samples=(sample(ts),)))
    epoch = buffer.epoch
    buffer.close()
    connection = sqlite3.connect(path)
    connection.execute(change)
    connection.commit()
    connection.close()
    again = EdgeBuffer(path)
    assert (again.epoch > epoch, again.newest) == (True, 0)
    assert len(list(path.parent.glob("*.damaged-*"))) == 1
    again.close()


def test_a_disk_that_damages_again_and_again_is_not_filled_with_what_was_set_aside(path: Path) -> None:
    for number in range(5):
        path.write_bytes(f"{number} is no database".encode() * 1000)
        EdgeBuffer(path).close()
        path.unlink()
    assert [one.read_bytes()[:1] for one in sorted(path.parent.glob("*.damaged-*"))] == [b"3", b"4"]


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
TestBufferMachine.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
