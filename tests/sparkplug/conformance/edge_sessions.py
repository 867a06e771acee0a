"""Edge node: connections, Wills, births and deaths."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from conformance.checks import check
from conformance.edge_topics import SEQ_MODULUS, is_typed
from conformance.packets import MQTT_5
from conformance.reading import BD_SEQ, Line, Message, Reading, Said, each, metric, parse
from vigia.sparkplug.datatypes import DataType

DISCONNECT_WITH_WILL = 0x04
DEATH_MS = 5_000.0


def wills(reading: Reading) -> Iterator[tuple[Line, Any]]:
    """Each connection's Will as protobuf, None where there is none."""
    for line in reading.lines:
        yield line, None if line.connect.will is None else parse(line.connect.will.payload)


def bd_seq(payload: Any) -> int | None:  # noqa: ANN401
    """The bdSeq if it is there as it must be, an INT64."""
    one = metric(payload, BD_SEQ)
    return None if one is None or one.datatype != DataType.INT64 or one.WhichOneof("value") != "long_value" else one.long_value


def born(reading: Reading) -> Iterator[tuple[Line, Message]]:
    """Connections on which there was a birth, with the first."""
    for line in reading.lines:
        births = line.of("NBIRTH")
        if births:
            yield line, births[0]


@check
def will_is_ndeath(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line in reading.lines:
        group, node = line.connect.client_id.split(".", 1)
        topic = None if line.connect.will is None else line.connect.will.topic
        yield topic == f"spBv1.0/{group}/NDEATH/{node}", f"connection {line.number}: the Will's topic is {topic}"


@check
def will_is_protobuf(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line, will in wills(reading):
        yield will is not None and is_typed(line.connect.will.payload), f"connection {line.number}: the Will's payload"  # type: ignore[union-attr]


@check
def will_is_not_retained(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line in reading.lines:
        yield line.connect.will is not None and not line.connect.will.retain, f"connection {line.number}: the Will is retained"


@check
def will_bdseq_counts(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for name, lines in reading.of_nodes.items():
        numbers = [None if line.connect.will is None else bd_seq(parse(line.connect.will.payload)) for line in lines]
        yield numbers[0] is not None, f"{name}: no bdSeq in the first Will"
        for before, number in pairwise(numbers):
            wanted = None if before is None else (before + 1) % SEQ_MODULUS
            yield wanted is not None and number == wanted, f"{name}: bdSeq {number} in the Will after {before}"


@check
def will_bdseq_wraps(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for name, lines in reading.of_nodes.items():
        numbers = [None if line.connect.will is None else bd_seq(parse(line.connect.will.payload)) for line in lines]
        for before, number in pairwise(numbers):
            if before == SEQ_MODULUS - 1:
                yield number == 0, f"{name}: bdSeq {number} in the Will after 255"


@check
def bdseq_starts_at_zero(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for name in reading.facts["fresh"]:
        first = next(message for line in reading.of_nodes[name] for message in line.of("NBIRTH"))
        yield bd_seq(first.payload) == 0, f"{first}: the first bdSeq"


@check
def nbirth_has_bdseq(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for _, message in each(reading, "NBIRTH"):
        yield metric(message.payload, BD_SEQ) is not None, f"{message}: no bdSeq"


@check
def bdseq_matches_will(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line, will in wills(reading):
        for message in line.of("NBIRTH"):
            number = bd_seq(message.payload)
            yield number is not None and number == bd_seq(will), f"{message}: bdSeq {number}, in the Will {bd_seq(will)}"


@check
def births_follow_connack(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line, message in each(reading, "NBIRTH", "DBIRTH"):
        yield line.accepted is not None and line.accepted < message.index, f"{message} before the session was there"


@check
def births_come_first(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line in reading.lines:
        if line.said:
            yield line.said[0].kind == "NBIRTH", f"{line.said[0]} is the first message of its connection"


@check
def subscribes_to_ncmd(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line, birth in born(reading):
        group, node = line.connect.client_id.split(".", 1)
        yield (f"spBv1.0/{group}/NCMD/{node}", 1) in line.filters, f"connection {line.number} subscribes to {line.filters}"
        yield bool(line.granted) and line.granted[0] < birth.index, f"{birth} before the subscription"


@check
def subscribes_to_dcmd(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    """For each device that can be written, by its name or by a + for all."""
    for name, devices in reading.facts["writable"].items():
        topic = f"spBv1.0/{name.replace('/', '/DCMD/', 1)}"
        for line in reading.of_nodes[name]:
            granted = {one for (_, subscribe), _ in zip(line.subscriptions, line.granted, strict=False) for one in subscribe.filters}
            for message in line.of("DBIRTH"):
                if message.device in devices:
                    heard = {(f"{topic}/{message.device}", 1), (f"{topic}/+", 1)} & granted
                    yield bool(heard) and line.granted[0] < message.index, f"{message} before the subscription to its commands"


# ── deaths ──


def _deaths(reading: Reading) -> Iterator[tuple[Line, Any, str]]:
    for line in reading.lines:
        if line.connect.will is not None:
            yield line, parse(line.connect.will.payload), f"the Will of connection {line.number}"
        for message in line.of("NDEATH"):
            yield line, message.payload, str(message)


@check
def ndeath_is_bdseq_alone(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for _, payload, label in _deaths(reading):
        yield payload is not None and [one.name for one in payload.metrics] == [BD_SEQ], f"{label} has other metrics than bdSeq"


@check
def ndeath_has_no_seq(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for _, payload, label in _deaths(reading):
        yield payload is not None and not payload.HasField("seq"), f"{label} has a sequence number"


@check
def ndeath_matches_nbirth(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line, payload, label in _deaths(reading):
        for birth in line.of("NBIRTH")[:1]:
            yield bd_seq(payload) is not None and bd_seq(payload) == bd_seq(birth.payload), f"{label} does not belong to {birth}"


@check
def death_comes_before_the_end(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    """Of a session that was born and that the node itself ends; one without a birth has nothing to take back."""
    for line, _ in born(reading):
        if line.left is not None or (line.ended is not None and line.ended.by == "client"):
            deaths = line.of("NDEATH")
            yield bool(deaths) and deaths[-1].index < (line.left or line.end), f"connection {line.number} ends without an NDEATH"


@check
def mqtt5_end_wants_the_will(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line in reading.lines:
        if line.connect.level == MQTT_5 and line.left is not None:
            yield line.left_reason == DISCONNECT_WITH_WILL, f"connection {line.number}: the reason of its DISCONNECT"


@check
def disconnect_may_follow_the_death(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line in reading.lines:
        deaths = line.of("NDEATH")
        if deaths and line.left is not None:
            yield line.said[-1] is deaths[-1], f"connection {line.number}: something is said after the NDEATH"


@check
def lost_device_dies(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for index, deed in reading.transcript.did("device lost"):
        name, device = deed.about.rsplit("/", 1)
        deaths = [m for line in reading.of_nodes[name] for m in line.of("DDEATH") if m.device == device and m.index > index]
        yield bool(deaths) and deaths[0].at - deed.at < DEATH_MS, f"{deed.about} was lost and no DDEATH came"


# ── the order of births and data ──


@check
def dbirth_follows_nbirth(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line, message in each(reading, "DBIRTH"):
        yield any(birth.index < message.index for birth in line.of("NBIRTH")), f"{message} before an NBIRTH"


@check
def dbirth_matches_nbirth(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line, message in each(reading, "DBIRTH"):
        births = [birth for birth in line.of("NBIRTH") if birth.index < message.index]
        same = bool(births) and (births[-1].levels[1], births[-1].levels[3:4]) == (message.levels[1], message.levels[3:4])
        yield same, f"{message} is of another node than the NBIRTH before"


def _order(reading: Reading) -> Iterator[tuple[Message, set[str], set[str], bool]]:
    """Each message of a node with: the devices known to be alive when its NBIRTH came, those born since, and whether there was one."""
    for name, lines in reading.of_nodes.items():
        lost = [
            (index, deed.about.rsplit("/", 1)[1])
            for index, deed in reading.transcript.did("device lost")
            if deed.about.startswith(f"{name}/")
        ]
        alive: set[str] = set()
        for line in lines:
            due: set[str] = set()
            since: set[str] = set()
            is_born = False
            for message in line.of("NBIRTH", "DBIRTH", "NDATA", "DDATA", "DDEATH"):
                while lost and lost[0][0] < message.index:
                    alive.discard(lost.pop(0)[1])
                if message.kind == "NBIRTH":
                    due, since, is_born = set(alive), set(), True
                yield message, due, since, is_born
                if message.kind == "DBIRTH":
                    since.add(message.device or "")
                    alive.add(message.device or "")
                elif message.kind == "DDEATH":
                    for devices in (since, alive, due):
                        devices.discard(message.device or "")


@check
def data_waits_for_births(reading: Reading, kinds: tuple[str, ...]) -> Said:
    for message, due, since, is_born in _order(reading):
        if message.kind in kinds:
            own = message.kind != "DDATA" or message.device in since
            yield is_born and own and due <= since, f"{message} before the births of {sorted(due - since) or 'its node or device'}"


@check
def dbirths_come_at_once(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    """Devices that were alive are born again before any data; others come when they come."""
    late: set[str] = set()
    for message, due, since, _ in _order(reading):
        if message.kind == "NBIRTH":
            late = set()
        elif message.kind in ("NDATA", "DDATA"):
            late |= due - since
        elif message.kind == "DBIRTH":
            yield message.device not in late, f"{message} after data"
