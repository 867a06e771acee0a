"""The outbox sends everything that is not acknowledged, fresh batches first, and never more than the window allows."""

from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from vigia.edge.buffer_records import Batch
from vigia.edge.outbox import LIVE_LIMIT, Outbox


def batch(eseq: int) -> Batch:
    return Batch(1, eseq, 1, "d", ())


def pump(outbox: Outbox, now: float, limit: int = 32) -> list[int]:
    """Send what may be sent now, as a session does."""
    numbers: list[int] = []
    while (one := outbox.next_live()) is not None:
        outbox.sent(one.eseq, now)
        numbers.append(one.eseq)
    due = outbox.next_backlog()
    if due is not None:
        first, last, room = due
        taken = range(first, min(last, first + min(room, limit) - 1) + 1)
        for eseq in taken:
            outbox.sent(eseq, now)
        outbox.skip_to(taken[-1])
        numbers += taken
    return numbers


def test_fresh_batches_go_before_the_backlog() -> None:
    outbox = Outbox(window=10, timeout_s=5)
    outbox.begin(1, 3, now=0)
    outbox.offer([batch(4), batch(5)])
    assert pump(outbox, 0) == [4, 5, 1, 2, 3]


def test_fresh_batches_go_on_beside_a_backlog_and_take_nothing_of_its_window() -> None:
    outbox = Outbox(window=4, timeout_s=5)
    outbox.begin(1, 100, now=0)
    assert pump(outbox, 0) == [1, 2, 3, 4]
    assert pump(outbox, 0) == []
    outbox.offer(batch(eseq) for eseq in range(101, 121))
    assert pump(outbox, 0) == list(range(101, 121))
    outbox.acknowledge(3, now=1)
    assert pump(outbox, 1) == [5, 6, 7]


def test_a_host_that_has_what_waited_gets_two_windows_at_most() -> None:
    outbox = Outbox(window=4, timeout_s=5)
    outbox.begin(1, 2, now=0)
    pump(outbox, 0)
    outbox.acknowledge(2, now=1)
    outbox.offer(batch(eseq) for eseq in range(3, 23))
    assert pump(outbox, 1) == list(range(3, 11))
    outbox.acknowledge(5, now=1)
    assert pump(outbox, 1) == [11, 12, 13]


def test_nothing_is_repeated_while_acknowledgements_go_on() -> None:
    outbox = Outbox(window=100, timeout_s=5)
    outbox.begin(1, 10, now=0)
    pump(outbox, 0)
    for second in range(1, 10):
        outbox.acknowledge(second, now=float(second))
        assert outbox.overdue(float(second)) == 0
    assert outbox.overdue(13.9) == 0
    assert outbox.overdue(14.0) == 1
    assert pump(outbox, 14) == [10]


def test_what_is_younger_than_the_time_out_is_not_repeated() -> None:
    outbox = Outbox(window=100, timeout_s=5)
    outbox.begin(1, 2, now=0)
    pump(outbox, 0)
    outbox.offer([batch(3)])
    pump(outbox, 4)
    assert outbox.deadline() == 5
    assert outbox.overdue(5) == 2
    assert pump(outbox, 5) == [1, 2]


def test_too_many_fresh_batches_wait_on_disk() -> None:
    outbox = Outbox(window=1, timeout_s=5)
    outbox.begin(1, 0, now=0)
    outbox.offer(batch(eseq) for eseq in range(1, LIVE_LIMIT + 11))
    assert len(outbox.live) == LIVE_LIMIT
    assert list(outbox.backlog) == [(1, 10)]


def test_what_is_offered_between_sessions_waits_on_disk() -> None:
    outbox = Outbox(window=10, timeout_s=5)
    outbox.offer([batch(1)])
    outbox.begin(1, 1, now=0)
    assert pump(outbox, 0) == [1]
    outbox.end()
    outbox.offer([batch(2)])
    outbox.begin(1, 2, now=0)
    assert pump(outbox, 0) == [1, 2]


class LossyLine(RuleBasedStateMachine):
    """A session over a line that loses, towards a host that acknowledges what it has without a hole."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(window=3, timeout_s=5)
        self.newest = 0
        self.now = 0.0
        self.wire: list[int] = []
        self.has: set[int] = set()
        self.outbox.begin(1, 0, self.now)

    @property
    def watermark(self) -> int:
        return next(number for number in range(self.newest + 2) if number + 1 not in self.has)

    @rule()
    def store(self) -> None:
        self.newest += 1
        self.outbox.offer([batch(self.newest)])

    @rule()
    def send(self) -> None:
        self.wire += pump(self.outbox, self.now)

    @precondition(lambda self: self.wire)
    @rule()
    def lose(self) -> None:
        self.wire.pop(0)

    @precondition(lambda self: self.wire)
    @rule()
    def receive(self) -> None:
        self.has.add(self.wire.pop(0))

    @rule()
    def acknowledge(self) -> None:
        self.outbox.acknowledge(self.watermark, self.now)

    @rule()
    def reconnect(self) -> None:
        self.wire.clear()
        self.outbox.end()
        self.outbox.begin(self.watermark + 1, self.newest, self.now)

    @rule()
    def host_missed_something(self) -> None:
        self.outbox.retry()

    @rule()
    def wait(self) -> None:
        self.now += 3
        self.outbox.overdue(self.now)

    def teardown(self) -> None:
        """However it went: once the line is good, the host gets every number and the outbox empties."""
        for _ in range(4 * self.newest + 20):
            self.send()
            self.has |= set(self.wire)
            self.wire.clear()
            self.acknowledge()
            self.wait()
        assert self.has == set(range(1, self.newest + 1))
        assert self.outbox.idle
        assert self.outbox.deadline() is None


TestLossyLine = LossyLine.TestCase
