"""Power cuts and kills at any moment: what was stored is stored, what was not is not, and every number is accounted for."""

import random
import shutil
import sqlite3
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from buffer_harness import device, sample
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from lossy_disk import lossy_disk

from vigia.edge import buffer_disk
from vigia.edge.buffer import BufferUnavailableError, EdgeBuffer
from vigia.edge.samples import Sample, Tick

LIMIT = 80 * 1024
MOST_WRITES = 60  # more than a transaction does

NAMES = "ab"
Held = dict[int, tuple[str, tuple[Sample, ...]]]


@pytest.fixture(autouse=True)
def _a_small_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is copied at each power cut."""
    monkeypatch.setattr(buffer_disk, "RESERVE_BYTES", 4096)


@pytest.mark.parametrize(("mode", "survives"), [("normal", False), ("full", True)])
def test_the_lossy_disk_forgets_what_was_not_flushed(tmp_path: Path, mode: str, *, survives: bool) -> None:
    folder = tmp_path / "before"
    folder.mkdir()
    with lossy_disk(folder) as disk:
        connection = sqlite3.connect(folder / "f.sqlite", isolation_level=None)
        connection.execute("pragma journal_mode = wal")
        connection.execute(f"pragma synchronous = {mode}")
        connection.execute("create table t (n)")
        connection.execute("pragma wal_checkpoint(truncate)")
        connection.execute("insert into t values (1)")
        for seed in range(20):
            disk.power_cut(tmp_path / str(seed), seed)
        connection.close()
    found = []
    for seed in range(20):
        connection = sqlite3.connect(tmp_path / str(seed) / "f.sqlite")
        found.append(connection.execute("select count(*) from t").fetchone()[0])
        connection.close()
    assert (min(found) == 1) is survives


@dataclass(frozen=True)
class View:
    """What a buffer says of itself."""

    epoch: int
    newest: int
    acknowledged: int
    position: str | None
    bd_seq: int
    dropped: int
    alive: dict[str, str]
    held: Held
    buried: frozenset[int]

    @classmethod
    def of(cls, buffer: EdgeBuffer) -> "View":
        births = buffer.births()
        batches = buffer.take(1, 10**9, 10**9)
        return cls(
            buffer.epoch,
            buffer.newest,
            buffer.acknowledged,
            buffer.position,
            buffer.next_bd_seq,
            buffer.dropped,
            {birth.device.device_id: birth.device.serial for birth in births.values() if birth.alive},
            {batch.eseq: (births[batch.birth_id].device.serial, batch.samples) for batch in batches},
            frozenset(number for one in buffer.tombstones() for number in range(one.first, one.last + 1)),
        )

    def accounts_for_all(self) -> bool:
        """Each number that the host has not acknowledged is held or buried, and none is both."""
        waiting = set(range(self.acknowledged + 1, self.newest + 1))
        return set(self.held) | self.buried == waiting and not set(self.held) & self.buried


class PowerMachine(RuleBasedStateMachine):
    """A buffer on a disk that loses what was not flushed. `now` is what it last said, and what it must say after a power cut."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.lives = 0
        self.told = 0
        self.exits = ExitStack()
        self.folder = self.root / "0"
        self.folder.mkdir()
        self.news: set[int] = set()

    @initialize()
    def begin(self) -> None:
        self.open()
        self.now = View.of(self.buffer)

    def open(self) -> None:
        self.disk = self.exits.enter_context(lossy_disk(self.folder))
        self.buffer = EdgeBuffer(self.folder / "node.sqlite", LIMIT)
        self.exits.callback(self.buffer.close)
        assert self.buffer._connection is not None
        assert self.buffer._connection.execute("pragma integrity_check").fetchone() == ("ok",)

    def teardown(self) -> None:
        self.exits.close()
        shutil.rmtree(self.root)

    # ── what a gateway does ──

    def ticks(self, seed: int) -> list[Tick]:
        """One to three ticks: machines come and go, say up to 400 numbers, and now and then another state."""
        rng = random.Random(seed)  # noqa: S311 - no secrets
        alive = set(self.now.alive)
        made = []
        for _ in range(rng.randint(1, 3)):
            deaths = tuple(name for name in sorted(alive) if rng.random() < 0.1)
            births = tuple(device(name, rng.choice("12")) for name in NAMES if rng.random() < 0.2)
            alive = (alive - set(deaths)) | {one.device_id for one in births}
            self.told += 1
            samples = [
                sample(self.told, rng.random() if point == "t" else self.told, name, point)
                for name in sorted(alive)
                for point, count in (("t", rng.choice((0, 1, 20, 400))), ("s", rng.choice((0, 0, 0, 1))))
                for _ in range(count)
            ]
            made.append(Tick(tuple(samples), births, deaths, str(self.told) if rng.random() < 0.9 else None))
        return made

    def appended(self, before: View, after: View) -> None:
        new = range(before.newest + 1, after.newest + 1)
        self.news |= {number for number in new if any(one.point == "s" for one in after.held.get(number, ("", ()))[1])}
        gone = (set(before.held) | set(new)) - set(after.held)
        assert (after.epoch, after.acknowledged, after.bd_seq) == (before.epoch, before.acknowledged, before.bd_seq)
        assert all(after.held[number] == before.held[number] for number in before.held if number in after.held)
        assert after.buried == before.buried | gone
        for group in (set(before.held) & self.news, set(before.held) - self.news):
            assert gone & group == set(sorted(group)[: len(gone & group)]), "of the least important the oldest goes first"
        assert not gone & self.news or not (set(before.held) - self.news - gone), "what is not news goes first"

    def settled(self, before: View, after: View, watermark: int) -> None:
        assert before.acknowledged <= after.acknowledged <= max(before.acknowledged, watermark)
        assert after.held == {number: batch for number, batch in before.held.items() if number > after.acknowledged}
        assert after.buried >= {number for number in before.buried if number > after.acknowledged}
        assert (after.epoch, after.newest, after.position, after.alive) == (before.epoch, before.newest, before.position, before.alive)

    @rule(seed=st.integers(0, 10**6))
    def append(self, seed: int) -> None:
        before = self.now
        ticks = self.ticks(seed)
        batches = self.buffer.append(*ticks)
        self.now = View.of(self.buffer)
        assert [batch.eseq for batch in batches] == list(range(before.newest + 1, self.now.newest + 1))
        assert [one for batch in batches for one in batch.samples] == [
            one for tick in ticks for one in sorted(tick.samples, key=lambda one: one.device)
        ]
        self.appended(before, self.now)

    @precondition(lambda self: self.now.newest > self.now.acknowledged)
    @rule(share=st.floats(0, 1))
    def settle(self, share: float) -> None:
        before, watermark = self.now, self.watermark(share)
        self.buffer.settle(watermark)
        self.now = View.of(self.buffer)
        assert self.now.acknowledged == watermark
        self.settled(before, self.now, watermark)

    def watermark(self, share: float) -> int:
        """Not amid a tombstone: the host takes each whole."""
        reached = self.now.acknowledged + round(share * (self.now.newest - self.now.acknowledged))
        return min([one.first - 1 for one in self.buffer.tombstones() if one.first <= reached < one.last], default=reached)

    @rule()
    def connect(self) -> None:
        self.buffer.use_bd_seq(self.now.bd_seq)
        self.now = View.of(self.buffer)

    # ── what happens to it ──

    @rule(seed=st.integers(0, 10**6))
    def power_cut(self, seed: int) -> None:
        self.come_back(seed)
        assert View.of(self.buffer) == self.now

    @rule()
    def kill(self) -> None:
        self.come_back(None)
        assert View.of(self.buffer) == self.now

    @rule(seed=st.integers(0, 10**6), writes=st.integers(1, MOST_WRITES))
    def power_cut_while_storing(self, seed: int, writes: int) -> None:
        ticks = self.ticks(seed)
        self.disk.cut_after = writes
        stored = self.unless_cut(lambda: self.buffer.append(*ticks))
        self.come_back(seed)
        found = View.of(self.buffer)
        if stored or found != self.now:
            self.appended(self.now, found)
        self.now = found

    @precondition(lambda self: self.now.newest > self.now.acknowledged)
    @rule(seed=st.integers(0, 10**6), writes=st.integers(1, MOST_WRITES), share=st.floats(0, 1))
    def power_cut_while_settling(self, seed: int, writes: int, share: float) -> None:
        watermark = self.watermark(share)
        self.disk.cut_after = writes
        done = self.unless_cut(lambda: self.buffer.settle(watermark))
        self.come_back(seed)
        found = View.of(self.buffer)
        assert not done or found.acknowledged == watermark
        self.settled(self.now, found, watermark)
        self.now = found

    @rule(seed=st.integers(0, 10**6), writes=st.integers(1, MOST_WRITES))
    def power_cut_while_coming_back(self, seed: int, writes: int) -> None:
        self.leave(seed)
        self.disk = self.exits.enter_context(lossy_disk(self.folder))
        self.disk.cut_after = writes
        self.unless_cut(lambda: EdgeBuffer(self.folder / "node.sqlite", LIMIT).close())
        self.leave(seed)
        self.open()
        assert View.of(self.buffer) == self.now

    def unless_cut(self, do: object) -> bool:
        """Whether it was done before the power went."""
        assert callable(do)
        try:
            do()
        except BufferUnavailableError:
            assert self.disk.is_off
            return False
        return True

    def come_back(self, seed: int | None) -> None:
        self.leave(seed)
        self.open()

    def leave(self, seed: int | None) -> None:
        """The power goes, or without a seed only the process; the folder is then what is left."""
        self.lives += 1
        left = self.root / str(self.lives)
        if seed is None:
            self.disk.kill(left)
        else:
            self.disk.power_cut(left, seed)
        self.disk.cut_after = 0
        self.exits.close()
        shutil.rmtree(self.folder)
        self.folder = left

    @invariant()
    def accounts_for_all(self) -> None:
        if hasattr(self, "now"):
            assert self.now.accounts_for_all()


TestPowerMachine = PowerMachine.TestCase
TestPowerMachine.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)


@pytest.mark.slow
@pytest.mark.timeout(900)
class TestPowerMachineAtLength(PowerMachine.TestCase):  # type: ignore[name-defined]  # hypothesis makes it
    settings = settings(max_examples=300, stateful_step_count=50, deadline=None)
