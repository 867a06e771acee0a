"""Seeded violations in what an edge node says: topics, delivery, numbers, metrics."""

from dataclasses import replace
from typing import Any

from conformance.edge_play import WALKING
from conformance.gateway import START_MS, STEP_MS
from conformance.mutating import (
    Mutate,
    Mutation,
    delete,
    drop,
    drop_all,
    fields,
    named,
    of_node,
    payload,
    publish,
    repeat,
    reverse,
    said,
    setting,
    topic,
)
from conformance.rich import scripted
from conformance.transcript import Transcript

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


def _seq(kind: str, n: int = 1) -> Mutate:
    return payload(kind, lambda one: setattr(one, "seq", (one.seq + 1) % 256), n)


def _clear(field: str) -> Any:  # noqa: ANN401
    return lambda one: one.ClearField(field)


def _clear_metric(field: str, index: int = -1) -> Any:  # noqa: ANN401
    return lambda one: one.metrics[index].ClearField(field)


def _by_name(one: Any) -> None:  # noqa: ANN401
    one.metrics[0].name = "T2"


IDENTITY = [
    _m("the group id has a +", topic("NBIRTH", "/air/", "/a+r/"), "intro-group-id-chars", "topic-structure-namespace-valid-group-id"),
    _m("the group id is no text", topic("NDATA", "/air/", "/\udcff/"), "intro-group-id-string", "topics-ndata-topic"),
    _m("the node id has a #", topic("DDATA", "/bcn/", "/b#n/"), "intro-edge-node-id-chars", "topic-structure-namespace-valid-edge-node-id"),
    _m(
        "the node id is no text",
        topic("DBIRTH", "/bcn/", "/\udcff/"),
        "intro-edge-node-id-string",
        f"{DEVICE}-dbirth-match-edge-node-topic",
    ),
    _m("the device id has a +", topic("DDATA", "/R1", "/R+"), "intro-device-id-chars", "topic-structure-namespace-valid-device-id"),
    _m("the device id is no text", topic("DBIRTH", "/R1", "/\udcff"), "intro-device-id-string"),
    _m(
        "the namespace is of version A",
        topic("NBIRTH", "spBv1.0", "spAv1.0"),
        "topic-structure-namespace-a",
        "topic-structure",
        f"{BIRTH}-topic",
    ),
    _m("the type is in lower case", topic("NBIRTH", "NBIRTH", "nbirth"), "topics-nbirth-topic", "topic-structure"),
    _m(
        "a DBIRTH names no device",
        topic("DBIRTH", "/R1", ""),
        "topic-structure-namespace-device-id-associated-message-types",
        "topics-dbirth-topic",
    ),
    _m("a DDATA names no device", topic("DDATA", "/R1", ""), "topics-ddata-topic"),
    _m("a DDEATH names no device", topic("DDEATH", "/R2", ""), "topics-ddeath-topic"),
    _m("an NDATA names a device", topic("NDATA", "/bcn", "/bcn/R1"), "topic-structure-namespace-device-id-non-associated-message-types"),
    _m("an NDEATH of another node", topic("NDEATH", "/bcn", "/vlc"), "topics-ndeath-topic"),
    _m("a DBIRTH of another node", topic("DBIRTH", "/bcn/", "/vlc/"), f"{DEVICE}-dbirth-topic", f"{DEVICE}-dbirth-match-edge-node-topic"),
    _m(
        "two clients are one node",
        publish("NBIRTH", lambda one: replace(one, topic=one.topic.replace("/mad", "/bcn")), where=of_node(WALKING)),
        "intro-edge-node-id-uniqueness",
        "topic-structure-namespace-unique-edge-node-descriptor",
        "payloads-nbirth-edge-node-descriptor",
    ),
    _m("a device is born twice", repeat("DBIRTH", lambda one: one), "topic-structure-namespace-unique-device-id"),
    _m("ids differ in case only", topic("DBIRTH", "/R2", "/r1", 1), "case-sensitivity-sparkplug-ids"),
    _m("names differ in case only", payload("DBIRTH", setting("T2", name="t24")), "case-sensitivity-metric-names"),
]

DELIVERY = [
    _m(f"a {kind} {what}", fields(kind, **{field: value}), *breaks)
    for kind, of in {
        "NBIRTH": ("topics-nbirth-mqtt", "payloads-nbirth", f"{BIRTH}"),
        "DBIRTH": ("topics-dbirth-mqtt", "payloads-dbirth", f"{DEVICE}-dbirth"),
        "NDATA": ("topics-ndata-mqtt", "payloads-ndata", ""),
        "DDATA": ("topics-ddata-mqtt", "payloads-ddata", ""),
        "DDEATH": ("topics-ddeath-mqtt", "", ""),
    }.items()
    for what, field, value, ends in (
        ("at QoS 1", "qos", 1, ("-qos", "-qos")),
        ("that is retained", "retain", True, ("-retain", "-retained")),
    )
    for breaks in [(of[0], *([f"{of[1]}{ends[0]}"] if of[1] else []), *([f"{of[2]}{ends[1]}"] if of[2] else []))]
]

TIMES_AND_NUMBERS = [
    *(
        _m(
            f"{kind} without a time",
            payload(kind, _clear("timestamp")),
            f"topics-{kind.lower()}-timestamp",
            f"payloads-{kind.lower()}-timestamp",
        )
        for kind in ("NBIRTH", "DBIRTH", "NDATA", "DDATA")
    ),
    _m("a DDEATH without a time", payload("DDEATH", _clear("timestamp")), "payloads-ddeath-timestamp"),
    _m(
        "local time in a payload",
        payload("DDATA", lambda one: setattr(one, "timestamp", one.timestamp + 3_600_000)),
        "payloads-timestamp-in-UTC",
    ),
    *(
        _m(
            f"a {kind} without a number",
            payload(kind, _clear("seq")),
            f"payloads-{kind.lower()}-seq",
            "payloads-sequence-num-always-included",
        )
        for kind in ("DBIRTH", "NDATA", "DDATA", "DDEATH")
    ),
    _m("a DDEATH without a number, to be ordered", payload("DDEATH", _clear("seq")), "payloads-ddeath-seq-number"),
    _m(
        "an NBIRTH without a number",
        payload("NBIRTH", _clear("seq")),
        "payloads-nbirth-seq",
        "payloads-sequence-num-req-nbirth",
        f"{BIRTH}-payload-seq",
    ),
    _m(
        "an NBIRTH numbered 256",
        payload("NBIRTH", lambda one: setattr(one, "seq", 256)),
        "payloads-nbirth-seq",
        "payloads-sequence-num-req-nbirth",
    ),
    _m("an NBIRTH numbered 7", payload("NBIRTH", lambda one: setattr(one, "seq", 7)), "topics-nbirth-seq-num"),
    _m("a DBIRTH skips a number", _seq("DBIRTH"), "topics-dbirth-seq", "payloads-dbirth-seq-inc", f"{DEVICE}-dbirth-payload-seq"),
    _m("an NDATA skips a number", _seq("NDATA", 0), "topics-ndata-seq-num", "payloads-ndata-seq-inc"),
    _m("a DDATA skips a number", _seq("DDATA"), "topics-ddata-seq-num", "payloads-ddata-seq-inc", "payloads-sequence-num-incrementing"),
    _m("a DDEATH skips a number", _seq("DDEATH", 0), "topics-ddeath-seq-num", "payloads-ddeath-seq-inc"),
    _m(
        "the number after 255 is 256",
        payload("DDATA", lambda one: setattr(one, "seq", 256), where=lambda message: message.payload.seq == 0),
        "payloads-sequence-num-incrementing",
        "topics-ddata-seq-num",
    ),
    _m("a message is lost on the way out", drop("DDATA", 5), "payloads-ddata-seq-inc", "payloads-sequence-num-incrementing"),
]


def _of_hour(hour: int) -> Any:  # noqa: ANN401
    return lambda message: any(one.timestamp == START_MS + hour * STEP_MS for one in message.payload.metrics)


def _point_untold(transcript: Transcript) -> Transcript:
    """One point of one tick, however often that tick is told."""
    for n in range(len(said(transcript, "DDATA", _of_hour(5)))):
        transcript = payload("DDATA", lambda one: one.metrics.__delitem__(3), n, _of_hour(5))(transcript)
    return transcript


