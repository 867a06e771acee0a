"""The checker is checked: whatever breaks a rule is found, by the assertion that it breaks."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from conformance import mutations_edge, mutations_host, mutations_sessions, mutations_shapes
from conformance.checks import ask
from conformance.mutating import Mutation
from conformance.packets import Publish
from conformance.reading import Reading, parse, value
from conformance.rich import rich_edge, rich_host
from conformance.transcript import Event, Passed, Transcript
from conformance.verdicts import NOT_FOLLOWED, assertions

MUTATIONS = [*mutations_edge.ALL, *mutations_sessions.ALL, *mutations_shapes.ALL, *mutations_host.ALL]
BY_ID = {assertion.id.removeprefix("tck-id-"): assertion for assertion in assertions()}

pytestmark = [pytest.mark.xdist_group("sparkplug conformance"), pytest.mark.timeout(300)]


@pytest.fixture(scope="session")
def rich(plays: Mapping[str, Transcript]) -> Mapping[str, Transcript]:
    """What was seen, and beside it what ours never do, as it should be."""
    return {"edge": rich_edge(plays["edge"]), "host": rich_host(plays["host"])}


def violations(transcript: Transcript, subject: str, assertion: str) -> list[str]:
    reading = Reading(transcript)
    calls = [call for call in BY_ID[assertion].checks if call.startswith(f"{subject}.")]
    assert calls, f"no check of {assertion} looks at the {subject}"
    return [what for call in calls for held, what in ask(call, reading) if not held]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: f"{one.subject}: {one.name}")
def test_a_violation_is_found_by_each_assertion_that_it_breaks(mutation: Mutation, rich: Mapping[str, Transcript]) -> None:
    broken = mutation.mutate(rich[mutation.subject])
    assert {assertion: bool(violations(broken, mutation.subject, assertion)) for assertion in mutation.breaks} == dict.fromkeys(
        mutation.breaks, True
    )


def test_the_unbroken_transcripts_pass_and_have_something_for_every_check(rich: Mapping[str, Transcript]) -> None:
    readings = {subject: Reading(transcript) for subject, transcript in rich.items()}
    said = {call: list(ask(call, readings[call.split(".")[0]])) for one in assertions() for call in one.checks}
    assert [call for call, answer in said.items() if not answer] == []
    failed = {call: [what for held, what in answer if not held][:3] for call, answer in said.items() if not all(held for held, _ in answer)}
    assert {call for call in failed if not call.startswith("edge.only_changes_are_told")} == set(), failed


def test_every_assertion_with_a_check_is_broken_by_a_violation() -> None:
    broken = {assertion for mutation in MUTATIONS for assertion in mutation.breaks}
    must = {name for name, one in BY_ID.items() if one.checks and one.level != "MAY" and one.id not in NOT_FOLLOWED}
    assert must - broken == set()
    assert len({(mutation.subject, mutation.name) for mutation in MUTATIONS}) == len(MUTATIONS)


def test_what_we_do_not_follow_would_pass_if_nothing_were_said_twice(plays: Mapping[str, Transcript]) -> None:
    """Without the metrics that did not change, the three assertions that fail hold: the checks are not merely always against us."""
    last: dict[tuple[int, str, int], object] = {}

    def news(event: Event) -> Event | None:
        if not (
            isinstance(event, Passed) and event.sent and isinstance(event.packet, Publish) and event.packet.topic.startswith("spBv1.0/air/")
        ):
            return event
        message = type(parse(event.packet.payload))()
        message.CopyFrom(parse(event.packet.payload))
        kept = list(_new(message, event, last))
        del message.metrics[:]
        message.metrics.extend(kept)
        return Passed(
            event.at, event.server, event.line, sent=True, packet=Publish(event.packet.topic, message.SerializeToString(), 0, retain=False)
        )

    quiet = plays["edge"].changed(news)
    assert {one: violations(quiet, "edge", one.removeprefix("tck-id-")) for one in NOT_FOLLOWED} == {one: [] for one in NOT_FOLLOWED}


def _new(message: Any, event: Passed, last: dict[tuple[int, str, int], object]) -> Iterator[Any]:  # noqa: ANN401 - protobuf at run time
    assert isinstance(event.packet, Publish)
    of, is_data = event.packet.topic.rsplit("/", 1)[1], "DATA/" in event.packet.topic
    for one in message.metrics:
        key = (event.line, of, one.alias)
        if not is_data or one.is_historical or key not in last or last[key] != value(one):
            yield one
        if one.HasField("alias") and not one.is_historical:
            last[key] = value(one)
