"""The page, the schema and the program say the same."""

import json
import re
from pathlib import Path

import jsonschema_rs
import pytest
from plain_harness import default_bench

from vigia.ingest.plain import REASONS
from vigia.ingest.plain.table import Entry

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = json.loads((DOCS / "plain-message.schema.json").read_text())
SOUND = [
    '{"ts": 1767225600000, "values": {"T50": 1577.2, "running": true, "P15": null}}',
    '{"ts": "2026-01-31T12:00:00.5+01:00", "values": {"a": {"b": 1}}}',
    '[{"ts": 1767225600000, "values": {"a": 1}}, {"ts": 1767225600001.5, "values": {"a": 2}}]',
    '{"ts": [1767225600000, "2026-01-31 12:00:00Z"], "values": {"a": [1, null], "b": {"c": [true, 2]}}}',
    '{"ts": 1767225600000, "values": {"a": 1}, "firmware": "1.2"}',
]
UNSOUND = [
    "3",
    "[]",
    '{"values": {"a": 1}}',
    '{"ts": 1767225600000}',
    '{"ts": 1767225600, "values": {"a": 1}}',
    '{"ts": "2026-01-31T12:00:00", "values": {"a": 1}}',
    '{"ts": 1767225600000, "values": {"a": "1"}}',
    '{"ts": 1767225600000, "values": {"a": [1]}}',
    '{"ts": 1767225600000, "values": {"": 1}}',
    '{"ts": [1767225600000], "values": {"a": 1}}',
]


@pytest.mark.parametrize("payload", SOUND)
def test_what_the_schema_allows_is_stored(payload: str) -> None:
    assert jsonschema_rs.is_valid(SCHEMA, json.loads(payload))
    one = default_bench()
    one.hear(("vigia/acme/acme-one/R1", payload))
    assert one.letters == []
    assert one.rows


@pytest.mark.parametrize("payload", UNSOUND)
def test_what_the_schema_forbids_is_a_letter(payload: str) -> None:
    assert not jsonschema_rs.is_valid(SCHEMA, json.loads(payload))
    one = default_bench()
    one.hear(("vigia/acme/acme-one/R1", payload))
    assert len(one.letters) == 1


def test_the_page_explains_every_key_and_every_reason() -> None:
    page = (DOCS / "json-over-mqtt.md").read_text()
    first_cells = " ".join(line.split("|")[1] for line in page.splitlines() if line.startswith("|"))
    explained = set(re.findall(r"`([a-z_]+)`", first_cells))
    assert set(Entry.model_fields) - {"points"} <= explained
    assert "`[topic.points.NAME]`" in first_cells
    assert [reason for reason in REASONS if f"`{reason}`" not in first_cells] == []
