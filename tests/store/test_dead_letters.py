"""Messages that could not be used are kept whole, can be looked through by their reason, and are brought back exactly once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from vigia.store import dead_letters
from vigia.store.database import Database, Transaction
from vigia.store.dead_letters import BEGINNING_BYTES, KEPT_BYTES, DeadLetter, NewDeadLetter


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    async with Database(dsn, "vigia_service", max_size=3) as one:
        yield one


async def add(tx: Transaction, reason: str, payload: bytes = b"payload", topic: str = "a/b") -> None:
    await dead_letters.add(tx, NewDeadLetter(topic, reason, "what to do", payload))


async def test_payloads_are_kept_whole_up_to_the_largest_message_that_is_accepted(database: Database) -> None:
    async with database.transaction() as tx:
        await add(tx, "whole", bytes(KEPT_BYTES))
        await add(tx, "cut", bytes(KEPT_BYTES + 1))
        await add(tx, "empty", b"")
    async with database.transaction() as tx:
        taken = [await dead_letters.take(tx, one) for one in await dead_letters.ids(tx)]
    assert [(letter.reason, letter.size, letter.complete, len(letter.payload)) for letter in taken if letter is not None] == [
        ("whole", KEPT_BYTES, True, KEPT_BYTES),
        ("cut", KEPT_BYTES + 1, False, BEGINNING_BYTES),
        ("empty", 0, True, 0),
    ]


async def test_what_postgresql_cannot_keep_is_replaced(database: Database) -> None:
    async with database.transaction() as tx:
        await add(tx, "odd\0 \ud800", topic="a\0/\ud800")
        assert [letter.topic for letter in await dead_letters.newest(tx)] == ["a\N{REPLACEMENT CHARACTER}/?"]


async def test_each_reason_has_its_count_and_its_newest_sample(database: Database) -> None:
    async with database.transaction() as tx:
        for payload in (b"1", b"2", b"3" * 300):
            await add(tx, "often", payload)
        await add(tx, "once", b"4")
        counts = await dead_letters.counts(tx)
        samples = await dead_letters.samples(tx, shown_bytes=200)
        assert [(count.reason, count.count) for count in counts] == [("often", 3), ("once", 1)]
        assert {reason: letter.payload for reason, letter in samples.items()} == {"often": b"3" * 200, "once": b"4"}
        assert samples["often"].size == 300
        assert [count.reason for count in await dead_letters.counts(tx, "once")] == ["once"]
        assert list(await dead_letters.samples(tx, reason="once")) == ["once"]
        assert [letter.payload for letter in await dead_letters.newest(tx, reason="often", shown_bytes=1)] == [b"3", b"2", b"1"]


async def test_letters_are_found_in_the_order_in_which_they_came(database: Database) -> None:
    async with database.transaction() as tx:
        for reason in ("a", "b", "a"):
            await add(tx, reason)
        first, second, third = await dead_letters.ids(tx)
        assert first < second < third
        assert await dead_letters.ids(tx, "a") == [first, third]
        assert await dead_letters.ids(tx, among=[third, second, 0]) == [second, third]
        assert await dead_letters.ids(tx, "b", among=[third]) == []


async def test_a_letter_is_taken_by_one_of_two(database: Database) -> None:
    async with database.transaction() as tx:
        await add(tx, "wanted twice")
        (wanted,) = await dead_letters.ids(tx)
    taken: list[DeadLetter | None] = []
    first_has_it, may_commit = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with database.transaction() as tx:
            taken.append(await dead_letters.take(tx, wanted))
            first_has_it.set()
            await may_commit.wait()

    async def second() -> None:
        await first_has_it.wait()
        async with database.transaction() as tx:
            asyncio.get_running_loop().call_later(0.05, may_commit.set)
            taken.append(await dead_letters.take(tx, wanted))

    await asyncio.gather(first(), second())
    assert [letter is None for letter in taken] == [False, True]


async def test_a_transaction_that_fails_leaves_the_letter(database: Database) -> None:
    async with database.transaction() as tx:
        await add(tx, "kept")
        (kept,) = await dead_letters.ids(tx)
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as tx:
            assert await dead_letters.take(tx, kept) is not None
            raise ZeroDivisionError
    async with database.transaction() as tx:
        assert await dead_letters.ids(tx) == [kept]


async def test_the_oldest_letters_go_when_there_are_too_many(database: Database) -> None:
    async with database.transaction() as tx:
        for i in range(5):
            await add(tx, f"{i}", bytes(1_000))
        assert await dead_letters.trim(tx) == 0
        assert await dead_letters.trim(tx, most_bytes=3_200) == 3
        assert [letter.reason for letter in await dead_letters.newest(tx)] == ["4", "3"]
        assert await dead_letters.trim(tx, keep=timedelta(microseconds=-1)) == 2
