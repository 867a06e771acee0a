"""From a plain message to samples, by the entry of its topic.

All or nothing: a message with one fault is refused whole, and can be replayed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final, TypeAlias

from vigia.ingest.plain import MISFIT, UNDATED, RefusedMessage
from vigia.ingest.plain.decoders import documents, scalar
from vigia.ingest.plain.paths import Document, MissingError, Path, leaves
from vigia.ingest.plain.table import QUALITIES, Entry, Kind, PointRule, Quality, Route
from vigia.ingest.plain.times import milliseconds
from vigia.sparkplug.names import QUALITY_GOOD

Value: TypeAlias = float | bool | None

DEEPEST: Final = 8
LONGEST_NAME: Final = 200
LONGEST_UNIT: Final = 40
MOST_SAMPLES: Final = 50_000
# Metrics of these families describe a Sparkplug sender; they are no points.
RESERVED: Final = ("Vigia/", "Properties/", "Node Control/", "Device Control/")
_NO_RULE: Final = PointRule()


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one point: `ts` in milliseconds since 1970 UTC, `quality` in Sparkplug's numbers, `unit` and `kind` None when unsaid."""

    name: str
    ts: int
    value: Value
    quality: int
    unit: str | None
    kind: Kind | None


def read(route: Route, payload: bytes, arrived_ms: int) -> list[Sample]:
    """The samples in `payload`; none only when the entry leaves out all that is there. Raises RefusedMessage."""
    reader = _Reader(route, arrived_ms)
    samples: list[Sample] = []
    for whole in documents(route.entry, payload):
        for record in reader.records(whole):
            samples += reader.samples(record, whole)
            if len(samples) > MOST_SAMPLES:
                raise _misfit(f"more than the {MOST_SAMPLES} values accepted: send less at a time")
    if not samples and not reader.left_out:
        raise _misfit("it holds no value: correct records or values, or narrow the filter")
    return samples


