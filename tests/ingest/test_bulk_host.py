"""Both connections of the host application together, and several hosts that share the work."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from bulk_harness import Publisher, Sink, message
from ingest_harness import Edge, until
from process_harness import STATE, Listener

from vigia.ingest import BrokerUnavailableError
from vigia.ingest.broker import Host
from vigia.ingest.config import BrokerConfig
from vigia.sparkplug.session import HostState
from vigia.supervisor.broker import RunningBroker


@asynccontextmanager
async def working(broker: RunningBroker, sink: Sink, share: str | None = None, topics: tuple[str, ...] = ()) -> AsyncIterator[Host]:
    host = Host(BrokerConfig.from_url(broker.url), "vigia", sink, share=share, topics=topics)
    await host.connect()
    running = asyncio.create_task(host.run())
    try:
        yield host
    finally:
        running.cancel()
        await asyncio.wait((running,))
        await host.leave()  # had it been cancelled before it ran


def cut_data(host: Host) -> None:
    assert host._link is not None
    assert host._link._data is not None
    host._link._data._socket.shutdown(socket.SHUT_RDWR)


def cut_control(host: Host) -> None:
    assert host._link is not None
    assert host._link._control is not None
    connected = host._link._control._client.socket()
    assert connected is not None
    connected.shutdown(socket.SHUT_RDWR)


def timestamp(host: Host) -> int:
    assert host._link is not None
    assert host._link._control is not None
    return host._link._control._timestamp


@pytest.mark.parametrize("cut", [cut_data, cut_control])
async def test_the_end_of_either_connection_is_the_end_of_both_and_they_come_back(
    broker: RunningBroker, cut: Callable[[Host], None]
) -> None:
    sink = Sink()
    with Listener(broker.port) as listener, Publisher(broker.port) as publisher:
        async with working(broker, sink) as host:
            await until(lambda: listener.online)
            cut(host)
            await until(lambda: listener.online and listener.heard[-1].timestamp > listener.heard[0].timestamp)
            assert any(not state.online for state in listener.heard)
            publisher.publish([b"after"])
            await until(lambda: sink.payloads == [b"after"])
            assert sink.messages[0].session == 2
        await until(lambda: not listener.online)


async def test_edges_hear_of_us_only_when_we_hear_them(broker: RunningBroker) -> None:
    """Whoever answers our STATE is heard, however fast."""
    sink = Sink()
    with Listener(broker.port) as listener:
        listener.client.on_message = lambda client, _data, said: client.publish("spBv1.0/acme/NBIRTH/acme-one", said.payload, 1)
        async with working(broker, sink):
            await until(lambda: len(sink) >= 1)


async def test_commands_go_out_one_by_one_and_in_blocks(broker: RunningBroker) -> None:
    heard: list[tuple[str, bytes]] = []
    with Listener(broker.port) as listener:
        listener.client.on_message = lambda _client, _data, said: heard.append((said.topic, bytes(said.payload)))
        listener.client.subscribe("spBv1.0/+/NCMD/#")
        async with working(broker, Sink()) as host:
            await until(lambda: bool(heard))  # online
            host.publish("spBv1.0/acme/NCMD/one", b"alone")
            host.send(b"".join(message(b"%d" % number, topic="spBv1.0/acme/NCMD/many") for number in range(3)))
            await until(lambda: len(heard) == 5)
    assert heard[1:5] == [("spBv1.0/acme/NCMD/one", b"alone"), *(("spBv1.0/acme/NCMD/many", b"%d" % number) for number in range(3))]


async def test_workers_divide_data_and_all_hear_births(broker: RunningBroker) -> None:
    first, second = Sink(), Sink()
    edge = Edge()
    births = edge.born()
    async with working(broker, first, "vigia", ("plant/#",)), working(broker, second, "vigia", ("plant/#",)):
        with Publisher(broker.port) as publisher, Listener(broker.port) as outside:
            for birth in births:
                outside.client.publish(birth.topic, birth.payload, 1).wait_for_publish(10)
            publisher.publish([b"%d" % number for number in range(1000)])
            for number in range(10):
                outside.client.publish("plant/boiler", b"plain %d" % number, 1).wait_for_publish(10)
            await until(lambda: len(first) + len(second) == 1010 + 2 * len(births))
    expected = {b"%d" % number for number in range(1000)} | {b"plain %d" % number for number in range(10)}
    shares = [{one.payload for one in sink.messages if "BIRTH" not in one.topic} for sink in (first, second)]
    assert shares[0] | shares[1] == expected
    assert not shares[0] & shares[1]
    assert all(shares)
    for sink in (first, second):
        assert [one.payload for one in sink.messages if "BIRTH" in one.topic] == [birth.payload for birth in births]


async def test_a_worker_that_stops_leaves_the_others_online(broker: RunningBroker) -> None:
    with Listener(broker.port) as listener:
        async with working(broker, Sink(), "vigia"):
            async with working(broker, Sink(), "vigia"):
                await until(lambda: len(listener.heard) == 2)
            listener.client.publish("spBv1.0/STATE/other", b"{}", 1).wait_for_publish(10)
        listener.client.publish(STATE, HostState(online=True, timestamp=0).encode(), 1).wait_for_publish(10)
        await until(lambda: listener.heard[-1].timestamp == 0)
        assert all(state.online for state in listener.heard)


async def test_a_worker_that_stops_amid_the_brokers_words_publishes_no_will(broker: RunningBroker) -> None:
    online = HostState(online=True, timestamp=0).encode()
    with Listener(broker.port) as listener:
        for _ in range(20):
            async with working(broker, Sink(), "vigia"), working(broker, Sink(), "vigia"):
                for _ in range(200):
                    listener.client.publish(STATE, online, 0)
        listener.client.publish(STATE, HostState(online=True, timestamp=1).encode(), 1).wait_for_publish(10)
        await until(lambda: listener.heard[-1].timestamp == 1)
        assert all(state.online for state in listener.heard)


@pytest.mark.parametrize("killed", [0, 1])
async def test_the_will_of_a_killed_worker_is_contradicted_with_a_word_that_counts(broker: RunningBroker, killed: int) -> None:
    """The edges believe the newest timestamp: the one that contradicts has that one, and its own Will too."""
    with Listener(broker.port) as listener:
        async with working(broker, Sink(), "vigia") as older, working(broker, Sink(), "vigia") as newer:
            await until(lambda: len(listener.heard) == 2)
            victim, survivor = (older, newer) if killed == 0 else (newer, older)
            victim._wanted.clear()  # it does not come back
            cut_control(victim)
            await until(lambda: any(not state.online for state in listener.heard))
            await until(lambda: listener.online and listener.heard[-1].timestamp >= max(state.timestamp for state in listener.heard))
            assert timestamp(survivor) == listener.heard[-1].timestamp


async def test_paused_among_others_it_says_so_and_a_working_one_contradicts(broker: RunningBroker) -> None:
    with Listener(broker.port) as listener:
        async with working(broker, Sink(), "vigia") as one:
            async with working(broker, Sink(), "vigia") as other:
                await until(lambda: len(listener.heard) == 2)
                other.pause()
                await until(lambda: any(not state.online for state in listener.heard))
                await until(lambda: listener.online)
            one.pause()
            await until(lambda: not listener.online)


async def test_paused_before_it_ran_it_says_so(broker: RunningBroker) -> None:
    with Listener(broker.port) as listener:
        host = Host(BrokerConfig.from_url(broker.url), "vigia", Sink())
        await host.connect()
        await until(lambda: listener.online)
        host.pause()
        running = asyncio.create_task(host.run())
        await until(lambda: not listener.online)
        running.cancel()
        await asyncio.wait((running,))


async def test_cancelled_while_it_leaves_it_keeps_no_connection(broker: RunningBroker) -> None:
    host = Host(BrokerConfig.from_url(broker.url), "vigia", Sink())
    link = await host.connect()
    assert link._control is not None
    assert link._data is not None
    running = asyncio.create_task(host.run())
    await asyncio.sleep(0)
    host.pause()
    while link._control._client.is_connected():
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait((running,))
    assert running.cancelled()
    assert link._data._ended


async def test_a_clock_that_goes_wrong_does_not_silence_us(broker: RunningBroker) -> None:
    """A retained word from the future: what we say is newer still."""
    future = 4_000_000_000_000
    with Listener(broker.port) as listener:
        listener.client.publish(STATE, HostState(online=False, timestamp=future).encode(), 1, retain=True).wait_for_publish(10)
        async with working(broker, Sink()) as host:
            await until(lambda: listener.online and listener.heard[-1].timestamp > future)
            assert timestamp(host) == listener.heard[-1].timestamp
        await until(lambda: not listener.online and listener.heard[-1].timestamp > future)


async def test_no_broker_is_told_in_a_sentence() -> None:
    host = Host(BrokerConfig.from_url("mqtt://127.0.0.1:1"), "vigia", Sink())
    with pytest.raises(BrokerUnavailableError, match=r"no broker answers at 127.0.0.1:1 .*--broker"):
        await host.connect()
    host.publish("nobody", b"hears this")
