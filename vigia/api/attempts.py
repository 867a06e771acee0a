"""Failed log-ins are counted per login and address, so that guessing is slow while a person who mistypes is not locked out elsewhere."""

from collections import OrderedDict, deque
from collections.abc import Callable
from math import ceil
from time import monotonic

from vigia.api.errors import TooManyAttemptsError

MAX_KEYS = 10_000


class Attempts:
    """Failures of the last `window_s` seconds in this process's memory; at most `limit` a key, the oldest keys forgotten."""

    def __init__(self, limit: int = 5, window_s: float = 900.0, clock: Callable[[], float] = monotonic) -> None:
        self._limit = limit
        self._window_s = window_s
        self._clock = clock
        self._failures: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def check(self, login: str, address: str) -> None:
        """Raise TooManyAttemptsError, with the seconds to wait, if the pair has failed too often."""
        failures = self._failures.get((login, address))
        if failures is None:
            return
        now = self._clock()
        while failures and failures[0] <= now - self._window_s:
            failures.popleft()
        if len(failures) >= self._limit:
            raise TooManyAttemptsError(max(1, ceil(failures[0] + self._window_s - now)))

    def failed(self, login: str, address: str) -> None:
        """Count a failure."""
        key = (login, address)
        self._failures.setdefault(key, deque(maxlen=self._limit)).append(self._clock())
        self._failures.move_to_end(key)
        while len(self._failures) > MAX_KEYS:
            self._failures.popitem(last=False)

    def succeeded(self, login: str, address: str) -> None:
        """Forget the pair's failures."""
        self._failures.pop((login, address), None)
