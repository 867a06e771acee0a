"""Edge node: its primary host, several servers, requests for a rebirth."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from conformance.checks import check
from conformance.edge_sessions import bd_seq, born
from conformance.reading import REBIRTH, Line, Message, Reading, Said, State, metric, parse
from conformance.transcript import Observed

LEAVE_MS = 5_000.0
REACTION_MS = 250.0
REBIRTH_MS = 5_000.0


@dataclass(frozen=True)
class Word:
    """A STATE of the primary host as a node must take it: `valid` when it is not older than what was known."""

    message: Message
    state: State
    valid: bool


def _words(reading: Reading) -> Iterator[tuple[Line, list[Word]]]:
    """What was heard of the primary host on each connection of the nodes that wait for it."""
    for name in reading.facts["waiting"]:
        known: dict[str, int] = {}
        for line in reading.of_nodes[name]:
            words = []
            for message in line.states(reading.facts["host"]):
                state = message.state
                valid = state.timestamp is not None and state.timestamp >= known.get(line.server, -1)
                if valid and state.timestamp is not None:
                    known[line.server] = state.timestamp
                words.append(Word(message, state, valid))
            yield line, words


def _before(words: list[Word], message: Message) -> list[Word]:
    return [word for word in words if word.message.index < message.index]


def _ends(reading: Reading) -> Iterator[tuple[Line, Word, Message]]:
    """Connections that were born, with the first valid word after it that the host is offline."""
    for line, words in _words(reading):
        for birth in line.of("NBIRTH")[:1]:
            for word in words:
                if word.valid and word.state.online is False and word.message.index > birth.index:
                    yield line, word, birth
                    break


def _next_line(reading: Reading, line: Line) -> Line | None:
    lines = reading.of_nodes[line.connect.client_id.replace(".", "/", 1)]
    return next((one for one in lines if one.index > line.index), None)


def _goes_to_the_next_server(reading: Reading, line: Line) -> bool:
    servers: list[str] = reading.facts["nodes"][line.connect.client_id.replace(".", "/", 1)]
    after = _next_line(reading, line)
    return after is not None and line.server in servers and after.server == servers[(servers.index(line.server) + 1) % len(servers)]


@check
def subscribes_to_state(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    topic = f"spBv1.0/STATE/{reading.facts['host']}"
    for name in reading.facts["waiting"]:
        for line in reading.of_nodes[name]:
            yield topic in [one for one, _ in line.filters], f"connection {line.number} subscribes to {line.filters}"


@check
def waits_for_host(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line, words in _words(reading):
        for birth in line.of("NBIRTH")[:1]:
            yield any(word.state.online for word in _before(words, birth)), f"{birth} before its host was online"


@check
def waits_for_its_own_host(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    """While another host says that it is online."""
    own = f"spBv1.0/STATE/{reading.facts['host']}"
    for line, words in _words(reading):
        others = [
            index
            for index, event in enumerate(reading.transcript.events[: line.end])
            if index > line.index
            and isinstance(event, Observed)
            and event.server == line.server
            and event.message.topic.startswith("spBv1.0/STATE/")
            and event.message.topic != own
            and State.read(event.message.payload).online
        ]
        for birth in line.of("NBIRTH")[:1]:
            if others and others[0] < birth.index:
                heard = [word for word in _before(words, birth) if word.valid and word.message.index > others[0]]
                yield any(word.state.online for word in heard), f"{birth} follows the word of another host"


@check
def wants_host_online(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line, words in _words(reading):
        for birth in line.of("NBIRTH")[:1]:
            valid = [word for word in _before(words, birth) if word.valid]
            yield bool(valid) and valid[-1].state.online is True, f"{birth} though its host is offline"


@check
def believes_the_newest_word(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    """Where an older word says that the host is online, no birth follows before a newer one does."""
    for line, words in _words(reading):
        for word in words:
            if word.valid or not word.state.online:
                continue
            newer = next(
                (one.message.index for one in words if one.valid and one.state.online and one.message.index > word.message.index), line.end
            )
            early = [birth for birth in line.of("NBIRTH") if word.message.index < birth.index < newer]
            yield not early, f"{early and early[0]} though the word of its host was old"


@check
def dies_with_its_host(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line, word, birth in _ends(reading):
        death = next((m for m in line.of("NDEATH") if m.index > word.message.index), None)
        soon = death is not None and death.at - word.message.at < LEAVE_MS
        yield soon, f"no NDEATH after the host of {birth} went offline"
        yield _next_line(reading, line) is not None, f"connection {line.number} is the last one of its node"


@check
def disconnects_with_its_host(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line, word, _ in _ends(reading):
        soon = line.ended is not None and line.ended.by != "cut" and line.ended.at - word.message.at < LEAVE_MS
        yield soon, f"connection {line.number} stays though the host is offline"


@check
def goes_on_to_the_next_server(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line, _, _ in _ends(reading):
        yield _goes_to_the_next_server(reading, line), f"after connection {line.number} to {line.server} another server is due"


@check
def walks_from_an_offline_host(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line, words in _words(reading):
        name = line.connect.client_id.replace(".", "/", 1)
        if len(reading.facts["nodes"][name]) > 1 and any(word.valid and word.state.online is False for word in words):
            left = line.ended is not None and line.ended.by != "cut"
            yield left and _goes_to_the_next_server(reading, line), f"connection {line.number} to {line.server} where the host is offline"


@check
def ignores_an_old_word(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    """After a word that the host is offline, older than the one that it is online, the session ends only for another cause."""
    for line, words in _words(reading):
        for birth in line.of("NBIRTH")[:1]:
            for word in words:
                if not word.valid and word.state.online is False and word.message.index > birth.index:
                    ends = [m.index for m in line.of("NDEATH") if m.index > word.message.index] + [line.left or line.end]
                    causes = [index for what in ("stop", "cut") for index, _ in reading.transcript.did(what)]
                    causes += [other.message.index for other in words if other.valid and other.state.online is False]
                    yield any(word.message.index < cause < min(ends) for cause in causes), f"connection {line.number} ends for an old word"


@check
def one_connection_at_a_time(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for name, lines in reading.of_nodes.items():
        for line, after in pairwise(lines):
            yield line.end < after.index, f"{name}: connection {after.number} begins while {line.number} is open"


# ── requests for a rebirth ──


def _requests(reading: Reading) -> Iterator[tuple[Line, Message]]:
    for line, birth in born(reading):
        for message in line.heard:
            one = metric(parse(message.publish.payload), REBIRTH) if message.kind == "NCMD" else None
            if one is not None and one.boolean_value and message.index > birth.index:
                yield line, message


def _answer(line: Line, request: Message) -> Message | None:
    return next((birth for birth in line.of("NBIRTH") if birth.index > request.index), None)


@check
def rebirth_stops_data(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    """What was on its way when the request came is not counted: the payload's own time tells."""
    for line, request in _requests(reading):
        answer = _answer(line, request)
        late = [
            message
            for message in line.of("NDATA", "DDATA")
            if request.index < message.index < (line.end if answer is None else answer.index)
            and message.payload is not None
            and message.payload.timestamp > request.at + REACTION_MS
        ]
        yield not late, f"{late and late[0]} between {request} and the births"


@check
def rebirth_leads_to_births(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line, request in _requests(reading):
        answer = _answer(line, request)
        soon = answer is not None and answer.at - request.at < REBIRTH_MS
        yield soon, f"no births after {request}"
        if answer is not None:
            alive = _alive(line, request.index)
            after = [m for m in line.of("DBIRTH", "NDATA", "DDATA") if m.index > answer.index]
            again = set()
            for message in after:
                if message.kind != "DBIRTH":
                    break
                again.add(message.device)
            yield alive <= again, f"{answer} without the births of {sorted(map(str, alive - again))}"


def _alive(line: Line, index: int) -> set[str | None]:
    alive: set[str | None] = set()
    for message in line.of("NBIRTH", "DBIRTH", "DDEATH"):
        if message.index > index:
            break
        if message.kind == "DBIRTH":
            alive.add(message.device)
        elif message.kind == "DDEATH":
            alive.discard(message.device)
    return alive


@check
def rebirth_keeps_bdseq(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line, request in _requests(reading):
        answer = _answer(line, request)
        if answer is not None:
            will = None if line.connect.will is None else bd_seq(parse(line.connect.will.payload))
            yield will is not None and bd_seq(answer.payload) == will, f"{answer}: bdSeq"
