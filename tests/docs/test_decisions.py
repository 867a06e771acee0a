"""Decision records: short, in one form, and each names the tests that enforce it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECORDS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
SECTIONS = ["Context", "Decision", "Consequences", "Enforced by"]
LONGEST = 40


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
class TestRecord:
    def test_is_short_and_in_the_common_form(self, record: Path) -> None:
        lines = record.read_text().splitlines()
        assert len(lines) <= LONGEST
        assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", record.name)
        assert lines[0].startswith(f"# {record.name[:4]} ")
        assert [line.removeprefix("## ") for line in lines if line.startswith("## ")] == SECTIONS

    def test_names_tests_that_exist(self, record: Path) -> None:
        enforced = record.read_text().split("## Enforced by")[1]
        named = re.findall(r"`(tests/[\w/.]+\.py)`", enforced)
        assert named
        assert [path for path in named if not (ROOT / path).is_file()] == []

    def test_names_files_that_exist(self, record: Path) -> None:
        named = re.findall(r"`((?:vigia|deploy|docs|tests)/[\w/.-]+)`", record.read_text())
        assert [path for path in named if not (ROOT / path).exists()] == []


def test_numbers_are_consecutive() -> None:
    assert [int(record.name[:4]) for record in RECORDS] == list(range(1, len(RECORDS) + 1))


def test_records_that_are_referred_to_exist() -> None:
    numbers = {record.name[:4] for record in RECORDS}
    sources = [
        path
        for folder in ("vigia", "tests", "deploy", "docs")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".sql", ".md", ".sh"}
    ]
    referred = {number for path in sources for number in re.findall(r"docs/decisions/(\d{4})", path.read_text(errors="replace"))}
    assert referred <= numbers
