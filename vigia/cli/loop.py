"""How a command runs a coroutine. The event loop's library is imported then, not for `--help`."""

import contextlib
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run `work` to its end and return what it returns."""
    import asyncio

    return asyncio.run(work)


def run_until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` to its end, or cancel it at SIGTERM and SIGINT."""
    import asyncio

    async def stoppable() -> None:
        task = asyncio.ensure_future(work)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(stoppable())
