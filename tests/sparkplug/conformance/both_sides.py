"""What is asked of edge nodes and of host applications alike."""

from conformance.checks import check_both
from conformance.packets import MQTT_5
from conformance.reading import Reading, Said, each

CLOCK_MS = 5_000.0


@check_both
def sessions_are_clean(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line in reading.lines:
        if line.connect.level < MQTT_5:
            yield line.connect.clean, f"connection {line.number}: the session is not clean"


@check_both
def sessions_are_clean_in_mqtt5(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line in reading.lines:
        if line.connect.level == MQTT_5:
            yield line.connect.clean and line.connect.expiry_s == 0, f"connection {line.number}: the session is not clean"


@check_both
def connect_has_will(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line in reading.lines:
        yield line.connect.will is not None, f"connection {line.number} has no Will"


@check_both
def will_has_qos1(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for line in reading.lines:
        yield line.connect.will is not None and line.connect.will.qos == 1, f"connection {line.number}: the Will's QoS"


@check_both
def qos0(reading: Reading, kinds: tuple[str, ...]) -> Said:
    for _, message in each(reading, *kinds):
        yield message.publish.qos == 0, f"{message}: QoS {message.publish.qos}"


@check_both
def unretained(reading: Reading, kinds: tuple[str, ...]) -> Said:
    for _, message in each(reading, *kinds):
        yield not message.publish.retain, f"{message} is retained"


@check_both
def sent_at(reading: Reading, kinds: tuple[str, ...]) -> Said:
    for _, message in each(reading, *kinds):
        payload = message.payload
        told = payload is not None and payload.HasField("timestamp")
        yield told and abs(payload.timestamp - message.at) < CLOCK_MS, f"{message}: the time at which it was sent"
