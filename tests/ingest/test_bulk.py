"""The data connection against real brokers, and against one that behaves as none should."""

import asyncio
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bulk_harness import FILTER, TOPIC, Publisher, Sink, StrangeBroker, message, subscribed, wait_until
from ingest_harness import until

from vigia.ingest import BrokerUnavailableError, bulk, packets
from vigia.ingest.config import BrokerConfig, Limits
from vigia.ingest.inbox import Inbox
from vigia.supervisor.broker import RunningBroker, running_broker


def numbered(count: int, size: int = 0) -> list[bytes]:
    return [b"%d" % number + bytes(size) for number in range(count)]


@pytest.mark.parametrize(("qos", "count"), [(0, 20_000), (1, 20_000)])
def test_everything_comes_once_and_in_order(broker: RunningBroker, qos: int, count: int) -> None:
    sink = Sink()
    with subscribed(BrokerConfig.from_url(broker.url), sink) as (_, lost), Publisher(broker.port) as publisher:
        for first in range(0, count, 5000):
            publisher.publish(numbered(count)[first : first + 5000], qos)
            wait_until(lambda first=first: len(sink) == first + 5000)  # type: ignore[misc]
        assert sink.payloads == numbered(count)
        assert {one.topic for one in sink.messages} == {TOPIC}
        assert not lost.is_set()


def test_the_broker_that_comes_with_pip_does_as_well(tmp_path: Path) -> None:
    sink = Sink()
    with running_broker(tmp_path, "amqtt") as broker:
        with subscribed(BrokerConfig.from_url(broker.url), sink), Publisher(broker.port) as publisher:
            publisher.publish(numbered(500, 2000))
            wait_until(lambda: len(sink) == 500)
        assert sink.payloads == numbered(500, 2000)


async def test_a_slow_reader_holds_the_broker_back_and_loses_nothing(broker: RunningBroker) -> None:
    inbox = Inbox(Limits(queue_bytes=64_000, flush_bytes=20_000))
    got: list[bytes] = []
    most = 0
    with subscribed(BrokerConfig.from_url(broker.url), inbox), Publisher(broker.port) as publisher:
        sending = asyncio.create_task(asyncio.to_thread(publisher.publish, numbered(10_000, 1000)))
        await until(lambda: not inbox.room(0))
        while len(got) < 10_000:
            assert await inbox.wait(30)
            most = max(most, inbox.nbytes)
            got += [one.payload for delivery in inbox.take() for one in delivery.messages()]
        await sending
    assert got == numbered(10_000, 1000)
    assert most < 64_000 + bulk.BUFFER_BYTES


def test_pings_go_on_while_there_is_no_room() -> None:
    sink = Sink()
    with StrangeBroker() as broker, subscribed(broker.config, sink) as (_, lost):
        sink.door.clear()
        broker.say(message(b"held"))
        wait_until(lambda: broker.heard.count(packets.PINGREQ[:1]) >= 5)  # longer than the silence that would end it
        assert not lost.is_set()
        assert len(sink) <= 1  # it may have been reading just then
        sink.door.set()
        wait_until(lambda: sink.payloads == [b"held"])
        assert not lost.is_set()


def test_a_broker_that_answers_no_more_is_found_within_one_and_a_half_keepalives() -> None:
    with StrangeBroker() as broker, subscribed(broker.config, Sink()) as (_, lost):
        wait_until(lambda: len(broker.heard) >= 1)
        broker.mute()
        muted = time.monotonic()
        assert lost.wait(10)
        assert 0.9 < time.monotonic() - muted < 1.5 * broker.config.keepalive_s + 0.5


def test_while_the_broker_is_well_an_idle_connection_stays() -> None:
    with StrangeBroker() as broker, subscribed(broker.config, Sink()) as (_, lost):
        wait_until(lambda: len(broker.heard) >= 5)
        assert not lost.is_set()


def test_the_end_of_the_broker_is_noticed_at_once(broker: RunningBroker) -> None:
    with subscribed(BrokerConfig.from_url(broker.url), Sink()) as (_, lost):
        broker.kill()
        assert lost.wait(2)


def test_a_large_block_leaves_although_the_broker_reads_slowly_and_messages_come_meanwhile() -> None:
    sink = Sink()
    block = b"".join(message(bytes(100_000)) for _ in range(100))
    with StrangeBroker() as broker, subscribed(broker.config, sink) as (subscriber, lost):
        broker.stop_reading()
        started = time.monotonic()
        subscriber.send(block)
        assert time.monotonic() - started < 1
        broker.say(message(b"meanwhile", 7))
        wait_until(lambda: sink.payloads == [b"meanwhile"])
        broker.read_again()
        wait_until(lambda: broker.heard[-1:] == [b"\x40\0\x07"])
        data = [one for one in broker.heard if one[0] == 0x30]
        assert len(data) == 100
        assert not lost.is_set()


