"""Host application: connections, Wills, STATE."""

from collections.abc import Iterator

from conformance.checks import check
from conformance.reading import Line, Message, Reading, Said, State

CLOCK_MS = 10_000.0
SOON_MS = 5_000.0
NAMESPACE = ("NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH")
KEYS = frozenset(("online", "timestamp"))


def topic(reading: Reading) -> str:
    """Where the host says whether it is online."""
    return f"spBv1.0/STATE/{reading.facts['host']}"


def states(reading: Reading, *, online: bool | None) -> Iterator[tuple[Line, Message]]:
    """Births (online) or deaths of the host that it publishes itself; with None what is neither."""
    for line in reading.lines:
        for message in line.of("STATE"):
            if message.state.online is online:
                yield line, message


def wills(reading: Reading) -> Iterator[tuple[Line, State]]:
    """The STATE in each Will; of a connection without one, an empty one."""
    for line in reading.lines:
        yield line, State(None, None) if line.connect.will is None else State.read(line.connect.will.payload)


def will_before(reading: Reading, line: Line, message: Message) -> int | None:
    """The time in the Will of the newest CONNECT to that server before the message."""
    connects = [one for one, _ in wills(reading) if one.server == line.server and one.index < message.index]
    will = connects[-1].connect.will if connects else None
    return None if will is None else State.read(will.payload).timestamp


def subscribed(line: Line, message: Message) -> list[tuple[str, int]]:
    """The filters granted before the message."""
    answered = zip(line.subscriptions, line.granted, strict=False)
    return [one for (_, subscribe), granted in answered if granted < message.index for one in subscribe.filters]


def is_alive(line: Line, index: int) -> bool:
    """Whether the connection is open at that place of the transcript."""
    return line.index < index < line.end


