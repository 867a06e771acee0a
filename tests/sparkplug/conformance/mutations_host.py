"""Seeded violations of a host application."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from conformance.host_play import FOREIGN
from conformance.mutating import (
    Mutate,
    Mutation,
    at,
    drop,
    drop_all,
    fields,
    looked,
    packet,
    passed,
    payload,
    publish,
    said,
    topic,
    will,
)
from conformance.packets import Connect, Disconnect, Publish, Suback, Subscribe, Will
from conformance.reading import REBIRTH, Message, Reading, metric
from conformance.transcript import Event, Passed, Transcript

BIRTH, DEATH, CONNECT = "host-topic-phid-birth", "host-topic-phid-death", "operational-behavior-host-application-connect"
ENDED, FLOW, COMMANDS = "operational-behavior-host-application-death", "message-flow-phid-sparkplug", "operational-behavior-data-commands"
ORDER, DIED = "operational-behavior-host-reordering", "operational-behavior-edge-node-termination-host-action"
SERVERS = "operational-behavior-primary-application-state-with-multiple-servers"
STATE, FOREIGN_NODE = "spBv1.0/STATE/vigia", FOREIGN.split("/")[1]
TERMINATION = "operational-behavior-host-application-termination"


def _m(name: str, mutate: Mutate, *breaks: str) -> Mutation:
    return Mutation(name, "host", breaks, mutate)


def _online(message: Message) -> bool:
    return message.state.online is True


def _offline(message: Message) -> bool:
    return message.state.online is False


def _birth(change: Callable[[Publish], Publish], n: int = 0) -> Mutate:
    return publish("STATE", change, n, _online)


def _death(change: Callable[[Publish], Publish]) -> Mutate:
    return publish("STATE", change, where=_offline)


def _json(**changed: Any) -> Callable[[Any], Any]:  # noqa: ANN401
    """The payload of a STATE or Will with other members; None leaves one out."""

    def change(one: Any) -> Any:  # noqa: ANN401
        said_of = {key: value for key, value in (json.loads(one.payload) | changed).items() if value is not None}
        return replace(one, payload=json.dumps(said_of).encode())

    return change


def _later(ms: int) -> Callable[[Any], Any]:
    return lambda one: _json(timestamp=json.loads(one.payload)["timestamp"] + ms)(one)


def _no_will(_: Will) -> None:
    return None


WILLS = [
    _m("there is no Will", will(_no_will, 1), f"{DEATH}-required", f"{CONNECT}-will", "payloads-state-will-message"),
    _m("the connection for data has no Will", will(_no_will, 0), f"{CONNECT}-will", f"{DEATH}-required"),
    _m(
        "the Will is on another topic",
        will(lambda one: replace(one, topic="STATE/vigia"), 1),
        f"{DEATH}-topic",
        f"{CONNECT}-will-topic",
        "payloads-state-will-message",
    ),
    _m(
        "the Will has QoS 0",
        will(lambda one: replace(one, qos=0), 1),
        f"{DEATH}-qos",
        f"{CONNECT}-will-qos",
        "payloads-state-will-message-qos",
    ),
    _m(
        "the Will is not retained",
        will(lambda one: replace(one, retain=False), 1),
        f"{DEATH}-retain",
        f"{CONNECT}-will-retained",
        "payloads-state-will-message-retain",
    ),
    _m(
        "the Will says OFFLINE",
        will(lambda one: replace(one, payload=b"OFFLINE"), 1),
        f"{DEATH}-payload",
        f"{CONNECT}-will-payload",
        "payloads-state-will-message-payload",
        f"{ENDED}-payload",
    ),
    _m("the Will says online", will(_json(online=True), 1), f"{DEATH}-payload", f"{CONNECT}-will-payload"),
    _m("the Will has no time", will(_json(timestamp=None), 1), f"{DEATH}-payload", "payloads-state-will-message-payload"),
    _m("the Will's time is text", will(_json(timestamp="now"), 1), f"{DEATH}-payload"),
    _m(
        "the Will's time is that of an earlier session",
        will(_later(-60_000), 1),
        f"{DEATH}-payload-timestamp-connect",
        f"{ENDED}-payload",
        "payloads-state-will-message-payload",
    ),
]


def _unheard_birth(transcript: Transcript) -> Transcript:
    """The first server's births are missing."""
    gone = {index for index in said(transcript, "STATE", _online) if passed(transcript, index).server == "A"}
    return replace(transcript, events=tuple(event for index, event in enumerate(transcript.events) if index not in gone))


def _data_first(transcript: Transcript) -> Transcript:
    """A command leaves before the birth."""
    birth = next(index for index in said(transcript, "STATE", _online) if passed(transcript, index).server == "A")
    command = passed(transcript, said(transcript, "NCMD")[0])
    return at(transcript, birth, replace(command, at=transcript.events[birth].at), transcript.events[birth])


