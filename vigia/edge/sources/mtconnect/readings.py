"""What observations say about the points of a model."""

import math
from collections.abc import Iterable, Iterator, Sequence

import structlog

from vigia.edge.samples import Sample, Value
from vigia.edge.sources.mtconnect.documents import Observation
from vigia.edge.sources.mtconnect.model import Item, Model
from vigia.sparkplug.names import QUALITY_BAD, QUALITY_GOOD, QUALITY_UNCERTAIN

log = structlog.get_logger()

UNAVAILABLE = "UNAVAILABLE"
_LEVELS = ("Normal", "Warning", "Fault")


class Readings:
    """Makes samples of observations, given in the order of their numbers. Remembers which faults of a condition are active."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._active: dict[str, dict[str, str]] = {}
        self._odd: set[tuple[str, str]] = set()

    def samples(self, observations: Iterable[Observation], now: int, received: int | None) -> Iterator[Sample]:
        """The samples. `now` dates an observation without a usable time; `received` is for those that are fresh."""
        for observation in observations:
            item = self._model.items.get(observation.item)
            if item is None:
                continue
            ts = now if observation.ts is None else observation.ts
            for point, at, value in self._values(observation, item, ts):
                quality = QUALITY_BAD if value is None else QUALITY_UNCERTAIN if observation.ts is None else QUALITY_GOOD
                yield Sample(item.device_id, point, at, value, quality, received)

    def recall(self, observations: Sequence[Observation], now: int, before: int) -> tuple[Sample, ...]:
        """Take things to be as an answer to current says; the newest sample of each point, of the numbers `before` this one."""
        self._active.clear()
        stored = [observation for observation in observations if observation.sequence < before]
        standing = {(one.device, one.point): one for one in self.samples(stored, now, None)}
        for _ in self.samples([observation for observation in observations if observation.sequence >= before], now, None):
            """Only the faults that are active matter of these."""
        return tuple(standing.values())

    def _values(self, observation: Observation, item: Item, ts: int) -> Iterator[tuple[str, int, Value | None]]:
        text = observation.text
        if item.shape == "condition":
            yield from self._condition(observation, item, ts)
        elif text == UNAVAILABLE:
            yield from ((name, ts, None) for name in item.names)
        elif item.shape == "series":
            yield from _series(observation, item, ts)
        elif item.shape == "number":
            numbers = text.split() if len(item.names) > 1 else [text]
            fits = len(numbers) == len(item.names)
            yield from ((name, ts, _number(numbers[i]) if fits else None) for i, name in enumerate(item.names))
        else:
            yield item.names[0], ts, self._word(observation.item, item, text)

    def _condition(self, observation: Observation, item: Item, ts: int) -> Iterator[tuple[str, int, Value | None]]:
        """The worst of what is active, with its native code."""
        active = self._active[observation.item] = _after(self._active.get(observation.item, {}), observation)
        state, code = item.names
        if observation.tag not in _LEVELS:
            yield from ((state, ts, None), (code, ts, None))
            return
        worst = max(active, key=lambda one: _LEVELS.index(active[one]), default="")
        yield state, ts, self._word(observation.item, item, active.get(worst, _LEVELS[0]))
        yield code, ts, worst

    def _word(self, item_id: str, item: Item, text: str) -> Value | None:
        """The text, or the number that the configuration has for it."""
        if not item.words:
            return text
        if text not in item.words and (item_id, text) not in self._odd:
            self._odd.add((item_id, text))
            log.warning("a word without a number; add it to words", item=item_id, word=text[:40])
        return item.words.get(text)


def _after(active: dict[str, str], observation: Observation) -> dict[str, str]:
    """The active faults by native code, after `observation`: a Normal with a code ends that one, a Normal without ends all."""
    code, level = observation.attributes.get("nativeCode", ""), observation.tag
    if level == _LEVELS[0] and code:
        return {one: said for one, said in active.items() if one != code}
    if level not in _LEVELS[1:]:
        return {}
    return {**{one: said for one, said in active.items() if one != code}, code: level}


def _series(observation: Observation, item: Item, ts: int) -> Iterator[tuple[str, int, Value | None]]:
    """The values of a time series; it is dated at its last one."""
    rate = _number(observation.attributes.get("sampleRate", "")) or item.rate
    values = observation.text.split()
    if not rate or rate < 0:
        values = values[-1:]
    for i, value in enumerate(values, start=1 - len(values)):
        yield item.names[0], ts + round(i * 1000 / (rate or 1)), _number(value)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
