"""What to send next: fresh batches first, then the backlog, never more on the way than the window allows. Pure; time in seconds.

One timer decides about sending again, as in TCP: when nothing was acknowledged for the whole time-out, what is on the way longer
than that goes back to the backlog. Fresh batches behind a hole are thus not repeated for ever while the hole is being filled.
"""

from collections import deque
from collections.abc import Iterable

from vigia.edge.buffer_records import Batch
from vigia.edge.spans import Spans

LIVE_LIMIT = 512


class Outbox:
    """The sending state of one session. `window` bounds the backlog's batches on the way, twice it all of them."""

    def __init__(self, window: int, timeout_s: float) -> None:
        self.window = window
        self.timeout_s = timeout_s
        self.backlog = Spans()
        self.live: deque[Batch] = deque()
        self.resent = 0
        self._sent_at: dict[int, float] = {}
        self._progress_at = 0.0
        self._open = False

    def begin(self, first: int, last: int, now: float) -> None:
        """A session begins: batches `first` to `last` are stored and not acknowledged, sent before or not."""
        self.backlog.clear()
        self.live.clear()
        self._sent_at.clear()
        self.backlog.add(first, last)
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
        return not self.live and not self.backlog and not self._sent_at

    @property
    def live_ready(self) -> bool:
        """Whether a fresh batch may be sent now."""
        return bool(self.live) and len(self._sent_at) < 2 * self.window

    def next_live(self) -> Batch | None:
        """The next fresh batch to send now, or None."""
        return self.live.popleft() if self.live_ready else None

    def next_backlog(self) -> tuple[int, int, int] | None:
        """First and last number, and how many of them may be sent now; None when nothing waits or the window is full."""
        room = self.window - len(self._sent_at)
        return (*self.backlog.first(), room) if self.backlog and room > 0 else None

    def is_backlog(self, eseq: int) -> bool:
        """Whether this number still waits in the backlog."""
        return eseq in self.backlog

    def sent(self, eseq: int, now: float) -> None:
        """The batch `eseq` is on the way."""
        self._sent_at[eseq] = now

    def skip_to(self, eseq: int) -> None:
        """The backlog up to this number is on the way or no longer stored."""
        self.backlog.discard_to(eseq)

    def acknowledge(self, watermark: int, now: float) -> None:
        """The host has everything up to `watermark`."""
        done = [eseq for eseq in self._sent_at if eseq <= watermark]
        for eseq in done:
            del self._sent_at[eseq]
        if done:
            self._progress_at = now
        self.backlog.discard_to(watermark)

    def retry(self) -> None:
        """Send again all that is on the way: the host says that it missed something."""
        self._back(list(self._sent_at))

    def overdue(self, now: float) -> int:
        """Take back what was sent longer ago than the time-out allows without any acknowledgement; returns how many."""
        if self.deadline() is None or now < (self.deadline() or 0.0):
            return 0
        late = [eseq for eseq, at in self._sent_at.items() if now - at >= self.timeout_s]
        self._back(late)
        self._progress_at = now
        return len(late)

    def deadline(self) -> float | None:
        """When `overdue` will have something to do, or None."""
        if not self._sent_at:
            return None
        return max(self._progress_at, next(iter(self._sent_at.values()))) + self.timeout_s

    def _back(self, eseqs: list[int]) -> None:
        for eseq in eseqs:
            self.backlog.add(eseq, eseq)
            del self._sent_at[eseq]
        self.resent += len(eseqs)
