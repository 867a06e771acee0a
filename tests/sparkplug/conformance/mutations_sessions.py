"""Seeded violations in how an edge node behaves: connections, births and deaths, its host, rebirths."""

from dataclasses import replace

from conformance.edge_play import ALONE, WALKING
from conformance.mutating import (
    Mutate,
    Mutation,
    at,
    delete,
    drop,
    drop_all,
    edited,
    fields,
    move,
    of_node,
    packet,
    passed,
    payload,
    publish,
    said,
    setting,
    will,
    will_payload,
    without,
)
from conformance.packets import Connack, Connect, Disconnect, Publish, Suback, Subscribe
from conformance.reading import BD_SEQ, REBIRTH, Message, Reading
from conformance.transcript import Ended, Event, Passed, Transcript
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.session import HostState

FLOW, BIRTH, WILL = (
    "message-flow-edge-node-birth-publish",
    "message-flow-edge-node-birth-publish-nbirth",
    "message-flow-edge-node-birth-publish-will-message",
)
DEVICE, COMMANDS, DATA = "message-flow-device-birth-publish", "operational-behavior-data-commands", "operational-behavior-data-publish"
END, SERVERS = (
    "operational-behavior-edge-node-termination-host-offline",
    "operational-behavior-primary-application-state-with-multiple-servers",
)
STATE = "spBv1.0/STATE/vigia"


def _m(name: str, mutate: Mutate, *breaks: str) -> Mutation:
    return Mutation(name, "edge", breaks, mutate)


def _bd_seq_in_all_births(bd_seq: int) -> Mutate:
    """Another bdSeq in every NBIRTH of the first node."""

    def mutate(transcript: Transcript) -> Transcript:
        for n in range(len(said(transcript, "NBIRTH", of_node(ALONE)))):
            transcript = payload("NBIRTH", setting(BD_SEQ, long_value=bd_seq), n, of_node(ALONE))(transcript)
        return transcript

    return mutate


def _unclean(transcript: Transcript) -> Transcript:
    return packet(Connect, clean=False)(transcript)


def _last_unclean(transcript: Transcript) -> Transcript:
    return packet(Connect, len(list(transcript.packets(Connect))) - 1, expiry_s=60)(transcript)


def _stays_connected(transcript: Transcript) -> Transcript:
    """The walking node's first connection ends after its second began."""
    first, second = Reading(transcript).of_nodes[WALKING][:2]
    events: list[Event] = [event for event in transcript.events if event is not first.ended]
    assert first.ended is not None
    events.insert(second.index, replace(first.ended))
    return replace(transcript, events=tuple(events))


CONNECTIONS = [
    _m("the session is not clean", _unclean, "principles-persistence-clean-session-311"),
    _m("the session of MQTT 5 does not expire", _last_unclean, "principles-persistence-clean-session-50"),
    _m("there is no Will", will(lambda _: None), f"{WILL}", f"{WILL}-topic", "payloads-ndeath-will-message"),
    _m(
        "the Will is on another topic",
        will(lambda one: replace(one, topic="spBv1.0/air/NDEATH/vlc")),
        f"{WILL}-topic",
        "payloads-ndeath-will-message",
    ),
    _m("the Will has QoS 0", will(lambda one: replace(one, qos=0)), f"{WILL}-qos", "payloads-ndeath-will-message-qos"),
    _m("the Will is retained", will(lambda one: replace(one, retain=True)), f"{WILL}-will-retained", "payloads-ndeath-will-message-retain"),
    _m("the Will is JSON", will(lambda one: replace(one, payload=b'{"bdSeq": 1}')), f"{WILL}-payload", f"{WILL}-payload-bdSeq"),
    _m(
        "bdSeq in a Will stands still",
        will_payload(setting(BD_SEQ, long_value=0), 1),
        f"{WILL}-payload-bdSeq",
        "topics-nbirth-bdseq-increment",
    ),
    _m("bdSeq in a Will is an Int32", will_payload(setting(BD_SEQ, datatype=DataType.INT32)), f"{WILL}-payload-bdSeq"),
    _m("bdSeq goes on after 255", will_payload(setting(BD_SEQ, long_value=256), 6), f"{WILL}-payload-bdSeq"),
    _m("bdSeq starts at 1", _bd_seq_in_all_births(1), "topics-nbirth-bdseq-increment", "topics-nbirth-bdseq-matching"),
    _m(
        "an NBIRTH without bdSeq",
        payload("NBIRTH", lambda one: delete(one, BD_SEQ)),
        "topics-nbirth-bdseq-included",
        "payloads-nbirth-bdseq",
    ),
    _m(
        "an NBIRTH with the bdSeq before",
        payload("NBIRTH", setting(BD_SEQ, long_value=0), 3),
        "topics-nbirth-bdseq-matching",
        "payloads-nbirth-bdseq-repeat",
        f"{BIRTH}-payload-bdSeq",
    ),
    _m("bdSeq in an NBIRTH is an Int32", payload("NBIRTH", setting(BD_SEQ, datatype=DataType.INT32)), f"{BIRTH}-payload-bdSeq"),
    _m("births before CONNACK", without(Connack, sent=False), f"{FLOW}-connect"),
    _m("births before the subscription", without(Suback, sent=False), "message-flow-edge-node-ncmd-subscribe"),
    _m(
        "a subscription at QoS 0",
        packet(Subscribe, filters=(("spBv1.0/air/NCMD/bcn", 0), (STATE, 1))),
        "message-flow-edge-node-ncmd-subscribe",
    ),
    _m("no subscription to STATE", packet(Subscribe, filters=(("spBv1.0/air/NCMD/bcn", 1),)), f"{SERVERS}-state-subs"),
    _m("no subscription to DCMD", packet(Subscribe, -1, filters=(("spBv1.0/air/NCMD/zgz", 1),)), "message-flow-device-dcmd-subscribe"),
    _m(
        "a subscription to DCMD at QoS 0",
        packet(Subscribe, -1, filters=(("spBv1.0/air/NCMD/zgz", 1), ("spBv1.0/air/DCMD/zgz/+", 0))),
        "message-flow-device-dcmd-subscribe",
    ),
    _m("two connections at once", _stays_connected, f"{SERVERS}-single-server"),
    _m("data is the first message", move("DDATA", "NBIRTH"), "principles-birth-certificates-order"),
]


