"""Subjects that break a rule for real: the checker finds it on the wire, not only in a transcript that was changed by hand."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conformance.edge_play import play_edge
from conformance.host_play import play_host
from conformance.verdicts import FAIL, judge
from ingest_harness import seed

from vigia.edge import session
from vigia.edge.buffer import EdgeBuffer
from vigia.edge.connection import Connection
from vigia.edge.messages import Messages
from vigia.ingest import control
from vigia.sparkplug import names
from vigia.sparkplug.payload import Payload
from vigia.sparkplug.session import node_death

Break = Callable[[pytest.MonkeyPatch], None]

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("sparkplug conformance"), pytest.mark.timeout(300)]


def numbered_deaths(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(session, "node_death", lambda *given: replace(node_death(*given), seq=5))


def numbers_by_twos(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(session, "next_seq", lambda seq: (seq + 2) % 256)


def births_without_rebirth(patch: pytest.MonkeyPatch) -> None:
    birth = Messages.node_birth

    def without(self: Messages, *given: Any) -> Payload:  # noqa: ANN401
        whole = birth(self, *given)
        return replace(whole, metrics=tuple(one for one in whole.metrics if one.name != names.REBIRTH))

    patch.setattr(Messages, "node_birth", without)


def retained_messages(patch: pytest.MonkeyPatch) -> None:
    def publish(self: Connection, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, qos=0, retain=True)

    patch.setattr(Connection, "publish", publish)


def sessions_that_are_not_counted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(EdgeBuffer, "next_bd_seq", property(lambda _: 0))


def state_at_qos0(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(control, "QOS", 0)


def deaths_of_yesterday(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(control, "now_ms", lambda: 0)


@pytest.mark.parametrize(
    ("misbehave", "broken"),
    [
        (numbered_deaths, {"topics-ndeath-seq", "payloads-ndeath-seq"}),
        (numbers_by_twos, {"payloads-sequence-num-incrementing", "topics-ddata-seq-num", "payloads-ddeath-seq-inc"}),
        (births_without_rebirth, {"topics-nbirth-rebirth-metric", "operational-behavior-data-commands-rebirth-name"}),
        (retained_messages, {"topics-nbirth-mqtt", "payloads-ddata-retain", "message-flow-device-birth-publish-dbirth-retained"}),
        (sessions_that_are_not_counted, {"topics-nbirth-bdseq-increment"}),
    ],
)
def test_an_edge_node_that_breaks_a_rule_is_found_out(
    misbehave: Break, broken: set[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    misbehave(monkeypatch)
    found = {verdict.assertion.id for verdict in judge({"edge": play_edge(tmp_path)}) if verdict.result == FAIL}
    assert {f"tck-id-{one}" for one in broken} <= found
    assert "tck-id-topics-nbirth-topic" not in found


@pytest.mark.parametrize(
    ("misbehave", "broken"),
    [
        (
            state_at_qos0,
            {"host-topic-phid-birth-qos", "payloads-state-will-message-qos", "operational-behavior-host-application-death-qos"},
        ),
        (deaths_of_yesterday, {"host-topic-phid-death-payload-timestamp-disconnect-clean"}),
    ],
)
async def test_a_host_that_breaks_a_rule_is_found_out(
    misbehave: Break, broken: set[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dsn: str
) -> None:
    misbehave(monkeypatch)
    await seed(dsn)
    found = {verdict.assertion.id for verdict in judge({"host": play_host(tmp_path, dsn)}) if verdict.result == FAIL}
    assert {f"tck-id-{one}" for one in broken} <= found
    assert "tck-id-topics-ncmd-topic" not in found
