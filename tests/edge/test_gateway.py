"""The gateway as a process, against real brokers and a host that acknowledges: a Sparkplug session's rules, and nothing lost."""

import random
import sqlite3
import time
from pathlib import Path

import pytest
from edge_harness import Gateway, GatewayProcess, Host, Number, told, wait_for

from vigia.sparkplug import names
from vigia.sparkplug.session import bd_seq_of
from vigia.sparkplug.topics import MessageType
from vigia.supervisor.broker import RunningBroker

on_both_brokers = pytest.mark.parametrize("broker", ["mosquitto", "amqtt"], indirect=True)
BIRTHS = [MessageType.NBIRTH, MessageType.DBIRTH, MessageType.DBIRTH]


def fly(gateway: Gateway) -> None:
    """An engine in each role, which both outlive what the tests fly."""
    gateway.install("L", "ESN-2", 2, 0)
    gateway.install("R", "ESN-3", 3, 0)


def flown(hours: int) -> set[tuple[str, str, int, object]]:
    return told("L", 2, 0, range(1, hours + 1)) | told("R", 3, 0, range(1, hours + 1))


def expect(host: Host, rows: set[tuple[str, str, int, object]]) -> None:
    wait_for(lambda: len(host.rows) >= len(rows))
    assert set(host.rows) == rows
    assert len(host.rows) == len(rows), "rows under two numbers"


@on_both_brokers
def test_it_is_born_with_its_devices_before_their_data(gateway: Gateway, host: Host) -> None:
    fly(gateway)
    gateway.start()
    wait_for(lambda: host.types.count(MessageType.DBIRTH) == 2)
    gateway.clock(1)
    expect(host, flown(1))

    births = [message_type for message_type in host.types if message_type is not MessageType.NDATA]
    assert births == [*BIRTHS, MessageType.DDATA, MessageType.DDATA]
    assert [payload.seq for _, payload in host.messages] == list(range(len(host.messages)))
    node = host.payloads(MessageType.NBIRTH)[0]
    assert bd_seq_of(node) == 0
    assert node.metric(names.REBIRTH) is not None
    assert {metric.name for metric in node.metrics if metric.alias is None} == {names.BD_SEQ, names.REBIRTH}
    device = host.payloads(MessageType.DBIRTH)[0]
    temperature = device.metric("T2")
    assert temperature is not None
    assert temperature.properties[names.ENG_UNIT] == "[degR]"
    assert temperature.properties[names.KIND] == "measurement"
    serial = device.metric(names.SERIAL_NUMBER)
    assert serial is not None
    assert serial.value == "ESN-2"
    aliases = [metric.alias for payload in host.payloads(MessageType.DBIRTH) for metric in payload.metrics]
    assert len(set(aliases)) == len(aliases)


