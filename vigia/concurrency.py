"""Tasks that end when they are told to, and threads that nobody waits for.

Until Python 3.12 `asyncio.wait_for`, which libraries use, swallows a cancellation that comes just as its wait is over; who cancels once and
then waits, as `asyncio.TaskGroup` does, may wait for ever.
"""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from threading import Thread
from typing import Any, TypeVar

Result = TypeVar("Result")

PATIENCE_S = 10.0
"""Longer than anything here needs to say goodbye."""


async def ended(*tasks: asyncio.Task[Any], patience_s: float = PATIENCE_S) -> None:
    """Cancel until all have ended, again every `patience_s` seconds; what they raise is not raised here.

    Who is cancelled meanwhile passes that on to them, and raises it when they have ended.
    """
    interrupted: asyncio.CancelledError | None = None
    while waiting := [task for task in tasks if not task.done()]:
        for task in waiting:
            task.cancel()
        try:
            await asyncio.wait(waiting, timeout=patience_s)
        except asyncio.CancelledError as error:
            interrupted = error
    for task in tasks:
        if not task.cancelled():
            task.exception()  # else it is said to have been overlooked
    if interrupted is not None:
        raise interrupted


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """Run all of them until they have ended. When one fails, or the caller is cancelled, the others end first; raises the first failure."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await ended(*tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()


async def unattended(work: Callable[..., Result], *arguments: object) -> Result:
    """What `work(*arguments)` gives or raises, computed in a thread.

    Who is cancelled meanwhile leaves it to itself, and the process may end before it does; after `asyncio.to_thread` it would wait.
    """
    promised: Future[Result] = Future()

    def run() -> None:
        if promised.set_running_or_notify_cancel():
            try:
                promised.set_result(work(*arguments))
            except BaseException as error:  # noqa: BLE001 - raised where the result is awaited
                promised.set_exception(error)

    Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(promised)
