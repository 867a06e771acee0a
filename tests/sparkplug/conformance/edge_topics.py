"""Edge node: topics, identifiers, quality of service, what every payload carries."""

from collections import Counter
from itertools import pairwise

from conformance.checks import check
from conformance.reading import DEVICE_KINDS, NUMBERED, Line, Message, Reading, Said, each, parse

SEQ_MODULUS = 256


def expected(line: Line, message: Message) -> str:
    """The topic that the message must have, as far as its sender and kind say."""
    group, node = line.connect.client_id.split(".", 1)
    topic = f"spBv1.0/{group}/{message.kind}/{node}"
    return f"{topic}/{message.levels[-1]}" if message.kind in DEVICE_KINDS else topic


def is_identifier(text: str) -> bool:
    """Whether it can be a level of a topic."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return bool(text) and not set(text) & set("+/#\0")


@check
def topic(reading: Reading, kinds: tuple[str, ...]) -> Said:
    for line, message in each(reading, *kinds):
        yield message.publish.topic == expected(line, message), f"{message} should be {expected(line, message)}"


@check
def topics_have_their_form(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line in reading.lines:
        for message in line.said:
            yield message.publish.topic == expected(line, message), f"{message} has not the form of a Sparkplug topic"


@check
def namespace_is_spbv1(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line in reading.lines:
        for message in line.said:
            yield message.levels[0] == "spBv1.0", f"{message}: namespace"


def _identifiers(reading: Reading, level: int) -> Said:
    for _, message in each(reading, *((*NUMBERED, "NDEATH") if level < 4 else DEVICE_KINDS)):
        levels = message.levels
        sound = len(levels) == (5 if message.kind in DEVICE_KINDS else 4) and is_identifier(levels[level])
        yield sound, f"{message}: identifier at level {level}"


@check
def group_ids_are_valid(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    return _identifiers(reading, 1)


@check
def node_ids_are_valid(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    return _identifiers(reading, 3)


@check
def device_ids_are_valid(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    return _identifiers(reading, 4)


@check
def device_messages_name_their_device(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for _, message in each(reading, *DEVICE_KINDS):
        yield len(message.levels) == 5 and bool(message.levels[4]), f"{message}: device id"


@check
def node_messages_name_no_device(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for _, message in each(reading, "NBIRTH", "NDATA", "NDEATH"):
        yield len(message.levels) == 4, f"{message} has a device id"


@check
def descriptors_are_unique(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    owners: dict[str, str] = {}
    for line, message in each(reading, "NBIRTH"):
        descriptor = f"{message.levels[1]}/{message.levels[-1]}"
        owner = owners.setdefault(descriptor, line.connect.client_id)
        yield owner == line.connect.client_id, f"{descriptor} belongs to {owner} and to {line.connect.client_id}"


@check
def device_ids_are_unique(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line in reading.lines:
        alive: set[str | None] = set()
        for message in line.of("NBIRTH", "DBIRTH", "DDEATH"):
            if message.kind == "NBIRTH":
                alive.clear()
            elif message.kind == "DDEATH":
                alive.discard(message.device)
            else:
                yield message.device not in alive, f"{message}: a second device of that name"
                alive.add(message.device)


@check
def devices_repeat_across_nodes(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    seen = Counter(device for lines in reading.of_nodes.values() for device in {m.device for line in lines for m in line.of("DBIRTH")})
    for device, nodes in seen.items():
        if nodes > 1:
            yield True, f"{device} is a device of {nodes} nodes"


@check
def ids_differ_beyond_case(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    seen: dict[tuple[str, ...], tuple[str, ...]] = {}
    for _, message in each(reading, "NBIRTH", "DBIRTH"):
        ids = (message.levels[1], *message.levels[3:])
        for depth in range(1, len(ids) + 1):
            part = ids[:depth]
            known = seen.setdefault(tuple(one.lower() for one in part), part)
            yield known == part, f"{message}: {part} and {known}"


@check
def names_differ_beyond_case(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for _, message in each(reading, "NBIRTH", "DBIRTH"):
        seen: dict[str, str] = {}
        for one in message.payload.metrics if message.payload else ():
            yield seen.setdefault(one.name.lower(), one.name) == one.name, f"{message}: {one.name!r} and {seen[one.name.lower()]!r}"


@check
def is_protobuf(reading: Reading, kinds: tuple[str, ...]) -> Said:
    for _, message in each(reading, *kinds):
        yield message.payload is not None, f"{message}: no Sparkplug B payload"


def is_typed(data: bytes) -> bool:
    """Whether every field has the type of the schema: what has not would not come back the same."""
    message = parse(data)
    if message is None:
        return False
    known = type(message)()
    known.CopyFrom(message)
    known.DiscardUnknownFields()
    return bool(known.SerializeToString() == data)


@check
def has_seq(reading: Reading, kinds: tuple[str, ...]) -> Said:
    for _, message in each(reading, *(kind for kind in kinds if kind in NUMBERED)):
        yield message.payload is not None and message.payload.HasField("seq"), f"{message}: no sequence number"


@check
def nbirth_seq_is_zero(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for _, message in each(reading, "NBIRTH"):
        payload = message.payload
        yield payload is not None and payload.HasField("seq") and payload.seq == 0, f"{message}: sequence number"


@check
def nbirth_seq_is_in_range(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for _, message in each(reading, "NBIRTH"):
        payload = message.payload
        yield payload is not None and payload.HasField("seq") and payload.seq < SEQ_MODULUS, f"{message}: sequence number"


@check
def seq_follows(reading: Reading, kinds: tuple[str, ...]) -> Said:
    for line in reading.lines:
        last: int | None = None
        for message in line.of(*NUMBERED):
            payload = message.payload
            seq = payload.seq if payload is not None and payload.HasField("seq") else None
            if message.kind in kinds and message.kind != "NBIRTH":
                wanted = None if last is None else (last + 1) % SEQ_MODULUS
                yield wanted is not None and seq == wanted, f"{message}: sequence number {seq} instead of {wanted}"
            last = seq


@check
def seq_wraps(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line in reading.lines:
        numbers = [(message, message.payload.seq) for message in line.of(*NUMBERED) if message.payload is not None]
        for (_, before), (message, seq) in pairwise(numbers):
            if message.kind != "NBIRTH" and before == SEQ_MODULUS - 1:
                yield seq == 0, f"{message}: sequence number {seq} after 255"
