"""The table is checked whole before anything starts: each fault is one sentence with file, entry, key and what to do."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_harness import entry

from vigia.errors import ConfigError
from vigia.ingest import births
from vigia.ingest.plain.paths import MissingError
from vigia.ingest.plain.reading import RESERVED
from vigia.ingest.plain.table import load, matches, parse

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as refused:
        parse(text, "topics.toml")
    said = str(refused.value)
    assert "\n" not in said
    assert "Value error" not in said
    return said


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"device": None}, "topics.toml: entry 1: device is missing; add it"),
        ({"devise": "R1"}, "topics.toml: entry 1: devise is no key of the table; remove it or correct its spelling"),
        ({"decoder": "xml"}, "topics.toml: entry 1: decoder = 'xml': Input should be 'json', 'json-lines', 'number' or 'csv-row'"),
        ({"filter": "a/#/b"}, "+ stands for one whole level"),
        ({"filter": "a/b+/c"}, "+ stands for one whole level"),
        ({"filter": "a/b#"}, "+ stands for one whole level"),
        ({"filter": "#"}, "the first level must be a name"),
        ({"filter": "+/a"}, "the first level must be a name"),
        ({"filter": "$SYS/#"}, "the first level must be a name"),
        ({"filter": "spBv1.0/acme/#"}, "is Sparkplug's and is read without being declared"),
        ({"device": "{3}"}, "topics.toml: entry 1: device = '{3}' needs level 3, and the filter has 2"),
        ({"device": "{x}"}, "entry 1: device = '{x}': write a text in which {n} stands for level n of the topic"),
        ({"device": "a/b"}, "contains '/'"),
        ({"time": "a..b"}, "entry 1: time = 'a..b': write a dotted path"),
        ({"time_unit": "ms"}, "add time, or leave them out"),
        ({"time": "t", "time_unit": "min"}, "entry 1: time_unit = 'min': Input should be 's', 'ms', 'us' or 'ns'"),
        ({"time": "t", "time_zone": "Mars/Olympus"}, "write the name of a time zone"),
        ({"name": "n"}, "name and value belong together"),
        ({"name": "n", "value": "v", "values": "w"}, "leave out values and point, or name and value"),
        ({"unit": "u"}, "unit is where a record says its unit"),
        ({"qualities": {"ok": "good"}}, "add quality, or leave it out"),
        ({"quality": "q", "qualities": {"ok": "fine"}}, "entry 1: qualities.ok = 'fine': Input should be 'good'"),
        ({"points": {"a": {"kind": "odd"}}}, "entry 1: points.a.kind = 'odd': Input should be 'measurement'"),
        ({"points": {"a": {"scale": 2}}}, "entry 1: points.a.scale is no key of the table"),
        ({"words": {"ON": "1x"}}, "entry 1: words.ON = '1x': Input should be a valid number"),
        ({"decoder": "number"}, 'decoder = "number" needs point'),
        ({"decoder": "number", "point": "p", "time": "t"}, "time has no meaning"),
        ({"decoder": "csv-row"}, 'decoder = "csv-row" needs columns'),
        ({"decoder": "csv-row", "columns": ["a", "a"]}, "columns names a cell twice"),
        ({"decoder": "csv-row", "columns": ["a"], "time": "t"}, "time = 't' is none of columns"),
        ({"columns": ["a"]}, 'columns and separator are for decoder = "csv-row"'),
    ],
    ids=str,
)
def test_a_fault_is_named_with_its_place_and_remedy(keys: dict[str, object], said: str) -> None:
    found = refusal(entry(**keys))
    assert said in found
    assert found.startswith("topics.toml: entry 1: ")


def test_the_second_entry_is_named_as_the_second() -> None:
    assert refusal(entry() + entry(filter="y", device="{7}")).startswith("topics.toml: entry 2: device = '{7}' needs level 7")
    assert "entry 2: filter 'x/+' is entry 1's already" in refusal(entry() + entry())


@pytest.mark.parametrize(
    ("text", "said"), [("", "no entry; add a table [[topic]]"), ("[[topic", "not a TOML file"), ("a = 1", "add a table")]
)
def test_a_file_that_is_no_table(text: str, said: str) -> None:
    assert said in refusal(text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'No such file or directory; name a file with --topics \(VIGIA_INGEST_TOPICS\), or "default"'):
        load(str(tmp_path / "none.toml"))
    (tmp_path / "latin.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not a TOML file"):
        load(str(tmp_path / "latin.toml"))


def test_the_first_entry_that_fits_a_topic_reads_it() -> None:
    table = parse(entry(filter="a/b", device="one") + entry(filter="a/+", device="{2}") + entry(filter="a/#", device="rest-{3}"), "t")
    assert [table.route(topic).device_id for topic in ("a/b", "a/c", "a/c/d")] == ["one", "c", "rest-d"]
    assert table.route("b/c") is None
    assert table.filters == ["a/b", "a/+", "a/#"]


def test_levels_that_name_nothing_are_refused() -> None:
    table = parse(entry(filter="a/#", device="{3}"), "t")
    with pytest.raises(MissingError, match="needs level 3 of the topic, which has 2"):
        table.route("a/b")
    with pytest.raises(MissingError, match="device is empty"):
        table.route("a/b/")


levels = st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=4)


@given(wanted=st.lists(st.sampled_from(["a", "b", "c", "", "+"]), min_size=1, max_size=4), rest=st.booleans(), topic=levels)
def test_filters_match_as_mqtt_says(wanted: list[str], rest: bool, topic: list[str]) -> None:  # noqa: FBT001 - drawn
    prefix = len(topic) >= len(wanted) and all(one in ("+", said) for one, said in zip(wanted, topic, strict=False))
    assert matches([*wanted, "#"] if rest else wanted, topic) == (prefix and (rest or len(topic) == len(wanted)))


def test_what_comes_with_vigia_can_be_read() -> None:
    assert load("default").filters == ["vigia/+/+/+", "vigia/+/+/+/+"]
    examples = sorted(EXAMPLES.glob("*.toml"))
    assert examples
    for example in examples:
        assert load(str(example)).entries


def test_reserved_names_are_those_that_are_no_readings() -> None:
    assert births._NO_READINGS == RESERVED
