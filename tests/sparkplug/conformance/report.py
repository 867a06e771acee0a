"""The verdicts as a page for people."""

from collections import Counter
from collections.abc import Sequence

from conformance.verdicts import FAIL, NOT_OURS, NOT_TESTABLE, PASS, Verdict

RESULTS = (PASS, FAIL, NOT_TESTABLE, NOT_OURS)
PROFILES = {
    "edge": "Edge node (`vigia edge`)",
    "edge+host": "Both",
    "host": "Host application (`vigia ingest`)",
    "server-compliant": "MQTT server",
    "server-aware": "Sparkplug aware MQTT server",
}
INTRODUCTION = """\
# Sparkplug B 3.0, assertion by assertion

<!-- Written by `PYTHONPATH=tests/sparkplug python -m conformance`; a test fails when this page is out of date. -->

What our own checker says over the assertions that the Sparkplug 3.0.0 specification publishes (their ids; the wording here is ours). It is
no certification, and the specification's own test kit was not run. The checker is in `tests/sparkplug/conformance/`: a tap writes down
every MQTT packet between our client and Mosquitto, an observer what the broker delivers, while a real gateway and a real host application
go through births, data, commands, deaths, lost connections, hosts that come and go, and two brokers. Each check is a pure function
over that transcript, and `tests/sparkplug/test_mutations.py` shows that it fails when a transcript breaks the rule.

*Not testable* means that nothing we do falls under the assertion, and says why. Levels are those of RFC 2119.
"""


def page(verdicts: Sequence[Verdict]) -> str:
    """The whole page, in Markdown."""
    parts = [INTRODUCTION, "\n".join(_totals(verdicts))]
    for profile, title in PROFILES.items():
        rows = [verdict for verdict in verdicts if verdict.assertion.profile == profile]
        parts += [
            f"## {title}",
            "\n".join(["| assertion | level | result | what it says | note |", "|---|---|---|---|---|", *map(_row, rows)]),
        ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def totals(verdicts: Sequence[Verdict]) -> dict[str, Counter[str]]:
    """How many of each result, by profile."""
    return {profile: Counter(one.result for one in verdicts if one.assertion.profile == profile) for profile in PROFILES}


def _totals(verdicts: Sequence[Verdict]) -> list[str]:
    lines = [f"| profile | assertions | {' | '.join(RESULTS)} |", f"|---|{'---:|' * (len(RESULTS) + 1)}"]
    counts = totals(verdicts)
    for profile, title in PROFILES.items():
        lines.append(_count(title, counts[profile]))
    lines.append(_count("**All**", Counter(one.result for one in verdicts)))
    return lines


def _count(title: str, count: Counter[str]) -> str:
    return f"| {title} | {count.total()} | {' | '.join(str(count[result]) for result in RESULTS)} |"


def _row(verdict: Verdict) -> str:
    one = verdict.assertion
    result = f"**{verdict.result}**" if verdict.result == FAIL else verdict.result
    return f"| `{one.id.removeprefix('tck-id-')}` | {one.level} | {result} | {one.wording} | {one.note} |"
