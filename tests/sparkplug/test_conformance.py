"""What our edge node and our host application do, against the published assertions of Sparkplug B 3.0."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from conformance.report import page
from conformance.transcript import Transcript
from conformance.verdicts import FAIL, NOT_FOLLOWED, Verdict, assertions, judge

PAGE = Path(__file__).parents[2] / "docs" / "sparkplug-conformance.md"

pytestmark = [pytest.mark.xdist_group("sparkplug conformance"), pytest.mark.timeout(300)]


@pytest.fixture(scope="session")
def verdicts(plays: Mapping[str, Transcript]) -> Sequence[Verdict]:
    return judge(plays)


def test_the_table_has_every_assertion_once() -> None:
    ids = [assertion.id for assertion in assertions()]
    assert len(set(ids)) == len(ids) == 299
    assert Counter(assertion.profile for assertion in assertions()) == {
        "edge": 194,
        "edge+host": 2,
        "host": 92,
        "server-compliant": 4,
        "server-aware": 7,
    }


def test_what_cannot_be_tested_has_a_reason() -> None:
    assert [assertion.id for assertion in assertions() if not assertion.checks and not assertion.note] == []


def test_nothing_fails_but_what_we_do_not_follow_on_purpose(verdicts: Sequence[Verdict]) -> None:
    failed = {verdict.assertion.id: verdict for verdict in verdicts if verdict.result == FAIL}
    assert {id_: verdict.found[:3] for id_, verdict in failed.items() if id_ not in NOT_FOLLOWED} == {}
    assert set(failed) == NOT_FOLLOWED
    assert {verdict.assertion.level for verdict in failed.values()} == {"SHOULD"}
    assert all(verdict.assertion.note for verdict in failed.values())


def test_the_page_says_what_was_seen(verdicts: Sequence[Verdict]) -> None:
    assert PAGE.read_text("utf-8") == page(verdicts), "run PYTHONPATH=tests/sparkplug python -m conformance"