def _stays_alive(transcript: Transcript) -> Transcript:
    """No NDEATH before the last DISCONNECT of the first node."""
    index = said(transcript, "NDEATH", of_node(ALONE))[-1]
    return at(transcript, index)


DEATHS = [
    _m("an NDEATH with a number", payload("NDEATH", lambda one: setattr(one, "seq", 3)), "topics-ndeath-seq", "payloads-ndeath-seq"),
    _m("a Will with a number", will_payload(lambda one: setattr(one, "seq", 3)), "topics-ndeath-seq", "payloads-ndeath-seq"),
    _m(
        "an NDEATH with another metric",
        payload("NDEATH", lambda one: one.metrics.add(name="why", datatype=DataType.STRING, string_value="tired")),
        "topics-ndeath-payload",
    ),
    _m("an NDEATH of another session", payload("NDEATH", setting(BD_SEQ, long_value=99)), "payloads-ndeath-bdseq"),
    _m(
        "no NDEATH before DISCONNECT",
        _stays_alive,
        "operational-behavior-edge-node-intentional-disconnect-ndeath",
        "payloads-ndeath-will-message-publisher",
        "payloads-ndeath-will-message-publisher-disconnect-mqtt311",
    ),
    _m(
        "MQTT 5 ends without its Will",
        lambda t: packet(Disconnect, len(list(t.packets(Disconnect))) - 1, reason=0)(t),
        "payloads-ndeath-will-message-publisher-disconnect-mqtt50",
    ),
    _m("a lost device lives on", drop_all("DDEATH"), "operational-behavior-device-ddeath"),
]

ORDER = [
    _m("a DBIRTH before the NBIRTH", move("DBIRTH", "NBIRTH"), f"{DEVICE}-nbirth-wait"),
    _m("an NDATA between the births", move("NDATA", "DBIRTH", 0, 2), "payloads-ndata-order", "payloads-dbirth-order"),
    _m("a DDATA between the births", move("DDATA", "DBIRTH", 0, 3), "payloads-ddata-order", "payloads-dbirth-order"),
    _m("a DDATA of a device that was not born", drop("DBIRTH", 2), "payloads-ddata-order"),
    _m("an NBIRTH that is no protobuf", fields("NBIRTH", payload=b"\xff\xff"), f"{BIRTH}-payload"),
    _m("a DBIRTH that is no protobuf", fields("DBIRTH", payload=b"\xff\xff"), f"{DEVICE}-dbirth-payload"),
]


def _hear(n: int, state: HostState) -> Mutate:
    """The `n`th word that is heard of the host is another."""
    return publish("STATE", lambda one: replace(one, payload=state.encode()), n, lambda message: message.publish.topic == STATE, sent=False)


def _never_online(transcript: Transcript) -> Transcript:
    return drop_all("STATE", lambda message: bool(message.state.online), sent=False)(transcript)


def _birth_moves_to(n: int) -> Mutate:
    """The first births come right after the `n`th word of the host."""

    def mutate(transcript: Transcript) -> Transcript:
        word = said(transcript, "STATE", sent=False)[n]
        birth = said(transcript, "NBIRTH")[0]
        event = passed(transcript, birth)
        rest = at(transcript, birth)
        return at(rest, word, rest.events[word], replace(event, at=rest.events[word].at))

    return mutate


def _ignores_its_host(transcript: Transcript) -> Transcript:
    """The first node's third connection neither says NDEATH nor ends when its host goes offline, until much later."""
    line = Reading(transcript).of_nodes[ALONE][2]
    kept = []
    for index, event in enumerate(transcript.events):
        if index in (line.left, *(message.index for message in line.of("NDEATH"))):
            continue
        kept.append(replace(event, at=event.at + 60_000) if event is line.ended else event)
    return replace(transcript, events=tuple(kept))


