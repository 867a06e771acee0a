"""Report by exception: which samples are worth sending."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vigia.edge.samples import Sample


@dataclass(frozen=True, slots=True)
class Rule:
    """`dead_band` in the point's unit; `max_silence_ms` in source time, None for ever. "*" fits any device or point."""

    device: str
    point: str
    dead_band: float
    max_silence_ms: float | None

    def fits(self, sample: Sample) -> bool:
        """Whether the rule is about this sample's point."""
        return self.device in ("*", sample.device) and self.point in ("*", sample.point)


class ByException:
    """Lets a sample pass when it tells something new. Without a rule for its point, every sample passes."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._rule_of: dict[tuple[str, str], Rule | None] = {}
        self._passed: dict[tuple[str, str], Sample] = {}

    def new(self, samples: Iterable[Sample]) -> tuple[Sample, ...]:
        """The samples to send, and remember them as sent."""
        if not self._rules:
            return tuple(samples)
        return tuple(sample for sample in samples if self._passes(sample))

    def _passes(self, sample: Sample) -> bool:
        key = (sample.device, sample.point)
        if key not in self._rule_of:
            self._rule_of[key] = next((rule for rule in self._rules if rule.fits(sample)), None)
        rule = self._rule_of[key]
        if rule is None:
            return True
        before = self._passed.get(key)
        if before is not None and not _is_news(before, sample, rule):
            return False
        self._passed[key] = sample
        return True

    def forget(self, devices: Iterable[str]) -> None:
        """The machine at these devices is another one now: its first samples pass."""
        gone = set(devices)
        self._passed = _without(self._passed, gone)


def _without(passed: Mapping[tuple[str, str], Sample], gone: set[str]) -> dict[tuple[str, str], Sample]:
    return {key: sample for key, sample in passed.items() if key[0] not in gone}


def _is_news(before: Sample, now: Sample, rule: Rule) -> bool:
    if rule.max_silence_ms is not None and now.ts - before.ts >= rule.max_silence_ms:
        return True
    if before.quality != now.quality or type(before.value) is not type(now.value):
        return True
    if isinstance(now.value, bool) or not isinstance(now.value, (int, float)) or not isinstance(before.value, (int, float)):
        return before.value != now.value
    # NaN compares false both ways: it is news only after a number.
    if math.isnan(now.value) or math.isnan(before.value):
        return math.isnan(now.value) != math.isnan(before.value)
    distance = abs(now.value - before.value)
    return distance > 0 if rule.dead_band == 0 else distance >= rule.dead_band