class _Reader:
    """Reads the documents of one message."""

    def __init__(self, route: Route, arrived_ms: int) -> None:
        self._route = route
        self._entry = route.entry
        self._arrived_ms = arrived_ms
        self.left_out = 0
        self._no_points = frozenset(_names_of_no_points(self._entry))

    def records(self, whole: Document) -> list[Document]:
        found = self._find(self._entry.records, whole, whole, MISFIT)
        return found if isinstance(found, list) else [found]

    def samples(self, record: Document, whole: Document) -> Iterator[Sample]:
        times = self._times(record, whole)
        quality = self._quality(record, whole)
        for name, raw, unit, kind in self._named(record, whole):
            if isinstance(times, int):
                yield Sample(name, times, self._value(name, raw), quality, unit, kind)
                continue
            if not isinstance(raw, list) or len(raw) != len(times):
                raise _misfit(f"{name!r} is no list of {len(times)} values, as many as there are times: send one value a time")
            for ts, one in zip(times, raw, strict=True):
                yield Sample(name, ts, self._value(name, one), quality, unit, kind)

    # ── when and how good ──

    def _times(self, record: Document, whole: Document) -> int | list[int]:
        if self._entry.time is None:
            return self._arrived_ms
        said = self._find(self._entry.time, record, whole, UNDATED)
        try:
            if isinstance(said, list):
                return [milliseconds(one, self._entry) for one in said]
            return milliseconds(said, self._entry)
        except ValueError as error:
            raise RefusedMessage(UNDATED, str(error)) from None

    def _quality(self, record: Document, whole: Document) -> int:
        if self._entry.quality is None:
            return QUALITY_GOOD
        try:
            said = self._entry.quality.find(record, whole)
        except MissingError:
            return QUALITY_GOOD
        if said is None:
            return QUALITY_GOOD
        if isinstance(said, bool):
            return QUALITIES["good" if said else "bad"]
        if isinstance(said, int) and 0 <= said <= max(QUALITIES.values()):
            return said
        if isinstance(said, str):
            meant: Quality | str = self._entry.qualities.get(said, said.lower())
            if meant in QUALITIES:
                return QUALITIES[meant]
        raise _misfit(f"{str(said)[:40]!r} is no quality: send good, uncertain, stale, bad or 0..500, or declare it in qualities")

    # ── which point and what value ──

    def _named(self, record: Document, whole: Document) -> Iterator[tuple[str, Document, str | None, Kind | None]]:
        """Name, value, unit and kind of every point that the record speaks of."""
        entry = self._entry
        if entry.name is not None:
            name = self._find(entry.name, record, whole, MISFIT)
            if not isinstance(name, str):
                raise _misfit(f"the name at {entry.name.text!r} is {str(name)[:40]!r}: send text")
            found: Sequence[tuple[str, Document]] = [(name, self._find(entry.value, record, whole, MISFIT))]
        else:
            found = self._under_names(self._find(entry.values, record, whole, MISFIT))
        for name, raw in dict(found).items():
            rule = entry.points.get(name)
            is_other = rule is None and entry.others == "ignore"
            if is_other or (isinstance(raw, str) and entry.text == "ignore" and raw not in entry.words):
                self.left_out += 1
                continue
            rule = rule or _NO_RULE
            yield _checked(rule.name or name), raw, rule.unit or self._unit(record, whole), rule.kind

    def _under_names(self, found: Document) -> Sequence[tuple[str, Document]]:
        if self._route.point is not None:
            return [(self._route.point, found)]
        if isinstance(found, dict):
            return [(name, raw) for name, raw in leaves(found, DEEPEST) if name not in self._no_points]
        raise _misfit(f"{str(found)[:40]!r} has no name: send an object of names and values, or declare point")

    def _unit(self, record: Document, whole: Document) -> str | None:
        if self._entry.unit is None:
            return None
        try:
            said = self._entry.unit.find(record, whole)
        except MissingError:
            return None
        if said is None or said == "":
            return None
        if not isinstance(said, str) or len(said) > LONGEST_UNIT or not said.isprintable():
            raise _misfit(f"{str(said)[:40]!r} is no unit: send its UCUM code as text, or leave it out")
        return said

    def _value(self, name: str, raw: Document) -> Value:
        if raw is None or isinstance(raw, bool):
            return raw
        if isinstance(raw, str):
            raw = self._of_text(name, raw)
        if not isinstance(raw, int | float):
            what = "a list" if isinstance(raw, list) else "an object too deep to read"
            raise _misfit(f'{name!r} is {what}: declare the points that are wanted and others = "ignore", or correct values')
        value = float(raw)
        if not isfinite(value):
            raise _misfit(f"{name!r} is larger than a float can hold: send null where there is no value")
        return value

    def _of_text(self, name: str, text: str) -> Value:
        if text in self._entry.words:
            return self._entry.words[text]
        value = scalar(text.strip())
        if self._entry.text == "number" and not isinstance(value, str):
            return value
        raise _misfit(
            f'{name!r} is the text {text[:40]!r}: declare text = "number" if it is a number, text = "ignore" to leave texts out, '
            "or its number in words"
        )

    @staticmethod
    def _find(path: Path | None, record: Document, whole: Document, reason: str) -> Document:
        """What stands at `path`; the record itself when nothing is declared."""
        if path is None:
            return record
        try:
            return path.find(record, whole)
        except MissingError as error:
            raise RefusedMessage(reason, f"{error}: send it, or correct the entry") from None


def _names_of_no_points(entry: Entry) -> Iterator[str]:
    """Under which names time and quality stand among the values."""
    base = () if entry.values is None else entry.values.keys
    for path in (entry.time, entry.quality):
        if path is None:
            continue
        at_record = entry.records is None or not path.absolute
        if at_record and path.keys[: len(base)] == base:
            yield "/".join(path.keys[len(base) :])


def _checked(name: str) -> str:
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise _misfit(f"{name[:40]!r} cannot name a point: use 1 to {LONGEST_NAME} visible characters")
    if name.startswith(RESERVED):
        raise _misfit(f"{name[:40]!r} is a name that Sparkplug or Vigía gives a meaning: rename it in [topic.points]")
    return name


def _misfit(detail: str) -> RefusedMessage:
    return RefusedMessage(MISFIT, detail)
