"""The map is the ground: what docs/architecture.md and the other pages name exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/*.md")])
# Made on the reader's machine, not committed.
MADE = re.compile(r"\.venv|\.vigia|\.env$|deploy/pki|static/vendor")


def test_every_step_of_the_journey_names_its_files() -> None:
    journey = PAGE.read_text().split("## One reading's journey")[1].split("\n## ")[0]
    steps = [line.split("|")[1:3] for line in journey.splitlines() if re.match(r"\| \d+\. ", line)]
    assert [int(step.split(".")[0]) for step, _ in steps] == list(range(1, len(steps) + 1))
    for step, where in steps:
        assert re.search(r"`vigia/", where), step


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_paths_that_are_named_exist(page: Path) -> None:
    named = re.findall(r"`((?:vigia|tests|docs|deploy)/[\w/.-]+)`", page.read_text())
    assert [path for path in named if not MADE.search(path) and not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []
