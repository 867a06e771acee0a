"""What waits between receiving and writing."""

import asyncio
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigia.ingest.config import Limits
from vigia.ingest.inbox import Delivery, Inbox, Message, merge, pack

messages = st.lists(st.builds(Message, st.text(max_size=20), st.binary(max_size=50), st.just(3)), min_size=1, max_size=10)


def delivery(size: int) -> Delivery:
    return pack([Message("t", bytes(size), 1)])


@settings(max_examples=200, deadline=None)
@given(some=st.lists(messages, min_size=1, max_size=5))
def test_packed_and_merged_messages_stay_what_they_are(some: list[list[Message]]) -> None:
    one = merge([pack(part) for part in some])
    assert list(one.messages()) == [message for part in some for message in part]
    assert one.session == 3
    assert all(column.flags.c_contiguous for column in (one.data, one.topic_start, one.topic_length, one.payload_start, one.payload_length))
    assert one.nbytes > sum(len(message.payload) for message in one.messages())


def test_sessions_are_not_mixed() -> None:
    with pytest.raises(ValueError, match="one session"):
        pack([Message("t", b"", 1), Message("t", b"", 2)])
    with pytest.raises(ValueError, match="one session"):
        merge([pack([Message("t", b"", 1)]), pack([Message("t", b"", 2)])])


def test_a_topic_that_is_no_text_can_still_be_named() -> None:
    columns = (np.array([number], np.int64) for number in (0, 2, 2, 1))
    assert Delivery(np.array([0x74, 0xFF, 0x78], np.uint8), *columns, session=1).message(0) == Message("t�", b"x", 1)


async def test_the_oldest_are_taken_up_to_a_limit_and_at_least_one() -> None:
    inbox = Inbox(Limits(flush_bytes=20_000))
    sizes = [30_000, 5_000, 5_000, 30_000]
    for size in sizes:
        assert inbox.put(delivery(size))
    assert len(inbox) == 4
    taken = [[len(one.message(0).payload) for one in inbox.take()] for _ in range(4)]
    assert taken == [[30_000], [5_000, 5_000], [30_000], []]
    assert (len(inbox), inbox.nbytes) == (0, 0)


async def test_there_is_room_again_when_something_was_taken() -> None:
    inbox = Inbox(Limits(queue_bytes=10_000))
    assert inbox.room(0)
    inbox.put(delivery(20_000))
    assert not inbox.room(0.01)
    waiting = asyncio.create_task(asyncio.to_thread(inbox.room, 30))
    await asyncio.sleep(0)
    inbox.take()
    assert await waiting
    inbox.put(delivery(20_000))
    inbox.clear()
    assert inbox.room(0)


async def test_a_delivery_wakes_who_waits_for_it() -> None:
    inbox = Inbox(Limits())
    assert not await inbox.wait(0.01)
    assert inbox.oldest_age_s == 0
    thread = threading.Thread(target=inbox.put, args=(delivery(10),))
    waiting = asyncio.create_task(inbox.wait(30))
    await asyncio.sleep(0)
    thread.start()
    assert await waiting
    assert 0 <= inbox.oldest_age_s < 30
    thread.join()
    assert await inbox.wait(0)