def _returns_to(server: str) -> Mutate:
    """The walking node's second connection is to this server again."""

    def mutate(transcript: Transcript) -> Transcript:
        number = Reading(transcript).of_nodes[WALKING][1].number
        moved = lambda event: replace(event, server=server) if isinstance(event, Passed | Ended) and event.line == number else event  # noqa: E731
        return transcript.changed(moved)

    return mutate


def _dies_at_an_old_word(transcript: Transcript) -> Transcript:
    """After the old word that the host is offline, the node says NDEATH and leaves."""
    old = next(
        message
        for line in Reading(transcript).of_nodes[ALONE]
        for message in line.states("vigia")
        if message.state.online is False and line.of("NBIRTH") and message.index > line.of("NBIRTH")[0].index
    )
    there = passed(transcript, old.index)
    death = passed(transcript, said(transcript, "NDEATH", of_node(ALONE))[0])
    return at(transcript, old.index, there, replace(death, line=there.line, at=there.at + 1))


HOSTS = [
    _m("births without a word of the host", _never_online, f"{FLOW}-phid-wait", "operational-behavior-edge-node-birth-sequence-wait"),
    _m("births at the word of another host", drop("STATE", 2, sent=False), f"{FLOW}-phid-wait-id"),
    _m("births though the host is offline", _hear(2, HostState(online=False, timestamp=1 << 50)), f"{FLOW}-phid-wait-online"),
    _m("births at an old word", _birth_moves_to(1), f"{FLOW}-phid-wait-timestamp", f"{FLOW}-phid-wait-online"),
    _m("it stays when its host leaves", _ignores_its_host, f"{FLOW}-phid-offline", END),
    _m("it dies late when its host leaves", drop("NDEATH"), f"{FLOW}-phid-offline"),
    _m("it comes back to where its host is offline", _returns_to("A"), f"{SERVERS}-walk"),
    _m("it turns to a server that is not next", _returns_to("C"), f"{SERVERS}-walk"),
    _m("it dies at an old word", _dies_at_an_old_word, f"{END}-timestamp"),
]


def _walks_nowhere(transcript: Transcript) -> Transcript:
    """After its host went offline at the second server, the walking node comes back there."""
    number = Reading(transcript).of_nodes[WALKING][2].number
    return transcript.changed(
        lambda event: replace(event, server="B") if isinstance(event, Passed | Ended) and event.line == number else event
    )


HOSTS.append(_m("it comes back to the server that its host left", _walks_nowhere, f"{END}-reconnect"))


def _data_after_request(transcript: Transcript) -> Transcript:
    """Data that was made after the second request comes before the births."""
    birth = said(transcript, "NBIRTH", of_node(ALONE))[2]
    data = passed(transcript, said(transcript, "DDATA")[0])
    there = passed(transcript, birth)
    assert isinstance(data.packet, Publish)
    late = edited(data.packet, lambda one: setattr(one, "timestamp", int(there.at)))
    return at(transcript, birth, replace(data, packet=late, at=there.at, line=there.line), there)


def _unheard_requests(transcript: Transcript) -> Transcript:
    """No births follow the requests."""
    wanted = {said(transcript, "NBIRTH", of_node(ALONE))[n] for n in (1, 2)}
    return replace(transcript, events=tuple(event for index, event in enumerate(transcript.events) if index not in wanted))


def _reborn(message: Message) -> bool:
    return of_node(ALONE)(message) and message.device == "R2"


REBIRTHS = [
    _m(
        "an NBIRTH without Rebirth",
        payload("NBIRTH", lambda one: delete(one, REBIRTH)),
        "topics-nbirth-rebirth-metric",
        "payloads-nbirth-rebirth-req",
        f"{COMMANDS}-rebirth-name",
    ),
    _m(
        "Rebirth is true",
        payload("NBIRTH", setting(REBIRTH, boolean_value=True)),
        f"{COMMANDS}-rebirth-value",
        "payloads-nbirth-rebirth-req",
    ),
    _m(
        "Rebirth is a number",
        payload("NBIRTH", setting(REBIRTH, datatype=DataType.INT32)),
        f"{COMMANDS}-rebirth-datatype",
        "topics-nbirth-rebirth-metric",
    ),
    _m("Rebirth has an alias", payload("NBIRTH", setting(REBIRTH, alias=999)), f"{COMMANDS}-rebirth-name-aliases"),
    _m("data after a request for a rebirth", _data_after_request, f"{COMMANDS}-rebirth-action-1"),
    _m("a request for a rebirth is not heard", _unheard_requests, f"{COMMANDS}-rebirth-action-2"),
    _m("a rebirth without one of the devices", drop("DBIRTH", 1, _reborn), f"{COMMANDS}-rebirth-action-2"),
    _m("a rebirth under a new bdSeq", payload("NBIRTH", setting(BD_SEQ, long_value=1), 1), f"{COMMANDS}-rebirth-action-3"),
]


ALL = [*CONNECTIONS, *DEATHS, *ORDER, *HOSTS, *REBIRTHS]
