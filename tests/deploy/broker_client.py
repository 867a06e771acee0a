"""An MQTT client with a certificate, as a gateway or the host is one; `admitted` says what the broker thinks of it."""

import queue
import ssl
from pathlib import Path
from typing import Self

import paho.mqtt.client as mqtt
from deployed import PATIENCE_S, Authority, Broker
from paho.mqtt.enums import CallbackAPIVersion

Credentials = tuple[Path, Path]


class Client:
    """One connection; `admitted` once the broker has decided. `identity` names one of the authority, or its certificate and key."""

    def __init__(
        self,
        broker: Broker,
        identity: str | Credentials | None,
        authority: Authority | None = None,
        *,
        client_id: str = "",
        will: str | None = None,
    ) -> None:
        is_host = identity == "ingest"
        self.messages: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.lost: queue.Queue[str] = queue.Queue()
        self._outcome: queue.Queue[bool] = queue.Queue()
        self._subscribed: queue.Queue[object] = queue.Queue()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, reconnect_on_failure=False)
        context = ssl.create_default_context(cafile=str(broker.authority.folder / "broker" / "ca.crt"))
        if isinstance(identity, str):
            identity = (authority or broker.authority).credentials(identity)
        if identity is not None:
            context.load_cert_chain(*identity)
        self._client.tls_set_context(context)
        self._client.on_connect = lambda _c, _u, _f, reason, _p: self._outcome.put(not reason.is_failure)
        self._client.on_disconnect = self._disconnected
        self._client.on_subscribe = lambda *_: self._subscribed.put(None)
        self._client.on_message = lambda _c, _u, message: self.messages.put((message.topic, message.payload))
        if will is not None:
            self._client.will_set(will, b"will", qos=1)
        try:
            self._client.connect("localhost", broker.host_port if is_host else broker.port, keepalive=30)
        except (ssl.SSLError, ConnectionError):
            self.admitted = False
            return
        self._client.loop_start()
        self.admitted = self._outcome.get(timeout=PATIENCE_S)
        if not self.admitted:
            self._client.loop_stop()

    def _disconnected(self, *_: object) -> None:
        self.lost.put("disconnected")
        self._outcome.put(item=False)

    def __enter__(self) -> Self:
        assert self.admitted
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def subscribe(self, topic: str) -> None:
        self._client.subscribe(topic, qos=1)
        self._subscribed.get(timeout=PATIENCE_S)

    def publish(self, topic: str, payload: bytes = b"x") -> None:
        self._client.publish(topic, payload, qos=1).wait_for_publish(PATIENCE_S)

    def vanish(self) -> None:
        """Break the connection without a word: the broker publishes the will."""
        sock = self._client.socket()
        assert sock is not None
        self._client.loop_stop()
        sock.close()

    def until(self, topic: str) -> list[str]:
        """Topics that arrived before the first message on `topic`."""
        seen: list[str] = []
        while (found := self.messages.get(timeout=PATIENCE_S)[0]) != topic:
            seen.append(found)
        return seen


def admits(broker: Broker, identity: str | Credentials) -> bool:
    """Whether the broker lets this identity in now."""
    client = Client(broker, identity)
    if client.admitted:
        client.__exit__()
    return client.admitted
