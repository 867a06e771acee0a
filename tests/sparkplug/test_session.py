"""Session rules: order by seq, births and deaths by bdSeq, who is online."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia.sparkplug import PayloadError
from vigia.sparkplug.payload import Payload, decode, encode
from vigia.sparkplug.session import Arrival, HostState, NodeSession, PrimaryHost, Reorder, next_seq, node_death, seq_of


@given(st.integers(0, 255), st.permutations(range(6)))
def test_messages_shuffled_after_a_birth_come_out_in_order(birth: int, order: list[int]) -> None:
    reorder = Reorder[int]()
    reorder.birth(birth)
    taken: list[int] = []
    for n in order:
        taken += reorder.offer((birth + 1 + n) % 256, n, now=0.0)[1]
    assert taken == list(range(6))
    assert not reorder.overdue(now=1e9)


def test_a_missing_message_is_overdue_after_the_time_out() -> None:
    reorder = Reorder[str](timeout_s=2.0)
    reorder.birth(254)
    assert reorder.offer(255, "a", 0.0) == (Arrival.IN_ORDER, ["a"])
    assert reorder.offer(1, "c", 1.0) == (Arrival.EARLY, [])
    assert reorder.offer(2, "d", 2.9) == (Arrival.EARLY, [])
    assert not reorder.overdue(2.9)
    assert reorder.overdue(3.0)
    assert reorder.give_up() == ["c", "d"]
    assert reorder.offer(77, "x", 4.0) == (Arrival.IN_ORDER, ["x"])


def test_a_message_seen_twice_is_taken_once() -> None:
    reorder = Reorder[str]()
    reorder.birth(0)
    reorder.offer(1, "a", 0.0)
    assert reorder.offer(1, "a", 0.0) == (Arrival.REPEATED, [])
    reorder.offer(3, "c", 0.0)
    assert reorder.offer(3, "c", 0.0) == (Arrival.REPEATED, [])


def test_the_count_wraps_after_255() -> None:
    assert [next_seq(0), next_seq(255)] == [1, 0]


def test_only_the_death_that_matches_the_birth_ends_the_session() -> None:
    session = NodeSession()
    session.born(node_death(7))
    assert not session.dies(node_death(6))
    assert session.alive
    assert session.dies(node_death(7))
    assert not session.dies(node_death(7))


@pytest.mark.parametrize("payload", [Payload(), Payload(seq=256)])
def test_a_message_without_a_proper_number_is_refused(payload: Payload) -> None:
    with pytest.raises(PayloadError):
        seq_of(payload)
    with pytest.raises(PayloadError):
        NodeSession().born(payload)


def test_a_death_survives_the_wire() -> None:
    assert decode(encode(node_death(255, 5))) == node_death(255, 5)


@given(st.booleans(), st.integers(0, 2**53))
def test_state_survives_the_wire(online: bool, timestamp: int) -> None:  # noqa: FBT001
    assert HostState.decode(HostState(online, timestamp).encode()) == HostState(online, timestamp)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"ONLINE",
        b"[]",
        b"{}",
        b'{"online":1,"timestamp":2}',
        b'{"online":true,"timestamp":true}',
        b"\xff",
        b'{"online":true,"timestamp":-1}',
    ],
)
def test_a_wrong_state_is_refused(data: bytes) -> None:
    with pytest.raises(PayloadError):
        HostState.decode(data)


def test_an_old_word_about_the_host_changes_nothing() -> None:
    host = PrimaryHost()
    assert host.hears(HostState(online=True, timestamp=10))
    assert host.hears(HostState(online=False, timestamp=9))
    assert not host.hears(HostState(online=False, timestamp=10))
    assert not host.hears(HostState(online=True, timestamp=9))
    assert host.hears(HostState(online=True, timestamp=11))