@check
def says_birth_and_death(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    births, deaths = list(states(reading, online=True)), list(states(reading, online=False))
    yield bool(births), "the host never says that it is online"
    yield bool(deaths), "the host never says that it is offline"


@check
def state_topic_has_no_device(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line in reading.lines:
        for message in line.of("STATE", "NCMD"):
            yield len(message.levels) == (3 if message.kind == "STATE" else 4), f"{message}: levels"


# ── the Will ──


@check
def will_is_on_state(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line in reading.lines:
        yield line.connect.will is not None and line.connect.will.topic == topic(reading), f"connection {line.number}: the Will's topic"


@check
def will_is_retained(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line in reading.lines:
        yield line.connect.will is not None and line.connect.will.retain, f"connection {line.number}: the Will is not retained"


@check
def will_says_offline(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line, will in wills(reading):
        said = will.online is False and will.timestamp is not None and will.keys >= KEYS
        yield said, f"connection {line.number}: the Will's payload"


@check
def will_tells_now(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line, will in wills(reading):
        now = will.timestamp is not None and abs(will.timestamp - line.at) < CLOCK_MS
        yield now, f"connection {line.number}: the time in the Will is {will.timestamp}"


# ── birth ──


@check
def births_come_first(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    """On its connection, and before whatever another connection of the same session says."""
    for line in reading.lines:
        if line.said:
            births = [m.index for one, m in states(reading, online=True) if one.server == line.server and m.index > line.index]
            yield bool(births) and births[0] <= line.said[0].index, f"{line.said[0]} before the host's birth"


@check
def birth_has_qos1(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for _, message in states(reading, online=True):
        yield message.publish.qos == 1, f"{message}: QoS {message.publish.qos}"


@check
def birth_is_retained(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for _, message in states(reading, online=True):
        yield message.publish.retain, f"{message} is not retained"


@check
def birth_is_on_state(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for _, message in states(reading, online=True):
        yield message.publish.topic == topic(reading), f"{message}: topic"


@check
def birth_payload_is_right(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for online in (True, None):
        for _, message in states(reading, online=online):
            state = message.state
            yield (
                state.online is True and state.timestamp is not None and state.keys >= KEYS,
                f"{message}: payload {message.publish.payload!r}",
            )


@check
def birth_repeats_the_wills_time(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line, message in states(reading, online=True):
        will = will_before(reading, line, message)
        yield will is not None and message.state.timestamp == will, f"{message}: time {message.state.timestamp}, in the Will {will}"


@check
def subscribes_first(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    """To its own STATE on the connection that says it is online, and to the namespace on one that is open."""
    for line, message in states(reading, online=True):
        yield (topic(reading), 1) in subscribed(line, message), f"{message} before the subscription to it"
        open_lines = [one for one in reading.lines if one.server == line.server and is_alive(one, message.index)]
        filters = {one for other in open_lines for one, _ in subscribed(other, message)}
        wanted = {f"spBv1.0/+/{kind}/+{'/+' if kind.startswith('D') else ''}" for kind in NAMESPACE}
        yield wanted <= filters or "spBv1.0/#" in filters, f"{message} before the subscriptions to {sorted(wanted - filters)}"


@check
def birth_follows_subscription(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line in reading.lines:
        if topic(reading) in [one for one, _ in line.filters] and line.granted:
            births = [m for m in line.of("STATE") if m.state.online is True and m.publish.topic == topic(reading)]
            granted = reading.transcript.events[line.granted[0]].at
            yield bool(births) and births[0].at - granted < SOON_MS, f"connection {line.number}: no birth after the subscription"


@check
def birth_follows_every_connect(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line in reading.lines:
        births = [m for one, m in states(reading, online=True) if one.server == line.server and m.index > line.index]
        yield bool(births) and births[0].at - line.at < SOON_MS, f"no birth after connection {line.number}"


@check
def contradicts_whoever_calls_it_offline(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    """Unless it is leaving. To a word newer than its own session a new session answers."""
    for line in reading.lines:
        for heard in line.states(reading.facts["host"]):
            own = [m.index for m in line.of("STATE") if m.state.online is True]
            leaving = [m.index for m in line.of("STATE") if m.state.online is False] + [line.left or line.end]
            if heard.state.online is not False or not own or heard.index > min(leaving):
                continue
            answers = [m for one, m in states(reading, online=True) if one.server == line.server and m.index > heard.index]
            soon = bool(answers) and answers[0].at - heard.at < SOON_MS
            yield soon and answers[0].state.timestamp == will_before(reading, line, answers[0]), f"{heard} is not contradicted"


@check
def times_are_per_server(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    """Each server's words tell the time of the session with that server, whatever happens at another."""
    if len({line.server for line in reading.lines}) > 1:
        for line, message in states(reading, online=True):
            yield message.state.timestamp == will_before(reading, line, message), f"{message} at {line.server}: time of another session"


# ── death ──


def _ordered_ends(reading: Reading) -> Iterator[tuple[Line, Message | None]]:
    """Connections that said STATE and were left in order at a stop, with the death said on them."""
    stops = {deed.about: index for index, deed in reading.transcript.did("stop")}
    for line in reading.lines:
        stop = stops.get(line.server)
        if stop is not None and is_alive(line, stop) and line.of("STATE"):
            deaths = [m for m in line.of("STATE") if m.index > stop and m.state.online is not True]
            yield line, deaths[0] if deaths else None


@check
def ordered_end_says_death(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line, death in _ordered_ends(reading):
        yield death is not None and death.index < (line.left or line.end), f"connection {line.number} ends without the host's death"


@check
def death_is_on_state(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for _, death in _ordered_ends(reading):
        if death is not None:
            yield death.publish.topic == topic(reading), f"{death}: topic"


@check
def death_has_qos1(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for _, death in _ordered_ends(reading):
        if death is not None:
            yield death.publish.qos == 1, f"{death}: QoS {death.publish.qos}"


@check
def death_is_retained(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for _, death in _ordered_ends(reading):
        if death is not None:
            yield death.publish.retain, f"{death} is not retained"


@check
def death_payload_is_right(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for _, death in _ordered_ends(reading):
        if death is not None:
            state = death.state
            yield (
                state.online is False and state.timestamp is not None and state.keys >= KEYS,
                f"{death}: payload {death.publish.payload!r}",
            )


@check
def death_tells_now(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line, death in _ordered_ends(reading):
        if death is not None and line.left is not None:
            stamp = death.state.timestamp
            stop = max(deed.at for _, deed in reading.transcript.did("stop") if deed.about == line.server)
            yield stamp is not None and stop - 1 <= stamp <= death.at + 1, f"{death}: the time is {stamp}"


@check
def death_without_disconnect_tells_now(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line, death in _ordered_ends(reading):
        if death is not None and line.left is None:
            yield abs((death.state.timestamp or 0) - death.at) < CLOCK_MS, f"{death}: the time"


@check
def disconnect_may_follow_the_death(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line, death in _ordered_ends(reading):
        if death is not None and line.left is not None:
            yield line.said[-1] is death, f"connection {line.number}: something is said after the death"
