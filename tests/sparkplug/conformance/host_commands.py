"""Host application: commands, messages out of order, edges that die."""

from collections.abc import Iterator
from typing import Any

from conformance.checks import check
from conformance.edge_metrics import label
from conformance.edge_topics import is_identifier
from conformance.packets import Publish
from conformance.reading import DEVICE_KINDS, REBIRTH, Line, Message, Reading, Said, metric, parse, value
from conformance.transcript import Looked, Passed
from vigia.sparkplug.datatypes import DataType

ACKNOWLEDGED = "Vigia/Acknowledged"
LOOK_MS = 10_000.0
FIELDS = {
    **dict.fromkeys((DataType.INT8, DataType.INT16, DataType.INT32, DataType.UINT8, DataType.UINT16, DataType.UINT32), "int_value"),
    **dict.fromkeys((DataType.INT64, DataType.UINT64, DataType.DATE_TIME), "long_value"),
    **dict.fromkeys((DataType.STRING, DataType.TEXT, DataType.UUID), "string_value"),
    DataType.FLOAT: "float_value",
    DataType.DOUBLE: "double_value",
    DataType.BOOLEAN: "boolean_value",
}


def commands(reading: Reading, *kinds: str) -> Iterator[tuple[Line, Message]]:
    """What the host says beside STATE, of these kinds; all of it without one."""
    for line in reading.lines:
        for message in line.said:
            if message.kind in kinds or (not kinds and message.kind != "STATE"):
                yield line, message


def _target(message: Message) -> str:
    return f"{message.levels[1]}/{message.levels[3]}" if len(message.levels) > 3 else ""


def _rebirths(reading: Reading) -> Iterator[Message]:
    """Commands to a node that can only be a request for a rebirth: they acknowledge nothing."""
    for _, message in commands(reading):
        if len(message.levels) == 4 and metric(message.payload, ACKNOWLEDGED) is None:
            yield message


def _heard(reading: Reading) -> Iterator[tuple[int, float, Publish]]:
    for index, event in enumerate(reading.transcript.events):
        if isinstance(event, Passed) and not event.sent and isinstance(event.packet, Publish):
            yield index, event.at, event.packet


def _announced(reading: Reading, message: Message) -> dict[str, Any]:
    """The metrics in the birth of the commanded node or device that the host heard last."""
    kind, *device = ("DBIRTH", message.levels[4]) if message.kind in DEVICE_KINDS and len(message.levels) > 4 else ("NBIRTH",)
    wanted = "/".join([message.levels[0], message.levels[1], kind, message.levels[3], *device])
    births = [publish for index, _, publish in _heard(reading) if index < message.index and publish.topic == wanted]
    payload = parse(births[-1].payload) if births else None
    return {} if payload is None else {one.name: one for one in payload.metrics}


@check
def topic(reading: Reading, kinds: tuple[str, ...]) -> Said:
    known = (*reading.facts["own"], *reading.facts["foreign"])
    for _, message in commands(reading, *kinds):
        levels = message.levels
        form = levels[0] == "spBv1.0" and levels[2] == message.kind and len(levels) == (5 if message.kind in DEVICE_KINDS else 4)
        yield form and all(map(is_identifier, levels)) and _target(message) in known, f"{message}: topic"


