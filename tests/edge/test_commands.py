"""What may be commanded: nothing that no rule names, once, in time, within its range, with those who must approve."""

import json
from dataclasses import replace

import pytest

from vigia.edge.commands import Accepted, Command, MalformedCommandError, Refused, Rule, decide, read
from vigia.sparkplug.datatypes import DataType, Scalar
from vigia.sparkplug.names import COMMAND

NOW = 1_767_225_600_000
SPEED = Rule("M1", "speed", "speed", DataType.DOUBLE, 0.0, 60.0, unit="Hz")
RESTART = Rule("M1", "Device Control/Restart", "restart", DataType.BOOLEAN, allowed=(True,), critical=True)
STEP = Rule("M1", "step", "step", DataType.INT16, allowed=(1, 2), plain=True)
RULES = {(rule.device, rule.name): rule for rule in (SPEED, RESTART, STEP)}
SAID = Command("c-1", "M1", "speed", 40.0, NOW - 1000, NOW + 1000, "ana", ("ben", "eva"))
PLAIN = Command("M1/step@1", "M1", "step", 1, NOW - 1000)


def words(**other: object) -> str:
    said = {"id": "c-1", "issued_at": NOW - 1000, "expires_at": NOW + 1000, "requested_by": "ana", "approved_by": ["ben", "eva"]}
    return json.dumps({key: value for key, value in {**said, **other}.items() if value is not None})


def test_a_command_that_keeps_to_its_rule_is_accepted() -> None:
    assert decide(SAID, RULES, set(), NOW) == Accepted(SPEED, 40.0)
    assert decide(replace(SAID, value=40), RULES, {"c-2"}, NOW) == Accepted(SPEED, 40.0)
    assert decide(replace(SAID, name=RESTART.name, value=True), RULES, set(), NOW) == Accepted(RESTART, value=True)
    assert decide(PLAIN, RULES, set(), NOW) == Accepted(STEP, 1)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"name": "torque"}, "not allowed"),
        ({"device": "M2"}, "not allowed"),
        ({"value": "fast"}, "wrong type"),
        ({"value": True}, "wrong type"),
        ({"value": None}, "wrong type"),
        ({"value": b"\0"}, "wrong type"),
        ({"value": -0.1}, "out of range: -0.1 is below 0 Hz"),
        ({"value": 60.1}, "out of range: 60.1 is above 60 Hz"),
        ({"value": float("nan")}, "out of range"),
        ({"value": float("inf")}, "out of range"),
        ({"expires_at": NOW}, "expired"),
        ({"issued_at": NOW - 60_001}, "expired: issued 60.0 s ago, taken up to 60 s"),
        ({"issued_at": NOW + 60_001, "expires_at": NOW + 90_000}, "clock skew"),
        ({"id": "c-0"}, "used before"),
        ({"expires_at": None}, "not allowed: it came without Vigia/Command"),
        ({"name": RESTART.name, "value": False}, "out of range"),
        ({"name": RESTART.name, "value": True, "approved_by": ("ben",)}, "too few approvers"),
        ({"name": RESTART.name, "value": True, "approved_by": ("ben", " Ben ", "")}, "too few approvers"),
        ({"name": STEP.name, "value": 3}, "out of range"),
        ({"name": STEP.name, "value": True}, "wrong type"),
        ({"name": STEP.name, "value": 40_000}, "wrong type"),
    ],
)
def test_any_other_is_refused_with_its_reason(changed: dict[str, object], reason: str) -> None:
    decided = decide(replace(SAID, **changed), RULES, {"c-0"}, NOW)  # type: ignore[arg-type]
    assert isinstance(decided, Refused)
    assert decided.reason.startswith(reason)


def test_without_rules_nothing_is_allowed() -> None:
    assert isinstance(decide(SAID, {}, set(), NOW), Refused)


def test_what_may_have_acted_before_the_memory_began_is_refused() -> None:
    assert decide(SAID, RULES, set(), NOW, since=SAID.issued_at) == Accepted(SPEED, 40.0)
    decided = decide(SAID, RULES, set(), NOW, since=SAID.issued_at + 1)
    assert isinstance(decided, Refused)
    assert "remember" in decided.reason


def test_a_command_is_read_from_its_metrics() -> None:
    assert read("M1", [("speed", 40.0), (COMMAND, words())], NOW) == SAID
    assert read("M1", [(COMMAND, words(approved_by=None)), ("speed", 40.0)], None) == replace(SAID, approved_by=())


def test_a_plain_command_is_told_from_the_next_by_its_time() -> None:
    first, second = (read("M1", [("step", 1)], sent) for sent in (NOW, NOW + 1))
    assert (first.plain, first.issued_at, first.id == second.id) == (True, NOW, False)


@pytest.mark.parametrize(
    ("metrics", "sent", "id_"),
    [
        ([], NOW, ""),
        ([("speed", 1.0), ("step", 1)], NOW, ""),
        ([("speed", 1.0), ("step", 1), (COMMAND, words())], NOW, "c-1"),
        ([(COMMAND, words())], NOW, "c-1"),
        ([(None, 1.0)], NOW, ""),
        ([("speed", 1.0)], None, ""),
        *(
            ([("speed", 1.0), (COMMAND, text)], NOW, id_)
            for text, id_ in [
                (None, ""),
                ("{", ""),
                ("[" * 100_000, ""),
                ("[]", ""),
                (words(id=None), ""),
                (words(id=""), ""),
                (words(id="x" * 129), ""),
                (words(id="a\nb"), ""),
                (words(issued_at=None), "c-1"),
                (words(issued_at="now"), "c-1"),
                (words(expires_at=True), "c-1"),
                (words(expires_at=1e12), "c-1"),
                (words(expires_at=1 << 60), "c-1"),
                (words(requested_by=None), "c-1"),
                (words(requested_by=" "), "c-1"),
                (words(approved_by="ben, eva"), "c-1"),
                (words(approved_by=[1, 2]), "c-1"),
            ]
        ),
    ],
)
def test_what_cannot_be_understood_is_no_command(metrics: list[tuple[str | None, Scalar | None]], sent: int | None, id_: str) -> None:
    with pytest.raises(MalformedCommandError) as caught:
        read("M1", metrics, sent)
    assert caught.value.id == id_
