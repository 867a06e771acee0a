"""What the tap reads off the wire, piece by piece as TCP may deliver it."""

import socket
import threading

import paho.mqtt.client as mqtt
import pytest
from conformance.packets import Connack, Connect, Disconnect, Packet, Publish, Stream, Suback, Subscribe, Will
from conformance.people import until
from conformance.tap import LOOPBACK, Record, Tap
from conformance.transcript import Ended, Passed
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from vigia.supervisor.broker import RunningBroker


def test_packets_are_read_whole_however_they_are_cut() -> None:
    wire = b"\x20\x02\x00\x00" + b"\x30\xc8\x01\x00\x01a" + bytes(197) + b"\x90\x04\x00\x07\x01\x80" + b"\xe0\x00"
    stream = Stream()
    read = [packet for byte in wire for packet in stream.feed(bytes((byte,)))]
    assert read == [Connack(0), Publish("a", bytes(197), 0, retain=False), Suback((1, 128)), Disconnect(0)]
    assert Stream().feed(wire) == read


@pytest.mark.parametrize("level", [mqtt.MQTTv311, mqtt.MQTTv5])
def test_what_a_client_says_is_written_down(broker: RunningBroker, level: int) -> None:
    record = Record()
    granted = threading.Event()
    five = level == mqtt.MQTTv5
    with Tap("A", broker.port, record) as tap:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, "one", protocol=level, clean_session=None if five else True)  # type: ignore[arg-type]
        client.will_set("gone", b"w", 1, retain=True)
        client.on_subscribe = lambda *_: granted.set()
        properties = None
        if five:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 60
        client.connect(LOOPBACK, tap.port, **({"clean_start": True, "properties": properties} if five else {}))
        client.loop_start()
        client.subscribe([("a/#", SubscribeOptions(1) if five else 1), ("b", SubscribeOptions(0) if five else 0)])  # type: ignore[arg-type]
        assert granted.wait(10)
        client.publish("a/b", b"said", 1, retain=True).wait_for_publish(10)
        heard = Publish("a/b", b"said", 1, retain=False)
        until(lambda: any(isinstance(event, Passed) and event.packet == heard for event in record.events), "it comes back")
        client.disconnect()
        client.loop_stop()
        until(lambda: isinstance(record.events[-1], Ended), "the end")
    sent: list[Packet] = [event.packet for event in record.events if isinstance(event, Passed) and event.sent]
    assert sent[:2] == [
        Connect("one", 5 if five else 4, clean=True, will=Will("gone", b"w", 1, retain=True), expiry_s=60 if five else 0),
        Subscribe((("a/#", 1), ("b", 0))),
    ]
    assert Publish("a/b", b"said", 1, retain=True) in sent
    assert sent[-1] == Disconnect(0)


def test_a_cut_is_no_ordered_end(broker: RunningBroker) -> None:
    record = Record()
    with Tap("A", broker.port, record) as tap:
        with socket.create_connection((LOOPBACK, tap.port)) as line:
            line.sendall(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a")
            until(lambda: any(isinstance(event, Passed) and isinstance(event.packet, Connack) for event in record.events), "the answer")
            tap.cut()
            until(lambda: isinstance(record.events[-1], Ended), "the end")
        assert [event.by for event in record.events if isinstance(event, Ended)] == ["cut"]
