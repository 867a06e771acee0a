"""Edge node: metrics in births and data, names and aliases, values and their times."""

from collections.abc import Iterator
from typing import Any

from conformance.both_sides import CLOCK_MS
from conformance.checks import check
from conformance.edge_topics import is_typed
from conformance.reading import BD_SEQ, REBIRTH, Line, Message, Reading, Said, each, metric, value
from vigia.sparkplug.datatypes import DataType

EARLIEST_MS, LATEST_MS = 946_684_800_000, 4_102_444_800_000
POINTS_OF_A_MACHINE = 26
NEWEST, BATCH = "Vigia/Newest", "Vigia/Batch"
OWN = ("Vigia/", "Properties/")


def metrics(reading: Reading, *kinds: str) -> Iterator[tuple[Line, Message, Any]]:
    """Every metric of these kinds of messages."""
    for line, message in each(reading, *kinds):
        for one in message.payload.metrics if message.payload is not None else ():
            yield line, message, one


def label(one: Any) -> str:  # noqa: ANN401
    """Name or alias of a metric."""
    return repr(one.name) if one.HasField("name") else f"alias {one.alias}"


def announced(reading: Reading) -> Iterator[tuple[Line, Message, dict[int, Any], dict[str, Any]]]:
    """Each data message with its connection and the metrics of the birth it follows: by alias and by name."""
    for line in reading.lines:
        births: dict[str | None, Message] = {}
        for message in line.of("NBIRTH", "DBIRTH", "NDATA", "DDATA"):
            if message.kind == "NBIRTH":
                births = {None: message}
            elif message.kind == "DBIRTH":
                births[message.device] = message
            else:
                birth = births.get(message.device if message.kind == "DDATA" else None)
                known = [] if birth is None or birth.payload is None else birth.payload.metrics
                yield line, message, {one.alias: one for one in known if one.HasField("alias")}, {one.name: one for one in known}


def uses_aliases(reading: Reading) -> bool:
    """Whether the births give aliases."""
    return any(one.HasField("alias") for _, _, one in metrics(reading, "NBIRTH", "DBIRTH"))


@check
def data_was_announced(reading: Reading, kinds: tuple[str, ...]) -> Said:
    for _, message, by_alias, by_name in announced(reading):
        if message.kind in kinds and message.payload is not None:
            for one in message.payload.metrics:
                yield one.name in by_name if one.HasField("name") else one.alias in by_alias, f"{message}: {label(one)} is not in the birth"


@check
def birth_metrics_are_whole(reading: Reading, kinds: tuple[str, ...]) -> Said:
    for _, message, one in metrics(reading, *kinds):
        told = one.is_null or one.WhichOneof("value") is not None
        yield bool(one.name) and one.HasField("datatype") and told, f"{message}: {label(one)} lacks name, datatype or value"


@check
def values_are_set_or_null(reading: Reading, kinds: tuple[str, ...]) -> Said:
    for _, message, one in metrics(reading, *kinds):
        yield one.is_null != (one.WhichOneof("value") is not None), f"{message}: {label(one)} is neither null nor set, or both"


