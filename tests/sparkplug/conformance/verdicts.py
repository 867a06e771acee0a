"""From transcripts to verdicts: the table of assertions asks the checks, and says why where it cannot."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from conformance import both_sides, edge_hosts, edge_metrics, edge_sessions, edge_shapes, edge_topics, host_commands, host_sessions
from conformance.checks import ask
from conformance.reading import Reading
from conformance.transcript import Transcript

ROOMS = (both_sides, edge_topics, edge_sessions, edge_hosts, edge_metrics, edge_shapes, host_sessions, host_commands)
PASS, FAIL, NOT_TESTABLE, NOT_OURS = "pass", "fail", "not testable", "not ours"
SERVER = "server"
NOT_FOLLOWED = {
    "tck-id-principles-rbe-recommended",
    "tck-id-operational-behavior-data-publish-nbirth-change",
    "tck-id-operational-behavior-data-publish-dbirth-change",
}
"""Recommendations that we do not follow, for the reasons in the table."""


@dataclass(frozen=True)
class Assertion:
    """A row of the table. `checks` are calls as `ask` takes them; `note` is the reason where there is none, or what to know beside."""

    id: str
    profile: str
    level: str
    checks: tuple[str, ...]
    wording: str
    note: str


@dataclass(frozen=True)
class Verdict:
    """`found` are the violations, or with `pass` nothing."""

    assertion: Assertion
    result: str
    found: tuple[str, ...] = ()


def assertions() -> list[Assertion]:
    """The table, in the order of the specification."""
    rows = (Path(__file__).parent / "assertions.tsv").read_text("utf-8").splitlines()[1:]
    return [
        Assertion(id_, profile, level, tuple(checks.split()), wording, note)
        for id_, profile, level, checks, wording, note in map(_split, rows)
    ]


def _split(row: str) -> list[str]:
    return row.split("\t")


def judge(plays: Mapping[str, Transcript]) -> list[Verdict]:
    """A verdict for each assertion, from the transcripts of the plays `edge` and `host`; with one of them, for what it can answer."""
    readings = {subject: Reading(transcript) for subject, transcript in plays.items()}
    said: dict[str, list[tuple[bool, str]]] = {}
    verdicts = []
    for assertion in assertions():
        if not {call.split(".")[0] for call in assertion.checks} <= readings.keys():
            continue
        for call in assertion.checks:
            if call not in said:
                said[call] = list(ask(call, readings[call.split(".")[0]]))
        verdicts.append(_verdict(assertion, [said[call] for call in assertion.checks]))
    return verdicts


def _verdict(assertion: Assertion, answers: list[list[tuple[bool, str]]]) -> Verdict:
    found = tuple(what for answer in answers for held, what in answer if not held)
    if found:
        return Verdict(assertion, FAIL, found)
    if answers and all(answers):
        return Verdict(assertion, PASS)
    assert assertion.note, f"{assertion.id}: nothing was seen that could answer it, and the table gives no reason"
    return Verdict(assertion, NOT_OURS if assertion.profile.startswith(SERVER) else NOT_TESTABLE)
