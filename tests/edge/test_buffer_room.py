"""When room is short the oldest and least important goes first, and nothing goes without a word."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from buffer_harness import device, fill, noise, sample, small_disk, sound

from vigia.edge import buffer as module
from vigia.edge.buffer import BufferUnavailableError, EdgeBuffer, buffer_status
from vigia.edge.buffer_records import Tombstone
from vigia.edge.samples import Tick

LIMIT = 128 * 1024


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "node.sqlite"


@pytest.fixture
def buffer(path: Path) -> Iterator[EdgeBuffer]:
    one = EdgeBuffer(path, max_bytes=LIMIT)
    one.append(Tick(births=(device(), device("e"))))
    yield one
    one.close()


def stored(buffer: EdgeBuffer) -> list[int]:
    return [batch.eseq for batch in buffer.take(1, 10**9, 10**9)]


def buried(buffer: EdgeBuffer) -> list[int]:
    return [number for one in buffer.tombstones() for number in range(one.first, one.last + 1)]


def state(ts: int, value: int, quality: int = 192) -> Tick:
    one = sample(ts, value, point="s")
    return Tick(samples=(type(one)("d", "s", ts, value, quality),))


def test_a_limit_drops_the_oldest_data_before_any_news_and_says_so(buffer: EdgeBuffer, path: Path) -> None:
    buffer.append(state(0, 1))
    for ts in range(1, 400):
        buffer.append(noise(ts))
    held = stored(buffer)
    assert held[0] == 1
    assert held[1:] == list(range(held[1], 401))
    assert buffer.tombstones() == [Tombstone(buffer.epoch, 2, held[1] - 1, f"the buffer's limit of {LIMIT} bytes")]
    status = buffer_status(path)
    assert status is not None
    assert (status.samples_stored, status.samples_dropped) == (1 + 399 * 50, 50 * (held[1] - 2))
    assert status.waiting_batches == len(held)
    assert 0.7 * LIMIT < status.used_bytes <= LIMIT
    assert path.stat().st_size <= LIMIT * 1.1
    buffer.settle(400)
    assert buffer.tombstones() == []


def test_what_changes_is_news_and_what_repeats_is_not(buffer: EdgeBuffer) -> None:
    news = []
    for ts in range(400):
        *_, told = buffer.append(noise(ts), state(ts, value=ts // 100, quality=192 if ts < 350 else 0))
        news += [told.eseq] if ts % 100 == 0 or ts == 350 else []
    held = stored(buffer)
    assert buffer.dropped > 0
    assert set(news) < set(held)
    others = sorted(set(held) - set(news))
    assert others == [number for number in range(others[0], buffer.newest + 1) if number not in news]
    assert sorted(held + buried(buffer)) == list(range(1, buffer.newest + 1))


def test_news_that_could_not_be_stored_is_news_when_it_can_and_nothing_else_is(buffer: EdgeBuffer) -> None:
    assert buffer._connection is not None
    buffer.append(state(0, 1))
    buffer._connection.execute("pragma query_only = on")
    for value in (1, 0):
        with pytest.raises(BufferUnavailableError):
            buffer.append(state(1, value))
    buffer._connection.execute("pragma query_only = off")
    buffer.append(state(1, 1))
    news = buffer.append(state(2, 0))[0].eseq
    for ts in range(300):
        buffer.append(noise(ts))
    held = stored(buffer)
    assert held[:2] == [1, news]
    assert held[2:] == list(range(held[2], buffer.newest + 1))


def test_when_only_news_is_left_the_oldest_of_it_goes(buffer: EdgeBuffer) -> None:
    for ts in range(400):
        buffer.append(Tick(samples=(*state(ts, ts % 2).samples, *noise(ts).samples)))
    held = stored(buffer)
    assert held == list(range(held[0], 401))
    assert held[0] > 1
    assert buried(buffer) == list(range(1, held[0]))


def test_drops_for_one_reason_share_a_tombstone_and_others_do_not(buffer: EdgeBuffer) -> None:
    for ts in range(4):
        buffer.append(state(ts, ts))
        buffer.append(noise(ts))
    with buffer._transaction() as (connection, counters):
        module.drop(connection, [2, 4, 6], "a", counters)
        module.drop(connection, [5], "b", counters)
        module.drop(connection, [3], "a", counters)
    assert [(one.first, one.last, one.reason) for one in buffer.tombstones()] == [(2, 4, "a"), (5, 5, "b"), (6, 6, "a")]
    assert stored(buffer) == [1, 7, 8]
    assert buffer.dropped == 3 * 50 + 2 * 1


def test_a_tick_larger_than_the_limit_is_answered_and_the_next_ones_fit(path: Path) -> None:
    buffer = EdgeBuffer(path, max_bytes=64 * 1024)
    buffer.append(Tick(births=(device(),)))
    made = buffer.append(noise(0, 20_000))
    assert stored(buffer) == [batch.eseq for batch in made]
    (batch,) = buffer.append(noise(1))
    assert stored(buffer)[-1] == batch.eseq
    assert len(stored(buffer)) < len(made) / 2
    assert sorted(stored(buffer) + buried(buffer)) == list(range(1, batch.eseq + 1))
    buffer.close()


def test_what_is_too_old_is_dropped_and_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    buffer = EdgeBuffer(path, max_age_s=3600)
    buffer.append(Tick(births=(device(),), samples=(sample(1),)))
    clock[0] += 3000
    buffer.append(Tick(samples=(sample(2),)))
    assert buffer.drop_old() == 0
    buffer.close()
    clock[0] = 0.0  # another start of the machine
    buffer = EdgeBuffer(path, max_age_s=3600)
    clock[0] += 700
    assert buffer.drop_old() == 1
    assert [(t.first, t.last, t.reason) for t in buffer.tombstones()] == [(1, 1, "older than 1 h")]
    assert stored(buffer) == [2]
    buffer.close()


def test_a_clock_that_jumps_makes_nothing_old(buffer: EdgeBuffer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "now_ms", lambda: 0)
    buffer.append(Tick(samples=(sample(1),)))
    monkeypatch.undo()
    buffer.append(Tick(samples=(sample(2),)))
    assert buffer.drop_old() == 0


# ── full disks ──


def test_a_full_disk_drops_the_oldest_and_goes_on(path: Path) -> None:
    buffer = EdgeBuffer(path)
    buffer.append(Tick(births=(device(),)))
    assert buffer._connection is not None
    pages = buffer._connection.execute("pragma page_count").fetchone()[0] + 40
    buffer._connection.execute(f"pragma max_page_count = {pages}")
    for ts in range(400):
        buffer.append(noise(ts))
    assert buffer.newest == 400
    held = stored(buffer)
    assert held == list(range(held[0], 401))
    assert [(t.first, t.last, t.reason) for t in buffer.tombstones()] == [(1, held[0] - 1, "disk full")]
    buffer.close()


@pytest.fixture(params=["2m", "4m", "8m"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A disk of so many megabytes."""
    folder = tmp_path / "small disk"
    with small_disk(folder, request.param) as refused:
        if refused:
            pytest.skip(f"NOT RUN WITH A FULL DISK: a tmpfs cannot be mounted ({refused}); run as root")
        yield folder