METRICS = [
    _m(
        "an NDATA of an unknown alias",
        payload("NDATA", lambda one: setattr(one.metrics[0], "alias", 777)),
        "topics-nbirth-metric-reqs",
        f"{DATA}-nbirth",
        "payloads-name-requirement",
    ),
    _m(
        "a DDATA of an unknown alias",
        payload("DDATA", lambda one: setattr(one.metrics[0], "alias", 777)),
        "topics-dbirth-metric-reqs",
        f"{DATA}-dbirth",
    ),
    _m("a metric is missing in a DBIRTH", payload("DBIRTH", lambda one: delete(one, "T2")), "topics-dbirth-metric-reqs", f"{DATA}-dbirth"),
    _m(
        "a metric in an NBIRTH without a data type",
        payload("NBIRTH", _clear_metric("datatype")),
        "topics-nbirth-metrics",
        "payloads-metric-datatype-req",
    ),
    _m(
        "a metric in a DBIRTH without a data type",
        payload("DBIRTH", _clear_metric("datatype")),
        "topics-dbirth-metrics",
        "payloads-metric-datatype-req",
    ),
    _m(
        "a metric in a DBIRTH without a name",
        payload("DBIRTH", _clear_metric("name")),
        "topics-dbirth-metrics",
        "payloads-alias-birth-requirement",
        "payloads-name-requirement",
    ),
    _m("a metric in an NBIRTH that is null and set", payload("NBIRTH", setting("Vigia/Epoch", is_null=True)), f"{DATA}-nbirth-values"),
    _m("a metric in a DBIRTH that is neither", payload("DBIRTH", _clear_metric("is_null")), f"{DATA}-dbirth-values"),
    _m("a DBIRTH with an old value", payload("DBIRTH", setting("T2", double_value=-1.0), 2), f"{DATA}-dbirth-values"),
    _m("a tick is not told", drop_all("DDATA", _of_hour(5)), "topics-ddata-payload"),
    _m("a point is not told", _point_untold, "topics-ddata-payload"),
    _m("the newest batch is not told", payload("NDATA", lambda one: setattr(one.metrics[0], "long_value", 1)), "topics-ndata-payload"),
    _m(
        "an alias twice in a birth",
        payload("DBIRTH", lambda one: setattr(one.metrics[1], "alias", one.metrics[2].alias)),
        "payloads-alias-uniqueness",
    ),
    _m(
        "an alias of another device",
        payload("DBIRTH", lambda one: setattr(one.metrics[1], "alias", one.metrics[1].alias - 30), 1),
        "payloads-alias-uniqueness",
    ),
    _m(
        "a metric without an alias at birth",
        payload("DBIRTH", lambda one: named(one, "T2").ClearField("alias")),
        "payloads-alias-birth-requirement",
    ),
    _m("a name beside the alias in data", payload("DDATA", _by_name), "payloads-alias-data-cmd-requirement"),
    _m(
        "a name and no alias in data",
        payload("DDATA", lambda one: (_by_name(one), one.metrics[0].ClearField("alias"))),
        "payloads-alias-data-cmd-requirement",
    ),
    _m("a metric without a time", payload("DDATA", _clear_metric("timestamp")), "payloads-name-birth-data-requirement"),
    _m(
        "a metric's time in seconds",
        payload("NDATA", lambda one: setattr(one.metrics[0], "timestamp", one.metrics[0].timestamp // 1000)),
        "payloads-metric-timestamp-in-UTC",
    ),
    _m("an unknown data type", payload("DBIRTH", setting("T2", datatype=99)), "payloads-metric-datatype-value"),
    _m("a data type in data", payload("DDATA", lambda one: setattr(one.metrics[0], "datatype", 10)), "payloads-metric-datatype-not-req"),
    _m(
        "an NBIRTH out of order",
        payload("NBIRTH", lambda one: setattr(one.metrics[-1], "timestamp", one.metrics[0].timestamp - 1)),
        f"{DATA}-nbirth-order",
    ),
    _m(
        "a DDATA out of order",
        payload("DDATA", lambda one: reverse(one.metrics), where=lambda m: scripted(m) and len(m.payload.metrics) > 9),
        f"{DATA}-dbirth-order",
    ),
]

ALL = [*IDENTITY, *DELIVERY, *TIMES_AND_NUMBERS, *METRICS]
