"""Letters of a moment ago: an edge repeats what is not acknowledged, and one letter of it is enough."""

import time
from collections.abc import Iterable
from hashlib import blake2b

from vigia.ingest.config import Limits
from vigia.ingest.events import Letter
from vigia.ingest.sessions import UNKNOWN_NODE

MOST_REMEMBERED = 10_000


class Letters:
    """Remembers what it was shown, by a hash, for as long as `limits` say; the oldest go when there are too many."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._until: dict[bytes, float] = {}

    def fresh(self, letters: Iterable[Letter]) -> list[Letter]:
        """Those that are not the letter of a moment ago again. Of an unregistered sender one by topic is enough, whatever it says."""
        return [letter for letter in letters if self._is_fresh(letter)]

    def _is_fresh(self, letter: Letter) -> bool:
        now = time.monotonic()
        unknown = letter.reason == UNKNOWN_NODE
        said = b"" if unknown else letter.message.payload
        key = blake2b(f"{letter.message.topic}\0{letter.reason}\0".encode("utf-8", "replace") + said, digest_size=16).digest()
        if self._until.get(key, 0.0) > now:
            return False
        self._until.pop(key, None)  # it goes to the end
        while len(self._until) >= MOST_REMEMBERED:
            del self._until[next(iter(self._until))]
        self._until[key] = now + (self._limits.unknown_node_s if unknown else self._limits.same_letter_s)
        return True