def _subscribes_late(transcript: Transcript) -> Transcript:
    """No answer to the subscription of the connection that says STATE."""
    return at(transcript, list(transcript.packets(Suback, sent=False))[1][0])


def _narrow(transcript: Transcript) -> Transcript:
    """The namespace is subscribed to without DDATA."""
    index, event = next(transcript.packets(Subscribe))
    assert isinstance(event.packet, Subscribe)
    kept = tuple(one for one in event.packet.filters if "DDATA" not in one[0])
    return at(transcript, index, replace(event, packet=Subscribe(kept)))


def _as_elsewhere(transcript: Transcript) -> Transcript:
    """STATE at the second server tells the time of the first one's session."""
    first = next(line for line in Reading(transcript).lines if line.server == "A")
    assert first.connect.will is not None
    stamp = json.loads(first.connect.will.payload)["timestamp"]
    return _birth(_json(timestamp=stamp))(transcript)


BIRTHS = [
    _m(
        "no births",
        _unheard_birth,
        f"{BIRTH}-required",
        f"{CONNECT}-birth",
        f"{FLOW}-state-publish",
        "payloads-state-birth",
        f"{SERVERS}-state",
    ),
    _m("no STATE at all", drop_all("STATE"), "conformance-primary-host", "intro-sparkplug-host-state", "components-ph-state"),
    _m(
        "a command before the birth",
        _data_first,
        f"{BIRTH}-message",
        "principles-birth-certificates-order",
        f"{SERVERS}-state",
        f"{SERVERS}-state-subs",
    ),
    _m("a birth at QoS 0", _birth(lambda one: replace(one, qos=0)), f"{BIRTH}-qos", f"{CONNECT}-birth-qos", "payloads-state-birth"),
    _m(
        "a birth that is not retained",
        _birth(lambda one: replace(one, retain=False)),
        f"{BIRTH}-retain",
        f"{CONNECT}-birth-retained",
        "payloads-state-birth",
    ),
    _m(
        "a birth on STATE/vigia",
        _birth(lambda one: replace(one, topic="STATE/vigia")),
        f"{BIRTH}-topic",
        f"{CONNECT}-birth-topic",
        "payloads-state-birth",
    ),
    _m(
        "a birth with one level more",
        _birth(lambda one: replace(one, topic=f"{STATE}/1")),
        "topic-structure-namespace-device-id-non-associated-message-types",
    ),
    _m(
        "a birth that says ONLINE",
        _birth(lambda one: replace(one, payload=b"ONLINE")),
        f"{BIRTH}-payload",
        f"{CONNECT}-birth-payload",
        f"{FLOW}-state-publish-payload",
        "payloads-state-birth-payload",
    ),
    _m("a birth whose online is 1", _birth(_json(online=1)), f"{BIRTH}-payload", "payloads-state-birth-payload"),
    _m("a birth without a time", _birth(_json(timestamp=None)), f"{BIRTH}-payload", f"{BIRTH}-payload-timestamp"),
    _m(
        "a birth of another time than the Will's",
        _birth(_later(1)),
        f"{BIRTH}-payload-timestamp",
        f"{FLOW}-state-publish-payload-timestamp",
        f"{CONNECT}-birth-payload",
        f"{FLOW}-state-publish-payload",
        "payloads-state-birth-payload",
    ),
    _m("a birth before the subscription", _subscribes_late, f"{BIRTH}-sub-required", f"{FLOW}-subscription", "payloads-state-subscribe"),
    _m("no subscription to data", _narrow, f"{BIRTH}-sub-required", f"{FLOW}-subscription", f"{FLOW}-state-publish"),
    _m("the session is not clean", packet(Connect, 1, clean=False), f"{FLOW}-clean-session-311"),
    _m("the session of MQTT 5 is not clean", packet(Connect, 0, clean=False), f"{FLOW}-clean-session-50"),
    _m("the session of MQTT 5 does not expire", packet(Connect, 0, expiry_s=60), f"{FLOW}-clean-session-50"),
    _m("one time for all servers", _as_elsewhere, "operational-behavior-host-application-multi-server-timestamp"),
]


def _silent(transcript: Transcript) -> Transcript:
    """Nobody contradicts after the first word that the host is offline, which it hears after its birth."""
    heard = next(
        index for index in said(transcript, "STATE", _offline, sent=False) if passed(transcript, index).at > _stop(transcript, "gap")
    )
    gone = {index for index in said(transcript, "STATE", _online) if index > heard}
    return replace(transcript, events=tuple(event for index, event in enumerate(transcript.events) if index not in gone))


def _stop(transcript: Transcript, what: str) -> float:
    return next(deed.at for _, deed in transcript.did(what))


