"""What time it is, here and at the machines: whose clock is more than a minute wrong is found out, said and allowed for.

The host's clock decides. Its word comes with each acknowledgement.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import structlog

from vigia.edge.samples import Sample
from vigia.sparkplug.names import QUALITY_GOOD

log = structlog.get_logger()

MOST_SKEW_MS = 60_000
AGREE_MS = 5_000  # two words of the host: one alone may have been long on its way
SLOWEST_MS = 30_000  # no fresh reading is longer on its way; a clock that seems to go back further was set back
FOLLOW = 16
_MS = 1_000_000


class Clock:
    """The gateway's time. It is the system's until the host is heard; from then on a steady clock keeps what the two agree on.

    When the system's is more than a minute from the host's, the host is right. A system clock that jumps is believed when the host
    agrees.
    """

    def __init__(self, system_ns: Callable[[], int], steady_ns: Callable[[], int]) -> None:
        self._system_ns = system_ns
        self._steady_ns = steady_ns
        self._ahead_of_steady_ms: int | None = None
        self._heard_ms = 0
        self._is_right = True

    @property
    def is_sure(self) -> bool:
        """Whether the host has been heard."""
        return self._ahead_of_steady_ms is not None

    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC."""
        if self._ahead_of_steady_ms is None:
            return self._system_ns() // _MS
        return self._ahead_of_steady_ms + self._steady_ns() // _MS

    def hear(self, host_ms: int) -> None:
        """The host said just now that it is `host_ms`."""
        steady_ms, system_ms = self._steady_ns() // _MS, self._system_ns() // _MS
        agreed = abs(host_ms - steady_ms - self._heard_ms) <= AGREE_MS
        self._heard_ms = host_ms - steady_ms
        is_right = abs(host_ms - system_ms) <= MOST_SKEW_MS
        if is_right or agreed:
            self._ahead_of_steady_ms = (system_ms if is_right else host_ms) - steady_ms
            if is_right != self._is_right:
                self._is_right = is_right
                tell = log.info if is_right else log.warning
                tell(
                    "the gateway's clock is right again" if is_right else "the gateway's clock is wrong",
                    behind_s=(host_ms - system_ms) / 1000,
                )


clock = Clock(time.time_ns, time.monotonic_ns)
now_ms = clock.now_ms


class MachineClocks:
    """The clocks of a node's machines, by device. Only a gateway that `is_sure` of its own time corrects others."""

    def __init__(self, node: str, is_sure: Callable[[], bool]) -> None:
        self._log = log.bind(node=node)
        self._is_sure = is_sure
        self._behind_ms: dict[str, int] = {}
        self._wrong: set[str] = set()

    @property
    def worst_ms(self) -> int | None:
        """How far the clock that is furthest off is behind the gateway's; None before the first reading that tells."""
        return max(self._behind_ms.values(), key=abs, default=None)

    def correct(self, samples: Sequence[Sample]) -> tuple[Sample, ...]:
        """`samples` by the gateway's time where the machine's is more than a minute off; `source_ts` then keeps what the machine said."""
        lags: dict[str, int] = {}
        for sample in samples:
            if sample.received is not None:
                lag = sample.received - sample.ts
                lags[sample.device] = min(lag, lags.get(sample.device, lag))
        for device_id, lag in lags.items():
            self._follow(device_id, lag)
        if not self._wrong or not self._is_sure():
            return tuple(samples)
        return tuple(self._corrected(samples))

    def _corrected(self, samples: Iterable[Sample]) -> Iterable[Sample]:
        for sample in samples:
            # What is good and was not received just now is old: the clock may have been right then.
            if sample.device in self._wrong and (sample.received is not None or sample.quality != QUALITY_GOOD):
                yield replace(sample, ts=sample.ts + self._behind_ms[sample.device], source_ts=sample.ts)
            else:
                yield sample

    def _follow(self, device_id: str, lag: int) -> None:
        """The least time on the way tells most; a clock that loses time is followed slowly, one that was set at once."""
        held = self._behind_ms.get(device_id, lag)
        behind = held + (lag - held) // FOLLOW if 0 < lag - held <= SLOWEST_MS else lag
        self._behind_ms[device_id] = behind
        if (abs(behind) > MOST_SKEW_MS) != (device_id in self._wrong):
            self._wrong ^= {device_id}
            is_wrong = device_id in self._wrong
            tell = self._log.warning if is_wrong else self._log.info
            tell(
                "the machine's clock is wrong" if is_wrong else "the machine's clock is right again",
                device=device_id,
                behind_s=behind / 1000,
            )