def test_a_broker_that_takes_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "STUCK_S", 0.5)
    with StrangeBroker() as broker, subscribed(broker.config, Sink()) as (subscriber, lost):
        broker.stop_reading()
        subscriber.send(message(bytes(100_000)) * 200)
        assert lost.wait(5)
        assert "takes nothing" in str(subscriber._failure)
        subscriber.send(b"nothing happens")


def test_blocks_of_several_threads_are_not_mixed() -> None:
    def send(letter: bytes) -> None:
        for _ in range(200):
            subscriber.send(message(letter * 5000))

    with StrangeBroker() as broker, subscribed(broker.config, Sink()) as (subscriber, _):
        threads = [threading.Thread(target=send, args=(letter,)) for letter in (b"a", b"b", b"c")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_until(lambda: sum(one[0] == 0x30 for one in broker.heard) == 600)
        heard = [one[-5000:] for one in broker.heard if one[0] == 0x30]
    assert sorted(heard) == [letter * 5000 for letter in (b"a", b"b", b"c") for _ in range(200)]


def test_a_message_larger_than_anything_accepted_is_cut_and_the_next_one_whole() -> None:
    sink = Sink()
    with StrangeBroker() as broker, subscribed(broker.config, sink) as (_, lost):
        broker.say(message(b"before") + message(bytes(3 * bulk.BUFFER_BYTES + 5), 9) + message(b"after", 10))
        wait_until(lambda: len(sink) == 3)
        before, cut, after = sink.payloads
        assert (before, after) == (b"before", b"after")
        assert 1_000_000 < len(cut) < bulk.BUFFER_BYTES
        wait_until(lambda: [one for one in broker.heard if one[0] == 0x40] == [b"\x40\0\x09", b"\x40\0\x0a"])
        assert not lost.is_set()


@pytest.mark.parametrize("garbage", [b"\x30\xff\xff\xff\xff\xff", b"\xf0\0", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_stream_that_is_no_mqtt_ends_the_connection_after_what_was_sound(garbage: bytes) -> None:
    sink = Sink()
    with StrangeBroker() as broker, subscribed(broker.config, sink) as (_, lost):
        broker.say(message(b"sound") + garbage)
        assert lost.wait(5)
        assert sink.payloads == [b"sound"]


def test_a_refused_subscription_is_told_in_a_sentence() -> None:
    with (
        StrangeBroker(granted=0x80) as broker,
        pytest.raises(BrokerUnavailableError, match="see its access list"),
        subscribed(broker.config, Sink(), (FILTER, "plant/+")),
    ):
        pass


@pytest.mark.parametrize(("code", "words"), [(4, "Bad user name or password"), (5, "Not authorized"), (99, "reason 99")])
def test_a_refused_connection_is_told_in_a_sentence(code: int, words: str) -> None:
    with (
        StrangeBroker(connack=b"\x20\x02\0" + bytes([code])) as broker,
        pytest.raises(BrokerUnavailableError, match=words),
        subscribed(broker.config, Sink()),
    ):
        pass


def test_a_server_that_says_nothing_is_waited_for_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "CONNECT_TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        config = BrokerConfig.from_url(f"mqtt://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(TimeoutError), subscribed(config, Sink()):
            pass


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[tuple[RunningBroker, Path]]:
    """A broker behind TLS that wants a password, and the certificate it is known by."""
    if shutil.which("openssl") is None or shutil.which("mosquitto_passwd") is None:
        pytest.skip("NOT RUN: openssl and mosquitto_passwd are not both on PATH")
    cert, key, passwords = (tmp_path / name for name in ("cert.pem", "key.pem", "passwords"))
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*request, *names, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    subprocess.run(
        [shutil.which("mosquitto_passwd") or "", "-c", "-b", str(passwords), "ingest", "secret"], check=True, capture_output=True
    )
    with running_broker(tmp_path / "broker", "mosquitto") as broker:
        broker.stop()
        conf = tmp_path / "broker" / "broker" / "mosquitto.conf"
        guards = f"certfile {cert}\nkeyfile {key}\npassword_file {passwords}\nuser root\n"
        conf.write_text(conf.read_text().replace("allow_anonymous true", "allow_anonymous false") + guards)
        broker.start()
        yield broker, cert


def test_tls_and_password(guarded: tuple[RunningBroker, Path]) -> None:
    broker, cert = guarded
    url = f"mqtts://ingest:secret@127.0.0.1:{broker.port}"
    config = BrokerConfig.from_url(url, cert)
    sink = Sink()
    block = b"".join(message(payload) for payload in numbered(2000, 1000))
    with subscribed(config, sink) as (subscriber, lost):
        subscriber.send(block)  # it hears itself: both directions at the same time
        wait_until(lambda: len(sink) == 2000 or lost.is_set())
        assert sink.payloads == numbered(2000, 1000)
    with (
        pytest.raises(BrokerUnavailableError, match=r"Not authorized|Bad user name or password"),
        subscribed(
            BrokerConfig.from_url(url.replace("secret", "wrong"), cert),
            Sink(),
        ),
    ):
        pass
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"), subscribed(BrokerConfig.from_url(url), Sink()):
        pass
