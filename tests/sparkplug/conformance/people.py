"""Who stands around the subject: an observer who only listens, and a director who says what the play needs."""

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from conformance.packets import Publish
from conformance.tap import LOOPBACK, TIMEOUT_S, Record
from conformance.transcript import Observed
from vigia.sparkplug.payload import Metric, Payload, encode
from vigia.sparkplug.session import HostState

Code = ReasonCode | int


def until(condition: Callable[[], bool], why: str, timeout_s: float = 40.0) -> None:
    """Wait for the condition; fails saying `why` it was waited for."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {why}"
        time.sleep(0.005)


def until_quiet(record: Record, seconds: float = 0.08) -> None:
    """Wait until nothing was written for so long: whoever had something to say has said it."""
    until(lambda: time.monotonic() - record.written_at > seconds, "nobody says anything")


@contextlib.contextmanager
def at_work(work: Callable[[], Coroutine[Any, Any, None]]) -> Iterator[None]:
    """The coroutine runs inside, in a thread and a loop of its own, and is cancelled at the end."""
    started = threading.Event()
    stop: list[functools.partial[object]] = []

    async def run() -> None:
        task = asyncio.ensure_future(work())
        stop.append(functools.partial(asyncio.get_running_loop().call_soon_threadsafe, task.cancel))
        started.set()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert started.wait(TIMEOUT_S)
    try:
        yield
    finally:
        stop[0]()
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Observer:
    """Hears everything on one broker in MQTT 5, where a subscriber can ask for the retain flag as it was published."""

    def __init__(self, server: str, port: int, record: Record) -> None:
        self._server, self._port, self._record = server, port, record
        self._ready = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, f"observer-{server}", protocol=mqtt.MQTTv5)
        self._client.on_connect = self._connected
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._hear

    def __enter__(self) -> Self:
        self._client.connect(LOOPBACK, self._port)
        self._client.loop_start()
        assert self._ready.wait(TIMEOUT_S)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    @staticmethod
    def _connected(client: mqtt.Client, _data: object, _flags: object, _code: Code, _properties: Properties | None) -> None:
        client.subscribe("spBv1.0/#", options=SubscribeOptions(qos=1, retainAsPublished=True))

    def _hear(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        heard = Publish(message.topic, bytes(message.payload), message.qos, message.retain)
        self._record.write(lambda at: Observed(at, self._server, heard))


class Director:
    """Says on one broker what a host application, or a stranger, would say."""

    def __init__(self, name: str, port: int) -> None:
        self._port = port
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, f"director-{name}", protocol=mqtt.MQTTv311)

    def __enter__(self) -> Self:
        connected = threading.Event()
        self._client.on_connect = lambda *_: connected.set()
        self._client.connect(LOOPBACK, self._port)
        self._client.loop_start()
        assert connected.wait(TIMEOUT_S)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def state(self, host_id: str, timestamp: int, *, online: bool) -> None:
        """STATE of a host application."""
        self._say(f"spBv1.0/STATE/{host_id}", HostState(online, timestamp).encode(), 1, retain=True)

    def command(self, topic: str, *metrics: Metric) -> None:
        """An NCMD or DCMD."""
        self._say(topic, encode(Payload(now_ms(), metrics)), 0)

    def rubbish(self, topic: str) -> None:
        """What no codec can read."""
        self._say(topic, b"\xff\xff\xff", 0)

    def _say(self, topic: str, payload: bytes, qos: int, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos, retain).wait_for_publish(TIMEOUT_S)