def test_a_really_full_disk_is_survived_and_recovered_from(disk: Path) -> None:
    buffer = EdgeBuffer(disk / "node.sqlite")
    buffer.append(Tick(births=(device(),)))
    buffer.append(state(0, 1))
    other = disk / "other"
    count = shutil.disk_usage(disk).total >> 11
    for ts in range(1, count):
        if ts == 300:  # another program takes half of what is left
            other.write_bytes(bytes(shutil.disk_usage(disk).free // 2))
        buffer.append(noise(ts, 100))
    held = stored(buffer)
    assert buffer.newest == count
    assert len(held) > count / 4
    assert held[0] == 1
    assert held[1:] == list(range(held[1], count + 1))
    assert buried(buffer) == list(range(2, held[1]))
    other.unlink()
    buffer.settle(count)
    dropped = buffer.dropped
    for ts in range(5):
        buffer.append(noise(ts, 100))
    assert buffer.dropped == dropped
    assert sound(disk / "node.sqlite")
    buffer.close()


def test_a_disk_that_others_fill_to_the_last_byte_is_survived(disk: Path) -> None:
    buffer = EdgeBuffer(disk / "node.sqlite")
    buffer.append(Tick(births=(device(),)))
    for ts in range(100):
        buffer.append(noise(ts))
    refused = 0
    for ts in range(100, 1000):
        other = fill(disk)
        try:
            buffer.append(noise(ts))
        except BufferUnavailableError:
            refused += 1
    assert refused < 9
    other.unlink()
    buffer.append(noise(1000))
    held = stored(buffer)
    assert buffer.newest == 1001 - refused
    assert sorted(held + buried(buffer)) == list(range(1, buffer.newest + 1))
    assert buffer.position is None
    assert sound(disk / "node.sqlite")
    buffer.settle(buffer.newest)
    assert (stored(buffer), buried(buffer)) == ([], [])
    buffer.close()


def test_a_full_disk_keeps_nothing_from_being_acknowledged(disk: Path) -> None:
    buffer = EdgeBuffer(disk / "node.sqlite")
    buffer.append(Tick(births=(device(),)))
    for ts in range(1000):
        buffer.append(noise(ts))
    fill(disk)
    buffer.settle(buffer.newest)
    assert (buffer.acknowledged, stored(buffer)) == (1000, [])
    assert buffer.append(noise(1000))
    buffer.close()


def test_a_gateway_that_starts_on_a_full_disk_uses_its_reserve(disk: Path) -> None:
    buffer = EdgeBuffer(disk / "node.sqlite")
    buffer.append(Tick(births=(device(),)))
    for ts in range(100):
        buffer.append(noise(ts))
    buffer.close()
    fill(disk)
    again = EdgeBuffer(disk / "node.sqlite")
    for ts in range(100, 200):
        again.append(noise(ts))
    assert sorted(stored(again) + buried(again)) == list(range(1, 201))
    again.settle(200)
    again.close()


def test_a_disk_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    with small_disk(folder, "2m,ro") as refused:
        if refused:
            pytest.skip(f"NOT RUN WITH A READ-ONLY DISK: a tmpfs cannot be mounted ({refused}); run as root")
        assert os.statvfs(folder).f_flag & os.ST_RDONLY
        with pytest.raises(BufferUnavailableError, match="choose a folder that can be written"):
            EdgeBuffer(folder / "node.sqlite")
