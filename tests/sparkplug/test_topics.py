"""Topics are parsed strictly and built so that they parse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia.sparkplug import TopicError
from vigia.sparkplug.topics import MessageType, StateTopic, Topic, device_command_filter, node_command_filter, parse

IDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="+/#\0"), min_size=1, max_size=30)


@given(IDS.filter(lambda group: group != "STATE"), st.sampled_from(list(MessageType)), IDS, IDS)
def test_a_topic_parses_to_what_it_was_built_from(group: str, message_type: MessageType, node: str, device: str) -> None:
    topic = Topic(group, message_type, node, device if message_type.of_device else None)
    assert parse(str(topic)) == topic


@given(IDS)
def test_a_state_topic_parses_to_its_host(host: str) -> None:
    assert parse(str(StateTopic(host))) == StateTopic(host)


@given(st.text(max_size=60))
def test_any_other_text_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(TopicError, match=r"\S"):
        parse(text)


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("spAv1.0/g/DDATA/n/d", "namespace is 'spAv1.0', expected 'spBv1.0'"),
        ("spBv1.0/g/DDATA/n", "DDATA needs a device_id"),
        ("spBv1.0/g/NDATA/n/d", "NDATA must not carry a device_id"),
        ("spBv1.0/g/XDATA/n", "unknown message type 'XDATA'"),
        ("spBv1.0/g/DDATA/n/d/e", "a topic has 4 or 5 levels, this has 6"),
        ("spBv1.0/g//n", "unknown message type ''"),
        ("spBv1.0//NDATA/n", "group_id is empty"),
        ("spBv1.0/g/NDATA/n#", "edge_node_id 'n#' contains '#'"),
        ("spBv1.0/STATE", "a STATE topic has 3 levels, this has 2"),
        ("spBv1.0/STATE/a/b", "a STATE topic has 3 levels, this has 4"),
    ],
)
def test_a_wrong_topic_is_refused_with_the_reason(topic: str, reason: str) -> None:
    with pytest.raises(TopicError) as caught:
        parse(topic)
    assert str(caught.value) == reason


def test_a_node_listens_to_its_own_commands_only() -> None:
    assert node_command_filter("g", "n") == "spBv1.0/g/NCMD/n"
    assert device_command_filter("NCMD", "n") == "spBv1.0/NCMD/DCMD/n/+"
