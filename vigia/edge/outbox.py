"""What to send next: fresh batches first, then the backlog, never more on the way than the window allows. Pure; time in seconds.

The host acknowledges up to the first number that it misses: until it has what waited when the session began, it acknowledges nothing fresh.
So until then fresh batches take nothing of the window, and go on at the pace of the machines.

One timer decides about sending again, as in TCP: when nothing was acknowledged for the whole time-out, what is on the way longer
than that goes back to the backlog. Fresh batches behind a hole are thus not repeated for ever while the hole is being filled.
"""

from collections import deque
from collections.abc import Iterable
from itertools import takewhile

from vigia.edge.buffer_records import Batch
from vigia.edge.spans import Spans

LIVE_LIMIT = 512
AHEAD_LIMIT = 65_536  # fresh batches on the way that wait for the backlog: hours of most machines


class Outbox:
    """The sending state of one session. `window` bounds the backlog on its way, twice it all batches once what waited is there."""

    def __init__(self, window: int, timeout_s: float) -> None:
        self.window = window
        self.timeout_s = timeout_s
        self.backlog = Spans()
        self.live: deque[Batch] = deque()
        self.resent = 0
        self._old_sent_at: dict[int, float] = {}
        self._live_sent_at: dict[int, float] = {}  # in the order of their numbers
        self._progress_at = 0.0
        self._acknowledged = 0
        self._waited = 0  # the newest number when the session began
        self._open = False

    def begin(self, first: int, last: int, now: float) -> None:
        """A session begins: batches `first` to `last` are stored and not acknowledged, sent before or not."""
        self.backlog.clear()
        self.live.clear()
        self._old_sent_at.clear()
        self._live_sent_at.clear()
        self.backlog.add(first, last)
        self._acknowledged, self._waited = first - 1, last
        self._progress_at = now
        self._open = True

    def end(self) -> None:
        """The session ended; what is offered from now on waits on disk for the next one."""
        self._open = False
        self.live.clear()

    def offer(self, batches: Iterable[Batch]) -> None:
        """These were stored just now."""
        if self._open:
            self.live.extend(batches)
        while len(self.live) > LIVE_LIMIT:
            # The line is slower than the machines: from here on they wait on disk, not in memory.
            oldest = self.live.popleft()
            self.backlog.add(oldest.eseq, oldest.eseq)

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is on the way."""
        return not (self.live or self.backlog or self._old_sent_at or self._live_sent_at)

    @property
    def _ahead(self) -> bool:
        """Whether fresh batches go to a host that cannot acknowledge them yet."""
        return self._acknowledged < self._waited

    @property
    def live_ready(self) -> bool:
        """Whether a fresh batch may be sent now."""
        if self._ahead:
            return bool(self.live) and len(self._live_sent_at) < AHEAD_LIMIT
        return bool(self.live) and len(self._old_sent_at) + len(self._live_sent_at) < 2 * self.window

    def next_live(self) -> Batch | None:
        """The next fresh batch, to be `sent` now, or None."""
        return self.live.popleft() if self.live_ready else None

    def next_backlog(self) -> tuple[int, int, int] | None:
        """First and last number, and how many of them may be sent now; None when nothing waits or the window is full."""
        room = self.window - len(self._old_sent_at) - (0 if self._ahead else len(self._live_sent_at))
        return (*self.backlog.first(), room) if self.backlog and room > 0 else None

    def is_backlog(self, eseq: int) -> bool:
        """Whether this number still waits in the backlog."""
        return eseq in self.backlog

    def sent(self, eseq: int, now: float) -> None:
        """The batch `eseq`, of the backlog or a fresh one, is on the way."""
        (self._old_sent_at if eseq in self.backlog else self._live_sent_at)[eseq] = now

    def skip_to(self, eseq: int) -> None:
        """The backlog up to this number is on the way or no longer stored."""
        self.backlog.discard_to(eseq)

    def acknowledge(self, watermark: int, now: float) -> None:
        """The host has everything up to `watermark`."""
        self._acknowledged = max(self._acknowledged, watermark)
        old = [eseq for eseq in self._old_sent_at if eseq <= watermark]
        live = list(takewhile(lambda eseq: eseq <= watermark, self._live_sent_at))
        for eseq in old:
            del self._old_sent_at[eseq]
        for eseq in live:
            del self._live_sent_at[eseq]
        if old or live:
            self._progress_at = now
        self.backlog.discard_to(watermark)

    def retry(self) -> None:
        """Send again all that is on the way: the host says that it missed something."""
        self._back([*self._old_sent_at, *self._live_sent_at])

    def overdue(self, now: float) -> int:
        """Take back what was sent longer ago than the time-out allows without any acknowledgement; returns how many."""
        if self.deadline() is None or now < (self.deadline() or 0.0):
            return 0
        late = [eseq for sent_at in (self._old_sent_at, self._live_sent_at) for eseq, at in sent_at.items() if now - at >= self.timeout_s]
        self._back(late)
        self._progress_at = now
        return len(late)

    def deadline(self) -> float | None:
        """When `overdue` will have something to do, or None."""
        first = [next(iter(sent_at.values())) for sent_at in (self._old_sent_at, self._live_sent_at) if sent_at]
        return max(self._progress_at, min(first)) + self.timeout_s if first else None

    def _back(self, eseqs: list[int]) -> None:
        for eseq in eseqs:
            (self._old_sent_at if eseq in self._old_sent_at else self._live_sent_at).pop(eseq)
            self.backlog.add(eseq, eseq)
        self.resent += len(eseqs)