@check
def topics_have_their_form(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    return topic(reading, ("NCMD", "DCMD"))


@check
def has_no_seq(reading: Reading, kinds: tuple[str, ...]) -> Said:
    for _, message in commands(reading, *kinds):
        yield message.payload is not None and not message.payload.HasField("seq"), f"{message} has a sequence number"


@check
def carries_what_is_written(reading: Reading, kinds: tuple[str, ...]) -> Said:
    for _, message in commands(reading, *kinds):
        yield message.payload is not None and bool(message.payload.metrics), f"{message} writes nothing"


@check
def uses_command_verbs(reading: Reading, kinds: tuple[str, ...]) -> Said:
    """Whatever the host sends to a node is an NCMD, to a device a DCMD."""
    for _, message in commands(reading):
        of_device = len(message.levels) > 4
        if (of_device and "DCMD" in kinds) or (not of_device and "NCMD" in kinds):
            yield message.levels[2:3] == ["DCMD" if of_device else "NCMD"], f"{message} is no command"


@check
def names_what_was_announced(reading: Reading, kinds: tuple[str, ...]) -> Said:
    for _, message in commands(reading, *kinds):
        known = _announced(reading, message)
        for one in message.payload.metrics if message.payload is not None else ():
            yield one.name in known, f"{message}: {label(one)} was not in the birth"


@check
def values_are_compatible(reading: Reading, kinds: tuple[str, ...]) -> Said:
    for _, message in commands(reading, *kinds):
        known = _announced(reading, message)
        for one in message.payload.metrics if message.payload is not None else ():
            if one.name in known:
                fits = one.WhichOneof("value") == FIELDS.get(DataType(known[one.name].datatype))
                yield fits and one.datatype in (0, known[one.name].datatype), f"{message}: {label(one)} is written as another type"


@check
def metrics_may_have_times(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for _, message in commands(reading, "NCMD", "DCMD"):
        yield True, f"{message}"


# ── a request for a rebirth ──


@check
def rebirth_is_an_ncmd(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message in _rebirths(reading):
        yield message.levels[2:3] == ["NCMD"], f"{message} asks for a rebirth"


@check
def rebirth_names_its_metric(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message in _rebirths(reading):
        yield metric(message.payload, REBIRTH) is not None, f"{message} does not name {REBIRTH}"


@check
def rebirth_is_true(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message in _rebirths(reading):
        one = metric(message.payload, REBIRTH)
        yield one is not None and value(one) is True, f"{message}: value of {REBIRTH}"


# ── order ──


def _requests(reading: Reading, name: str) -> list[Message]:
    return [message for message in _rebirths(reading) if _target(message) == name]


def _gap_heard(reading: Reading, name: str, index: int) -> float:
    """When the first message behind the gap came."""
    group, node = name.split("/")
    return next(at for i, at, publish in _heard(reading) if i > index and publish.topic.startswith(f"spBv1.0/{group}/DDATA/{node}/"))


@check
def waits_as_long_as_configured(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    """Neither shorter nor as long as without being told: then many more of the heartbeats that go on meanwhile would be answered."""
    for index, deed in reading.transcript.did("gap"):
        for request in [one for one in _requests(reading, deed.about) if one.index > index][:1]:
            waited = request.at - _gap_heard(reading, deed.about, index)
            answers = [one for _, one in commands(reading, "NCMD") if index < one.index < request.index and _target(one) != deed.about]
            sooner = len(answers) < reading.facts["heartbeats_of_default"]
            yield reading.facts["reorder_ms"] - 50 <= waited and sooner, f"{request} after {waited:.0f} ms and {len(answers)} heartbeats"


@check
def gap_starts_a_timer(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for index, deed in reading.transcript.did("gap"):
        heard = _gap_heard(reading, deed.about, index)
        early = [one for one in _requests(reading, deed.about) if one.index > index and one.at - heard < reading.facts["reorder_ms"] - 50]
        yield not early, f"{early and early[0]} at once"


@check
def gap_leads_to_a_rebirth(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for index, deed in reading.transcript.did("gap"):
        asked = [one for one in _requests(reading, deed.about) if one.index > index]
        yield bool(asked), f"no request for a rebirth after the gap of {deed.about}"


@check
def filled_gap_is_forgotten(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    gaps = [index for index, _ in reading.transcript.did("gap")]
    for index, deed in reading.transcript.did("swapped"):
        until = next(gap for gap in gaps if gap > index)
        asked = [one for one in _requests(reading, deed.about) if index < one.index < until]
        yield not asked, f"{asked and asked[0]} though all messages came"


# ── deaths ──


def _looks(reading: Reading, after: str) -> Iterator[tuple[Looked, float, Any]]:
    """What the database says after a death, when the host heard of it, and the death's payload."""
    for index, event in enumerate(reading.transcript.events):
        if isinstance(event, Looked) and event.after == after:
            kinds = [
                one
                for one in _heard(reading)
                if one[0] < index and f"/{after}/" in one[2].topic and reading.facts["foreign"][0].split("/")[1] in one[2].topic
            ]
            yield event, kinds[-1][1], parse(kinds[-1][2].payload)


def _since(stamp: int | None, heard: float) -> bool:
    return stamp is not None and heard - 1 <= stamp <= heard + LOOK_MS


@check
def dead_node_is_offline(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for look, heard, _ in _looks(reading, "NDEATH"):
        yield look.facts["online"] is False and _since(look.facts["died_at"], heard), f"the node after its death: {look.facts}"


@check
def dead_nodes_devices_are_offline(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    dead_before = {
        device for look, _, _ in _looks(reading, "DDEATH") for device, said in look.facts["devices"].items() if not said["alive"]
    }
    for look, heard, _ in _looks(reading, "NDEATH"):
        for device, said in look.facts["devices"].items():
            since = device in dead_before or _since(said["died_at"], heard)
            yield said["alive"] is False and since, f"{device} after its node's death: {said}"


@check
def dead_nodes_readings_are_stale(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for look, _, _ in _looks(reading, "NDEATH"):
        for device, qualities in look.facts["qualities"].items():
            yield qualities == [500], f"{device} after its node's death: qualities {qualities}"


@check
def dead_device_is_offline(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for look, _, payload in _looks(reading, "DDEATH"):
        dead = [said for said in look.facts["devices"].values() if not said["alive"]]
        yield (
            len(dead) == 1 and dead[0]["died_at"] == payload.timestamp,
            f"the devices after one's death at {payload.timestamp}: {look.facts}",
        )


@check
def dead_devices_readings_are_stale(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for look, _, payload in _looks(reading, "DDEATH"):
        for device, said in look.facts["devices"].items():
            stale = look.facts["qualities"][device] == [500]
            yield stale is not said["alive"], f"{device} after a device's death: {look.facts}"
            if not said["alive"]:
                yield said["died_at"] == payload.timestamp, f"{device} is stale since {said['died_at']}"