def _last_death(transcript: Transcript) -> int:
    return said(transcript, "STATE", _offline)[0]


def _farewell_first(transcript: Transcript) -> Transcript:
    """DISCONNECT comes before the death."""
    death = _last_death(transcript)
    event = passed(transcript, death)
    index = next(i for i, one in transcript.packets(Disconnect) if one.line == event.line)
    events: list[Event] = list(transcript.events)
    events[death], events[index] = replace(passed(transcript, index), at=event.at), event
    return replace(transcript, events=tuple(events))


def _late_word(transcript: Transcript) -> Transcript:
    """Something is said after the death."""
    death = _last_death(transcript)
    command = passed(transcript, said(transcript, "NCMD")[0])
    event = passed(transcript, death)
    return at(transcript, death, event, replace(command, line=event.line, at=event.at))


_OLD_END = publish("STATE", _later(-60_000), -1, _offline)

DEATHS = [
    _m("a false word is not contradicted", _silent, "message-flow-hid-sparkplug-state-message-delivered"),
    _m("a false word is contradicted with another time", _birth(_later(5), 3), "message-flow-hid-sparkplug-state-message-delivered"),
    _m("no death at the end", drop("STATE", 0, _offline), TERMINATION, f"{DEATH}-payload-timestamp-disconnect-clean"),
    _m("the death after DISCONNECT", _farewell_first, TERMINATION, f"{DEATH}-payload-timestamp-disconnect-clean"),
    _m("the death tells when the session began", _death(_later(-1_000)), f"{DEATH}-payload-timestamp-disconnect-clean"),
    _m("a death without DISCONNECT tells an old time", _OLD_END, f"{DEATH}-payload-timestamp-disconnect-with-no-disconnect-packet"),
    _m("the death at QoS 0", _death(lambda one: replace(one, qos=0)), f"{ENDED}-qos", f"{DEATH}-qos"),
    _m("the death is not retained", _death(lambda one: replace(one, retain=False)), f"{ENDED}-retained", f"{DEATH}-retain"),
    _m("the death on STATE/vigia", _death(lambda one: replace(one, topic="STATE/vigia")), f"{ENDED}-topic", f"{DEATH}-topic"),
    _m("the death says OFFLINE", _death(lambda one: replace(one, payload=b"OFFLINE")), f"{ENDED}-payload", f"{DEATH}-payload"),
    _m("a command after the death", _late_word, "operational-behavior-host-application-disconnect-intentional"),
]


def _request(message: Message) -> bool:
    return metric(message.payload, REBIRTH) is not None


def _commands(kind: str, first: str, second: str) -> list[Mutation]:
    """What must be true of both kinds of commands; `first` and `second` begin their assertions."""
    lower = kind.lower()
    return [
        _m(f"a {kind} on another topic", topic(kind, "spBv1.0/acme", "spBv1.0/emca"), f"{first}-topic"),
        _m(f"a {kind} at QoS 1", fields(kind, qos=1), f"{first}-mqtt", f"{second}-qos"),
        _m(f"a {kind} that is retained", fields(kind, retain=True), f"{first}-mqtt", f"{second}-retain"),
        _m(f"a {kind} without a time", payload(kind, lambda one: one.ClearField("timestamp")), f"{first}-timestamp", f"{second}-timestamp"),
        _m(f"a {kind} with a number", payload(kind, lambda one: setattr(one, "seq", 1)), f"{second}-seq"),
        _m(f"a {kind} that writes nothing", payload(kind, lambda one: one.ClearField("metrics")), f"{first}-payload"),
        _m(
            f"a {kind} of a metric that was not announced",
            payload(kind, lambda one: setattr(one.metrics[0], "name", "what")),
            f"{COMMANDS}-{lower}-metric-name",
        ),
        _m(
            f"a {kind} of another type",
            payload(kind, lambda one: setattr(one.metrics[0], "string_value", "1")),
            f"{COMMANDS}-{lower}-metric-value",
        ),
        _m(f"a {kind} as data", topic(kind, kind, kind.replace("CMD", "DATA")), f"{COMMANDS}-{lower}-verb"),
    ]


SENT = [
    *_commands("NCMD", "topics-ncmd", "payloads-ncmd"),
    *_commands("DCMD", "topics-dcmd", "payloads-dcmd"),
    _m("an NCMD in lower case", topic("NCMD", "NCMD", "ncmd"), "topics-ncmd-topic", "topic-structure"),
    _m(
        "a rebirth is requested by DCMD",
        publish("NCMD", lambda one: replace(one, topic=one.topic.replace("NCMD", "DCMD")), where=_request),
        f"{COMMANDS}-ncmd-rebirth-verb",
    ),
    _m(
        "a request for a refresh",
        payload("NCMD", lambda one: setattr(one.metrics[0], "name", "Node Control/Refresh"), where=_request),
        f"{COMMANDS}-ncmd-rebirth-name",
    ),
    _m(
        "a request that says false",
        payload("NCMD", lambda one: setattr(one.metrics[0], "boolean_value", False), where=_request),
        f"{COMMANDS}-ncmd-rebirth-value",
    ),
]