@check
def births_tell_current_values(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    """A value is not older than the newest one told before, as long as the same machine stands there."""
    for lines in reading.of_nodes.values():
        newest: dict[tuple[str | None, int], Any] = {}
        for message in (message for line in lines for message in line.of("DBIRTH", "DDATA", "DDEATH")):
            if message.kind == "DDEATH":
                newest = {key: one for key, one in newest.items() if key[0] != message.device}
            for one in message.payload.metrics if message.payload is not None else ():
                before = newest.get((message.device, one.alias))
                if message.kind == "DDATA":
                    if before is None or one.timestamp >= before.timestamp:
                        newest[message.device, one.alias] = one
                elif before is not None and not one.name.startswith(OWN):
                    same = one.timestamp == before.timestamp and value(one) == value(before)
                    yield same or one.timestamp > before.timestamp, f"{message}: {label(one)} tells an older value"


@check
def metrics_have_names_or_aliases(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for _, message, by_alias, _ in announced(reading):
        for one in message.payload.metrics if message.payload is not None else ():
            yield bool(one.name) or (one.HasField("alias") and one.alias in by_alias), f"{message}: a metric without name or known alias"
    for _, message, one in metrics(reading, "NBIRTH", "DBIRTH"):
        yield bool(one.name), f"{message}: a metric without a name"


@check
def aliases_are_unique(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line in reading.lines:
        owners: dict[int, tuple[str | None, str]] = {}
        for message in line.of("NBIRTH", "DBIRTH"):
            if message.kind == "NBIRTH":
                owners.clear()
            within: set[int] = set()
            for one in message.payload.metrics if message.payload is not None else ():
                if one.HasField("alias"):
                    owner = owners.setdefault(one.alias, (message.device, one.name))
                    own = owner == (message.device, one.name) and one.alias not in within
                    within.add(one.alias)
                    yield own, f"{message}: alias {one.alias} of {one.name!r} is {owner}'s"


@check
def births_name_every_alias(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    """But for what never comes by an alias: bdSeq, the rebirth, definitions of templates."""
    if uses_aliases(reading):
        for _, message, one in metrics(reading, "NBIRTH", "DBIRTH"):
            if one.name not in (BD_SEQ, REBIRTH) and not one.template_value.is_definition:
                yield bool(one.name) and one.HasField("alias"), f"{message}: {label(one)} lacks name or alias"


@check
def data_uses_aliases_alone(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    if uses_aliases(reading):
        for _, message, one in metrics(reading, "NDATA", "DDATA"):
            yield one.HasField("alias") and not one.HasField("name"), f"{message}: {label(one)} should come by its alias alone"


@check
def metrics_have_times(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for _, message, one in metrics(reading, "NBIRTH", "DBIRTH", "NDATA", "DDATA"):
        yield one.HasField("timestamp"), f"{message}: {label(one)} has no time"


@check
def metric_times_are_utc(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    """Milliseconds since 1970: those of the node are now, those of the machines what the source is known to tell."""
    earliest, latest = reading.facts["source_times"]
    for _, message, one in metrics(reading, "NBIRTH", "NDATA", "DBIRTH", "DDATA"):
        now = abs(one.timestamp - message.at) < CLOCK_MS
        told = message.kind in ("DBIRTH", "DDATA") and earliest <= one.timestamp <= latest
        yield now or told, f"{message}: {label(one)} at {one.timestamp}"


@check
def ticks_keep_their_utc_time(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    """The machines' own times are given with an offset in the configuration; on the wire is the moment itself."""
    for name, told in reading.facts["told"].items():
        times = {one.timestamp for line in reading.of_nodes[name] for m in line.of("DDATA") if m.payload for one in m.payload.metrics}
        for _, ts in told:
            yield ts in times, f"{name}: nothing was told of {ts}"


@check
def chronological(reading: Reading, kinds: tuple[str, ...]) -> Said:
    for _, message in each(reading, *kinds):
        times = [one.timestamp for one in message.payload.metrics if not one.is_historical] if message.payload is not None else []
        if times:
            yield times == sorted(times), f"{message}: its metrics are not in the order of their times"


@check
def changes_are_told(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    """Every tick of every machine, with all its points, live or as history."""
    found: dict[tuple[str, str | None, int], set[str]] = {}
    for line, message, by_alias, _ in announced(reading):
        for one in message.payload.metrics if message.kind == "DDATA" and message.payload is not None else ():
            name = by_alias[one.alias].name if one.alias in by_alias else ""
            if not name.startswith(OWN):
                found.setdefault((line.connect.client_id.replace(".", "/", 1), message.device, one.timestamp), set()).add(name)
    for name, told in reading.facts["told"].items():
        for device, ts in told:
            yield len(found.get((name, device, ts), ())) == POINTS_OF_A_MACHINE, f"{name}/{device}: not all of {ts} was told"


@check
def newest_batch_is_told(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    """The node's own metric that changes with data: no NDATA is behind what its session has sent already."""
    newest: dict[int, int] = {}
    for line, message, by_alias, _ in announced(reading):
        if message.kind == "DDATA":
            newest[line.number] = max(newest.get(line.number, 0), _numbered(message, by_alias, BATCH))
        elif message.kind == "NDATA":
            told = _numbered(message, by_alias, NEWEST)
            yield told >= newest.get(line.number, 0), f"{message}: tells {told} as the newest batch after {newest[line.number]}"


def _numbered(message: Message, by_alias: dict[int, Any], name: str) -> int:
    for one in message.payload.metrics if message.payload is not None else ():
        if one.alias in by_alias and by_alias[one.alias].name == name:
            return int(one.long_value)
    return 0


# ── what should not be said again ──


def _repeats(reading: Reading, kinds: tuple[str, ...]) -> Said:
    for line in reading.lines:
        last: dict[tuple[str | None, int], object] = {}
        for message in line.of("NBIRTH", "DBIRTH", "NDATA", "DDATA"):
            for one in message.payload.metrics if message.payload is not None else ():
                key = (message.device, one.alias)
                if message.kind in kinds and not one.is_historical:
                    yield key not in last or last[key] != value(one), f"{message}: {label(one)} did not change"
                if one.HasField("alias") and not one.is_historical:
                    last[key] = value(one)


@check
def only_changes_are_told(reading: Reading, kinds: tuple[str, ...]) -> Said:
    return _repeats(reading, tuple(kind for kind in kinds if kind in ("NDATA", "DDATA")))


# ── data types ──


@check
def datatypes_are_uint32(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for _, message in each(reading, "NBIRTH", "DBIRTH"):
        told = message.payload is not None and all(one.HasField("datatype") for one in message.payload.metrics)
        yield told and is_typed(message.publish.payload), f"{message}: a datatype that is no unsigned 32-bit integer"


@check
def datatypes_are_known(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    known = {int(kind) for kind in DataType} - {DataType.UNKNOWN, DataType.PROPERTY_SET, DataType.PROPERTY_SET_LIST}
    for _, message, one in metrics(reading, "NBIRTH", "DBIRTH", "NDATA", "DDATA"):
        if one.HasField("datatype"):
            yield one.datatype in known, f"{message}: {label(one)} has data type {one.datatype}"


@check
def births_have_datatypes(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for _, message, one in metrics(reading, "NBIRTH", "DBIRTH"):
        yield one.HasField("datatype"), f"{message}: {label(one)} has no data type"


@check
def data_has_no_datatypes(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for _, message, one in metrics(reading, "NDATA", "DDATA"):
        yield not one.HasField("datatype"), f"{message}: {label(one)} repeats its data type"


# ── Node Control/Rebirth ──


@check
def nbirth_has_rebirth(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for _, message in each(reading, "NBIRTH"):
        yield metric(message.payload, REBIRTH) is not None, f"{message}: no {REBIRTH}"


@check
def rebirth_is_boolean(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for _, message in each(reading, "NBIRTH"):
        one = metric(message.payload, REBIRTH)
        yield one is not None and one.datatype == DataType.BOOLEAN, f"{message}: data type of {REBIRTH}"


@check
def rebirth_is_false(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for _, message in each(reading, "NBIRTH"):
        one = metric(message.payload, REBIRTH)
        yield one is not None and one.WhichOneof("value") == "boolean_value" and not one.boolean_value, f"{message}: value of {REBIRTH}"


@check
def rebirth_has_no_alias(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for _, message in each(reading, "NBIRTH"):
        one = metric(message.payload, REBIRTH)
        yield one is not None and not one.HasField("alias"), f"{message}: alias of {REBIRTH}"
