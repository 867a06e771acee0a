"""A stack that is being stopped is stopped to its end."""

import asyncio
import contextlib

import pytest

from vigia.supervisor.stack import _to_the_end


async def test_a_signal_while_stopping_leaves_nothing_half_stopped() -> None:
    done = []
    second = asyncio.Event()

    async def stop() -> None:
        done.append("children")
        await second.wait()
        done.append("broker and database")

    task = asyncio.create_task(_to_the_end(stop()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    second.set()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert done == ["children", "broker and database"]
    assert task.cancelled()


async def test_a_fault_while_stopping_is_told() -> None:
    async def stop() -> None:
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        await _to_the_end(stop())