def _gap_and_request(transcript: Transcript) -> tuple[int, int]:
    """Where the gap is, and the request for a rebirth that follows it; a slow start may have led to others before."""
    gap, _ = next(transcript.did("gap"))
    return gap, next(i for i in said(transcript, "NCMD", _request) if i > gap)


def _requested_at_once(transcript: Transcript) -> Transcript:
    """The request for a rebirth follows the first message behind the gap."""
    gap, index = _gap_and_request(transcript)
    event, rest = passed(transcript, index), at(transcript, index)
    behind = next(i for i in range(gap, len(rest.events)) if _is_data(rest.events[i]))
    return at(rest, behind, rest.events[behind], replace(event, at=rest.events[behind].at + 20))


def _requested_late(transcript: Transcript) -> Transcript:
    """The request for a rebirth comes when as many heartbeats were answered as in the time that holds without being told."""
    gap, index = _gap_and_request(transcript)
    answers = [i for i in said(transcript, "NCMD", lambda message: not _request(message)) if i > gap]
    last = passed(transcript, answers[transcript.facts["heartbeats_of_default"] - 1])
    rest = at(transcript, index)
    return at(rest, rest.events.index(last), last, replace(passed(transcript, index), at=last.at + 1))


def _is_data(event: Event) -> bool:
    return isinstance(event, Passed) and isinstance(event.packet, Publish) and f"/DDATA/{FOREIGN_NODE}/" in event.packet.topic


def _asks_without_need(transcript: Transcript) -> Transcript:
    """A rebirth is requested although the messages were only swapped."""
    request = passed(transcript, said(transcript, "NCMD", _request)[0])
    gap, deed = next(transcript.did("gap"))
    return at(transcript, gap, replace(request, at=deed.at - 1), deed)


def _devices(after: str, **changed: object) -> Mutate:
    """What the database says of the devices after a death, of those it says are dead."""

    def change(event: Event) -> Event:
        if getattr(event, "after", "") != after:
            return event
        facts: dict[str, Any] = event.facts  # type: ignore[union-attr]  # only what was looked up has `after`
        devices = {name: {**told, **changed} if not told["alive"] else told for name, told in facts["devices"].items()}
        return replace(event, facts={**facts, "devices": devices})  # type: ignore[call-arg]

    return lambda transcript: transcript.changed(change)


EDGES = [
    _m("a rebirth is requested at once", _requested_at_once, f"{ORDER}-start", f"{ORDER}-param"),
    _m("a rebirth is requested after two seconds, whatever is configured", _requested_late, f"{ORDER}-param"),
    _m("a missing message is not asked for", drop("NCMD", 0, _request), f"{ORDER}-rebirth"),
    _m("a rebirth is requested though nothing is missing", _asks_without_need, f"{ORDER}-success"),
    _m("a dead node stays online", looked("NDEATH", online=True), f"{DIED}-ndeath-node-offline"),
    _m("a dead node is dead since its Will was written", looked("NDEATH", died_at=1_000), f"{DIED}-ndeath-node-offline"),
    _m("a dead node's devices stay online", _devices("NDEATH", alive=True), f"{DIED}-ndeath-devices-offline"),
    _m(
        "a dead node's devices are dead since never",
        _devices("NDEATH", died_at=None),
        f"{DIED}-ndeath-devices-offline",
        f"{DIED}-ndeath-devices-tags-stale",
    ),
    _m("a dead node's readings stay good", looked("NDEATH", qualities={"R1": [192], "R2": [500]}), f"{DIED}-ndeath-devices-tags-stale"),
    _m("a dead device stays online", _devices("DDEATH", alive=True), f"{DIED}-ddeath-devices-offline"),
    _m(
        "a dead device is dead since we heard",
        _devices("DDEATH", died_at=1_000),
        f"{DIED}-ddeath-devices-offline",
        f"{DIED}-ddeath-devices-tags-stale",
    ),
    _m("a dead device's readings stay good", looked("DDEATH", qualities={"R1": [192], "R2": [192]}), f"{DIED}-ddeath-devices-tags-stale"),
    _m(
        "another device's readings are stale, too",
        looked("DDEATH", qualities={"R1": [500], "R2": [500]}),
        f"{DIED}-ddeath-devices-tags-stale",
    ),
]

ALL = [*WILLS, *BIRTHS, *DEATHS, *SENT, *EDGES]