def test_a_tick_is_on_the_wire_at_once(gateway: Gateway, host: Host) -> None:
    fly(gateway)
    gateway.start()
    wait_for(lambda: host.types.count(MessageType.DBIRTH) == 2)
    took = []
    for hour in range(1, 30):
        started = time.monotonic()
        gateway.clock(hour)
        wait_for(lambda hour=hour: len(host.rows) == 52 * hour)  # type: ignore[misc]
        took.append(time.monotonic() - started)
    assert sorted(took)[len(took) // 2] < 0.05


@on_both_brokers
def test_a_device_dies_and_comes_with_its_engine(gateway: Gateway, host: Host) -> None:
    gateway.install("L", "ESN-1", 1, 0)
    gateway.start()
    gateway.clock(2)
    wait_for(lambda: len(host.rows) == 52)
    gateway.remove("L", 2)
    wait_for(lambda: MessageType.DDEATH in host.types)
    gateway.clock(5)
    gateway.install("L", "ESN-2", 2, 5)
    gateway.clock(6)
    expect(host, told("L", 1, 0, range(1, 3)) | told("L", 2, 5, range(6, 7)))
    assert [batch.serial for batch in host.batches.values()] == ["ESN-1", "ESN-1", "ESN-2"]
    gateway.install("L", "ESN-3", 3, 6)
    gateway.clock(7)
    wait_for(lambda: [batch.serial for batch in host.batches.values()][3:] == ["ESN-3"])
    assert host.types.count(MessageType.DDEATH) == 2


def test_a_device_dies_before_a_host_that_acknowledges_nothing(gateway: Gateway, host: Host) -> None:
    host.acknowledging = False
    gateway.config.write_text(gateway.config.read_text().replace("ack_timeout_s = 1.0", "ack_timeout_s = 3.0\nwindow = 4"))
    gateway.install("L", "ESN-1", 1, 0)
    gateway.start()
    gateway.clock(20)
    wait_for(lambda: len(host.batches) >= 8)
    gateway.remove("L", 20)
    wait_for(lambda: MessageType.DDEATH in host.types)


def test_history_is_told_under_the_engine_that_made_it(gateway: Gateway, broker: RunningBroker) -> None:
    gateway.install("L", "ESN-1", 1, 0)
    gateway.install("R", "ESN-9", 3, 0)
    gateway.clock(2)
    gateway.remove("L", 2)
    gateway.remove("R", 2)
    gateway.install("L", "ESN-2", 2, 2)
    gateway.clock(4)
    gateway.start()
    truth = told("L", 1, 0, range(1, 3)) | told("R", 3, 0, range(1, 3)) | told("L", 2, 2, range(3, 5))
    wait_for(lambda: gateway.status.samples_stored == len(truth))
    host = Host(broker.url)
    host.start()
    expect(host, truth)
    assert {(batch.rows[0][0], batch.serial) for batch in host.batches.values()} == {("L", "ESN-1"), ("L", "ESN-2"), ("R", "ESN-9")}
    # The engine that is gone lived only for its history.
    wait_for(lambda: [topic.device_id for topic, _ in host.messages if topic.message_type is MessageType.DDEATH] == ["R"])
    assert host.errors == []
    host.stop()


def test_an_engine_that_failed_says_so_once(gateway: Gateway, host: Host) -> None:
    gateway.install("L", "ESN-1", 1, 0)
    gateway.start()
    gateway.clock(45)
    expect(host, told("L", 1, 0, range(1, 46)))
    assert host.rows[-1][1::2] == ("state", 0)


def test_it_announces_its_death_when_stopped_and_a_new_session_next_time(gateway_process: GatewayProcess, host: Host) -> None:
    gateway = gateway_process
    fly(gateway)
    gateway.start()
    wait_for(lambda: host.types.count(MessageType.DBIRTH) == 2)
    gateway.stop()
    wait_for(lambda: host.types[-1] is MessageType.NDEATH)
    assert [metric.name for metric in host.payloads(MessageType.NDEATH)[0].metrics] == [names.BD_SEQ]
    assert host.payloads(MessageType.NDEATH)[0].seq is None
    gateway.start()
    wait_for(lambda: host.types.count(MessageType.NBIRTH) == 2)
    assert [bd_seq_of(payload) for payload in host.payloads(MessageType.NBIRTH)] == [0, 1]


@on_both_brokers
def test_the_broker_announces_its_death_when_it_is_killed(gateway_process: GatewayProcess, host: Host) -> None:
    gateway = gateway_process
    gateway.start()
    wait_for(lambda: MessageType.NBIRTH in host.types)
    gateway.kill()
    wait_for(lambda: host.types[-1] is MessageType.NDEATH)
    assert bd_seq_of(host.payloads(MessageType.NDEATH)[0]) == bd_seq_of(host.payloads(MessageType.NBIRTH)[0])


@on_both_brokers
def test_a_rebirth_repeats_all_births_in_the_same_session(gateway: Gateway, host: Host) -> None:
    fly(gateway)
    gateway.start()
    gateway.clock(3)
    expect(host, flown(3))
    host.messages.clear()
    host.ask_rebirth()
    wait_for(lambda: [kind for kind in host.types if kind is not MessageType.NDATA][:3] == BIRTHS)
    assert host.payloads(MessageType.NBIRTH)[0].seq == 0
    assert bd_seq_of(host.payloads(MessageType.NBIRTH)[0]) == 0
    temperature = host.payloads(MessageType.DBIRTH)[0].metric("T2")
    assert temperature is not None
    assert temperature.value == 2003.03
    gateway.clock(4)
    expect(host, flown(4))


def test_it_is_silent_until_the_host_is_online_and_then_sends_what_waited(gateway: Gateway, broker: RunningBroker) -> None:
    fly(gateway)
    gateway.start()
    gateway.clock(10)
    wait_for(lambda: gateway.status.samples_stored == 520)
    host = Host(broker.url)
    host.start()
    expect(host, flown(10))
    assert all(batch.historical for batch in host.batches.values())
    wait_for(lambda: gateway.settled)
    host.stop()


@on_both_brokers
@pytest.mark.parametrize("leave", [Host.stop, Host.vanish])
def test_it_ends_its_session_when_the_host_leaves(gateway: Gateway, broker: RunningBroker, leave: object) -> None:
    fly(gateway)
    first = Host(broker.url)
    first.start()
    gateway.start()
    gateway.clock(3)
    expect(first, flown(3))
    watcher = Host(broker.url, acknowledging=False)
    watcher.say = lambda *, online: None  # type: ignore[assignment, return-value]  # noqa: ARG005
    watcher.start()
    assert callable(leave)
    leave(first)
    wait_for(lambda: MessageType.NDEATH in watcher.types)
    gateway.clock(6)
    wait_for(lambda: gateway.status.samples_stored == len(flown(6)))
    assert watcher.rows == []
    second = Host(broker.url)
    second.start()
    wait_for(lambda: len(second.rows) >= len(flown(6) - flown(3)))
    assert set(second.rows) >= flown(6) - flown(3)
    watcher.client.disconnect()
    watcher.client.loop_stop()
    second.stop()


@on_both_brokers
def test_what_is_not_acknowledged_is_sent_again_as_history(gateway: Gateway, host: Host) -> None:
    fly(gateway)
    to_lose = {3, 4, 7}

    def losing_once(number: Number) -> bool:
        lost = number[1] in to_lose
        to_lose.discard(number[1])
        return lost

    host.losing = losing_once
    gateway.start()
    wait_for(lambda: host.types.count(MessageType.DBIRTH) == 2)
    gateway.clock(5)
    expect(host, flown(5))
    assert {eseq for (_, eseq), batch in host.batches.items() if batch.historical} == {3, 4, 7}
    wait_for(lambda: gateway.settled)


def test_lost_acknowledgements_harm_nothing(gateway: Gateway, host: Host) -> None:
    host.acknowledging = False
    fly(gateway)
    gateway.start()
    gateway.clock(5)
    expect(host, flown(5))
    wait_for(lambda: host.repeats >= 10)
    assert gateway.status.acknowledged == 0
    host.acknowledging = True
    wait_for(lambda: gateway.settled)
    expect(host, flown(5))


def test_a_wrong_acknowledgement_changes_nothing(gateway: Gateway, host: Host) -> None:
    host.acknowledging = False
    fly(gateway)
    gateway.start()
    gateway.clock(2)
    expect(host, flown(2))
    epoch = gateway.status.epoch
    host.acknowledge(epoch - 1, 4)
    host.acknowledge(epoch, 5)
    host.acknowledge(epoch, 1)
    wait_for(lambda: gateway.status.acknowledged == 1)
    assert gateway.status.waiting_batches == 3


def test_the_heartbeat_tells_the_newest_number(gateway: Gateway, host: Host) -> None:
    fly(gateway)
    gateway.start()
    gateway.clock(3)
    expect(host, flown(3))
    host.messages.clear()
    wait_for(lambda: MessageType.NDATA in host.types)
    assert host.payloads(MessageType.NDATA)[0].metrics[0].value == 6


@on_both_brokers
def test_killing_it_at_any_moment_loses_and_doubles_nothing(gateway_process: GatewayProcess, host: Host) -> None:
    gateway = gateway_process
    dice = random.Random(20260101)  # noqa: S311 - no secret
    fly(gateway)
    hour = 1
    gateway.clock(hour)
    for _ in range(8):
        stored = gateway.status.samples_stored
        gateway.start()
        wait_for(lambda stored=stored: gateway.status.samples_stored > stored)  # type: ignore[misc]
        for _ in range(dice.randrange(3, 8)):
            hour += 1
            gateway.clock(hour)
            time.sleep(dice.uniform(0.0, 0.02))  # the moment of the kill, not a wait
        gateway.kill()
        hour += 1
        gateway.clock(hour)
        connection = sqlite3.connect(gateway.buffer)
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
        connection.close()
    gateway.start()
    expect(host, flown(hour))
    assert gateway.status.samples_stored == len(flown(hour))
    wait_for(lambda: gateway.settled)
    assert sorted(eseq for _, eseq in host.batches) == list(range(1, gateway.status.newest + 1))


@on_both_brokers
def test_killing_the_broker_loses_nothing(gateway: Gateway, host: Host, broker: RunningBroker) -> None:
    fly(gateway)
    gateway.start()
    hour = 0
    for _ in range(3):
        for _ in range(10):
            hour += 1
            gateway.clock(hour)
        broker.kill()
        hour += 1
        gateway.clock(hour)
        broker.start()
        started = time.monotonic()
        expect(host, flown(hour))
        assert time.monotonic() - started < 15
    wait_for(lambda: gateway.settled)


def test_a_full_buffer_drops_the_oldest_and_says_which(broker: RunningBroker, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "edge", broker.url, buffer_settings="max_bytes = 65536")
    fly(gateway)
    gateway.start()
    gateway.clock(120)
    wait_for(lambda: gateway.status.samples_stored == len(flown(120)))
    assert gateway.status.samples_dropped > 0
    host = Host(broker.url)
    host.start()
    wait_for(lambda: gateway.settled)
    kept = {eseq for _, eseq in host.batches}
    dropped = {number for one in host.tombstones for number in range(int(str(one["from"])), int(str(one["to"])) + 1)}
    assert kept | dropped == set(range(1, gateway.status.newest + 1))
    assert not kept & dropped
    assert {one["reason"] for one in host.tombstones} == {"the buffer's limit of 65536 bytes"}
    assert set(host.rows) <= flown(120)
    gateway.stop()
    host.stop()


def test_a_damaged_buffer_is_set_aside_and_a_new_epoch_goes_on(gateway: Gateway, host: Host) -> None:
    fly(gateway)
    gateway.start()
    gateway.clock(5)
    expect(host, flown(5))
    wait_for(lambda: gateway.settled)
    gateway.stop()
    before = gateway.status
    # Damage in the index of stored batches: the counters stay readable, the check does not pass.
    data = bytearray(gateway.buffer.read_bytes())
    connection = sqlite3.connect(gateway.buffer)
    page = connection.execute("select rootpage from sqlite_master where name = 'batch_priority'").fetchone()[0]
    connection.close()
    data[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    gateway.buffer.write_bytes(data)
    gateway.start()
    gateway.clock(8)
    expect(host, flown(8))
    assert gateway.status.epoch > before.epoch
    assert gateway.status.samples_stored == len(flown(8))
    assert len(list(gateway.buffer.parent.glob("*.damaged-*"))) >= 1


def test_what_is_lost_with_a_damaged_buffer_is_said(gateway: Gateway, host: Host) -> None:
    fly(gateway)
    host.acknowledging = False
    gateway.start()
    gateway.clock(5)
    expect(host, flown(5))
    gateway.stop()
    before = gateway.status
    data = bytearray(gateway.buffer.read_bytes())
    data[-4096:] = b"\xff" * 4096
    gateway.buffer.write_bytes(data)
    gateway.start()
    gateway.clock(6)
    wait_for(lambda: [(one["epoch"], one["from"], one["to"]) for one in host.tombstones][:1] == [(before.epoch, 1, 10)])
    assert str(host.tombstones[0]["reason"]).startswith("the buffer was damaged; set aside as air.bcn.sqlite.damaged-")
    host.acknowledging = True
    wait_for(lambda: tombstones(gateway) == [])
    assert gateway.status.epoch > before.epoch


def tombstones(gateway: Gateway) -> list[object]:
    connection = sqlite3.connect(gateway.buffer)
    try:
        return connection.execute("select * from tombstone").fetchall()
    finally:
        connection.close()
