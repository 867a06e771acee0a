"""A roll-out goes on only while all goes well."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia.domain.errors import InvalidValueError
from vigia.domain.rollouts import Part, Stage, State, canaries, check_configuration, stage_after

CANARY, OTHER = True, False


def parts(*states: tuple[bool, State]) -> Sequence[Part]:
    return [Part(canary, state) for canary, state in states]


@pytest.mark.parametrize(("count", "share", "first"), [(1, 0.1, 1), (10, 0.1, 1), (11, 0.1, 2), (3, 1, 3), (100, 0.25, 25), (0, 0.5, 0)])
def test_a_share_tries_first_and_at_least_one(count: int, share: float, first: int) -> None:
    assert canaries(count, share) == first


@pytest.mark.parametrize("share", [0, -1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(InvalidValueError):
        canaries(10, share)


def test_the_rest_waits_until_all_that_try_first_run_well() -> None:
    waiting = (OTHER, State.WAITING)
    trying = parts((CANARY, State.APPLIED), (CANARY, State.RELEASED), waiting)
    assert stage_after(Stage.CANARY, trying) is Stage.CANARY
    assert stage_after(Stage.CANARY, parts((CANARY, State.APPLIED), (CANARY, State.APPLIED), waiting)) is Stage.REST


def test_one_failure_halts_it_at_any_stage() -> None:
    failed = parts((CANARY, State.APPLIED), (OTHER, State.FAILED), (OTHER, State.RELEASED))
    assert stage_after(Stage.CANARY, parts((CANARY, State.FAILED), (OTHER, State.WAITING))) is Stage.HALTED
    assert stage_after(Stage.REST, failed) is Stage.HALTED


def test_it_is_done_when_all_run_well_also_without_a_rest() -> None:
    assert stage_after(Stage.REST, parts((CANARY, State.APPLIED), (OTHER, State.APPLIED))) is Stage.DONE
    assert stage_after(Stage.CANARY, parts((CANARY, State.APPLIED))) is Stage.DONE


@given(st.sampled_from(Stage), st.lists(st.tuples(st.booleans(), st.sampled_from(State)), min_size=1))
def test_it_never_goes_back_and_an_end_is_one(stage: Stage, states: list[tuple[bool, State]]) -> None:
    after = stage_after(stage, parts(*states))
    order = [Stage.CANARY, Stage.REST, Stage.DONE]
    if stage in (Stage.DONE, Stage.HALTED):
        assert after is stage
    elif after is not Stage.HALTED:
        assert order.index(after) >= order.index(stage)


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("", "no \\[\\[node\\]\\]"),
        ("node = []", "no \\[\\[node\\]\\]"),
        ("[[node]", "not TOML"),
        ('[[node]]\n[identity]\nfolder = "x"', "\\[identity\\]"),
        ('[[node]]\na = 1\n[buffer]\nfolder = "x"', "\\[buffer\\]"),
        ("#" * 200_001, "200,000"),
    ],
)
def test_what_cannot_be_a_gateways_configuration_is_refused(toml: str, words: str) -> None:
    with pytest.raises(InvalidValueError, match=words):
        check_configuration(toml)


def test_what_a_gateway_is_to_read_is_let_through() -> None:
    check_configuration('[broker]\nkeepalive_s = 5\n[[node]]\n[node.source]\ntype = "replay"\n')
