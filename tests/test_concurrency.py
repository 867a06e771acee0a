import asyncio
import threading

import pytest

from vigia.concurrency import ended, together, unattended


async def deaf(cancellations: list[int]) -> None:
    """Swallows its first cancellation, as a wait does that is over at the same moment."""
    while len(cancellations) < 2:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancellations.append(1)
    raise asyncio.CancelledError


async def fails() -> None:
    await asyncio.sleep(0.01)
    raise ValueError("one of two")


async def test_a_task_that_swallows_a_cancellation_is_cancelled_again() -> None:
    heard: list[int] = []
    task = asyncio.create_task(deaf(heard))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await ended(task, patience_s=0.01)
    assert task.cancelled()
    assert len(heard) == 2


async def test_a_task_that_says_goodbye_is_given_the_time() -> None:
    said = False

    async def polite() -> None:
        nonlocal said
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            said = True

    task = asyncio.create_task(polite())
    await asyncio.sleep(0)
    await ended(task)
    assert said


async def test_a_cancellation_while_ending_is_passed_on_and_raised() -> None:
    heard: list[int] = []
    task = asyncio.create_task(deaf(heard))
    await asyncio.sleep(0)
    ending = asyncio.create_task(ended(task))
    await asyncio.sleep(0.01)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    assert task.cancelled()


async def test_the_first_failure_ends_the_others_and_is_raised() -> None:
    heard: list[int] = [1]
    with pytest.raises(ValueError, match="one of two"):
        await together(deaf(heard), fails())
    assert len(heard) == 2


async def test_one_that_ends_by_itself_leaves_the_others_at_work() -> None:
    done: list[str] = []

    async def work(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        done.append(name)

    await together(work("short", 0.0), work("long", 0.02))
    assert done == ["short", "long"]


async def test_who_is_cancelled_ends_them_all() -> None:
    heard: list[int] = [1]
    running = asyncio.create_task(together(deaf(heard)))
    await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(heard) == 2


async def test_what_a_thread_gives_or_raises_is_awaited() -> None:
    assert await unattended(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await unattended(divmod, 7, 0)


def test_nobody_waits_for_a_thread_that_is_left_behind() -> None:
    go_on, began = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        assert go_on.wait(60)

    async def leave() -> None:
        task = asyncio.create_task(unattended(work))
        while not began.is_set():
            await asyncio.sleep(0)
        await ended(task)

    asyncio.run(leave())
    assert not go_on.is_set()
    go_on.set()
