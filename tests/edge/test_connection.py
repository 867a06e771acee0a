"""A connection to the broker that is given up while it comes up."""

import asyncio
import gc
import threading
import weakref
from typing import Any

import pytest
from edge_harness import wait_for

from vigia.edge.config import BrokerConfig
from vigia.edge.connection import Connection, Will
from vigia.supervisor.broker import RunningBroker


async def give_up(broker: RunningBroker) -> "weakref.ref[Connection]":
    """Open a connection, and be cancelled when the broker's machine has answered."""
    reached, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        reached.set()
        assert go_on.wait(10)

    will = Will("spBv1.0/acme/NDEATH/one", b"", wait)
    connection = Connection(BrokerConfig(url=broker.url), "acme.one", will, lambda _topic, _payload: None, lambda: None)
    opening = asyncio.create_task(connection.open(["spBv1.0/acme/NCMD/one"]))
    await asyncio.to_thread(wait_for, reached.is_set)
    opening.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await opening
    connection._lose("Normal disconnection")  # as paho's thread has it done when it leaves
    return weakref.ref(connection)


async def test_nothing_that_nobody_asks_for_is_left_behind(broker: RunningBroker) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, complaint: complaints.append(complaint))
    connection = await give_up(broker)

    def gone() -> bool:
        gc.collect()
        return connection() is None

    await asyncio.to_thread(wait_for, gone)
    assert complaints == []
