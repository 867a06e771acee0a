"""Machines behind an MTConnect agent: all its words are understood, and nothing is told twice or missed while its buffer has it."""

import asyncio
import ipaddress
import json
import random
import ssl
import tomllib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from mtconnect_agent import START_MS, Agent, Observed, answered
from pydantic import ValidationError
from source_harness import entered, golden, load_sample, samples, travels, until
from structlog.testing import capture_logs

from vigia.edge import EdgeError
from vigia.edge.samples import Tick
from vigia.edge.sources import SourceUnavailableError
from vigia.edge.sources.mtconnect import documents
from vigia.edge.sources.mtconnect.config import MTConnectConfig
from vigia.edge.sources.mtconnect.documents import DocumentError, errors_of, parse, streams_of
from vigia.edge.sources.mtconnect.model import model_of
from vigia.edge.sources.mtconnect.multipart import Parts, boundary_of
from vigia.edge.sources.mtconnect.readings import Readings
from vigia.edge.sources.mtconnect.source import MTConnectSource
from vigia.edge.sources.mtconnect.units import ucum

Row = tuple[str, int, object]


def config(**settings: object) -> MTConnectConfig:
    usual = {"type": "mtconnect", "url": "http://127.0.0.1:1", "interval_s": 0.01, "heartbeat_s": 5.0, "timeout_s": 5.0}
    return MTConnectConfig.model_validate({**usual, **settings})


def source(agent: Agent, position: str | None = None, **settings: object) -> MTConnectSource:
    one = MTConnectSource(config(url=agent.url, **settings), Path())
    one.resume(position)
    return one


def value_of(agent: Agent, one: Observed) -> object:
    if one.value == "UNAVAILABLE":
        return None
    return float(one.value) if agent.items[one.item][0] == "SAMPLE" else one.value


def truth(agent: Agent, observed: list[Observed]) -> list[Row]:
    """What must be told of these observations; the conditions are tested apart."""
    return [(one.item, one.ts, value_of(agent, one)) for one in observed if one.item != "logic"]


def rows(ticks: list[Tick]) -> list[Row]:
    return [(one.point, one.ts, one.value) for one in samples(ticks) if not one.point.startswith("logic")]


def conditions(ticks: list[Tick]) -> list[object]:
    return [one.value for one in samples(ticks) if one.point == "logic"]


def births(ticks: list[Tick]) -> int:
    return sum(bool(tick.births) for tick in ticks)


async def until_told(stream: AsyncIterator[Tick], last: Observed) -> list[Tick]:
    return await until(stream, lambda ticks: bool(ticks) and any(one.ts == last.ts for one in ticks[-1].samples))


@pytest.mark.parametrize("case", golden("mtconnect"), ids=lambda case: case.name)
def test_the_golden_documents_mean_this(case: Path) -> None:
    table = case / "source.toml"
    told = config(**tomllib.loads(table.read_text())) if table.exists() else config()
    model = model_of(parse((case / "probe.xml").read_bytes()), told)
    devices = {
        device.device_id: [
            device.serial,
            device.model,
            [[one.name, one.datatype.name, one.unit, one.low, one.high, one.kind, one.documentation] for one in device.points],
        ]
        for device in model.devices
    }
    readings = Readings(model)
    taken = {
        document.name: list(readings.samples(streams_of(parse(document.read_bytes())).observations, now=1, received=None))
        for document in sorted(case.glob("[0-9]*.xml"))
    }
    assert all(travels(model.devices, rows) for rows in taken.values())
    said = {name: [[one.point, one.ts, one.value, one.quality] for one in rows] for name, rows in taken.items()}
    assert {"left_out": list(model.left_out), "devices": devices, **said} == json.loads((case / "expected.json").read_text())


def test_every_unit_of_the_standard_has_a_code() -> None:
    assert (ucum("REVOLUTION/MINUTE"), ucum("NEWTON_METER"), ucum("x:FURLONG"), ucum("")) == ("/min", "N.m", None, "1")


async def test_it_tells_the_newest_and_then_what_comes() -> None:
    async with Agent() as agent:
        agent.observe("load", "12.5")
        known = {one.item: one for one in agent.log}.values()
        async with entered(source(agent)) as stream:
            first = await anext(stream)
            assert [(device.device_id, device.serial) for device in first.births] == [("mill", "u-1")]
            assert first.standing == ()
            assert sorted(rows([first])) == sorted(truth(agent, list(known)))
            fresh = [agent.observe("exec", "ACTIVE"), agent.observe("speed", "3000"), agent.observe("load", "UNAVAILABLE")]
            got = await until_told(stream, fresh[-1])
    assert rows(got) == truth(agent, fresh)
    assert [(one.value, one.quality) for one in got[-1].samples][-1] == (None, 0)


async def test_only_what_is_fresh_tells_when_it_was_received() -> None:
    async with Agent() as agent, entered(source(agent, interval_s=0.02)) as stream:
        got = [await anext(stream)]
        pending = asyncio.ensure_future(anext(stream))
        await agent.streaming.wait()
        agent.observe("load", "1")
        fresh = await pending
    assert all(one.received is None for one in samples(got))
    assert all(one.received is not None and one.received > START_MS for one in fresh.samples)
    assert any("interval=20&heartbeat=5000" in path for path in agent.asked)


async def test_after_a_restart_of_ours_exactly_what_was_missed_is_told() -> None:
    async with Agent() as agent:
        async with entered(source(agent)) as stream:
            got = await until_told(stream, agent.observe("load", "1"))
        missed = [agent.observe("load", str(number)) for number in range(60)]
        async with entered(source(agent, got[-1].position, count=7)) as stream:
            got = await until_told(stream, missed[-1])
            fresh = agent.observe("load", "99")
            got += await until_told(stream, fresh)
    assert births(got) == 1
    assert rows(got) == truth(agent, [*missed, fresh])
    # What was told before our restart and stood then is repeated by the birth.
    standing = {one.point: (one.ts, one.value) for one in got[0].standing}
    assert standing["load"] == (missed[0].ts - 10, 1.0)
    assert standing["speed"][1] is None
    assert standing["logic"][1] is None


async def test_stopped_anywhere_any_number_of_times_it_tells_all_once() -> None:
    chance = random.Random(20260301)  # noqa: S311 - no secret
    position = None
    told: list[Row] = []
    async with Agent(size=10_000) as agent:
        for _ in range(12):
            async with entered(source(agent, position, count=chance.randint(1, 5))) as stream:
                for _ in range(chance.randint(2, 12)):
                    tick = await anext(stream)
                    told += rows([tick])
                    position = tick.position or position
                    for _ in range(chance.randint(1, 3) if position else 0):
                        agent.observe(chance.choice(["load", "speed"]), str(len(agent.log)))
        async with entered(source(agent, position)) as stream:
            told += rows(await until_told(stream, agent.observe("load", "0.5")))
    assert len(told) == len(set(told))
    assert set(told) == set(truth(agent, agent.log))


async def test_an_agent_that_restarts_is_born_and_read_anew() -> None:
    async with Agent() as agent, entered(source(agent)) as stream:
        await until_told(stream, agent.observe("load", "1"))
        with capture_logs() as logs:
            agent.restart(instance=2)
            last = agent.observe("load", "2")
            got = await until_told(stream, last)
        unavailable = agent.log[-len(agent.items) - 1 :]
        fresh = agent.observe("speed", "5")
        got += await until_told(stream, fresh)
    assert births(got) == 1
    newest = [one for one in unavailable if one.item != "load" or one is last]
    assert sorted(rows(got)) == sorted(truth(agent, [*newest, fresh]))
    assert json.loads(got[-1].position or "")[0] == 2
    assert [entry["event"] for entry in logs] == ["agent restarted; everything is read anew"]


async def test_an_agent_that_restarted_while_we_were_off_is_read_anew() -> None:
    async with Agent() as agent:
        for number in range(50):
            agent.observe("load", str(number))
        async with entered(source(agent)) as stream:
            position = (await until_told(stream, agent.observe("load", "1")))[-1].position
        agent.restart(instance=2)
        last = agent.observe("load", "7")
        async with entered(source(agent, position)) as stream:
            got = await until_told(stream, last)
    assert sorted(rows(got)) == sorted(
        truth(agent, [one for one in agent.log[-len(agent.items) - 1 :] if one.item != "load" or one is last])
    )


async def test_numbers_that_went_back_count_as_a_restart() -> None:
    async with Agent() as agent:
        last = agent.observe("load", "7")
        async with entered(source(agent, json.dumps([1, 5000]))) as stream:
            got = await until_told(stream, last)
    assert ("load", last.ts, 7.0) in rows(got)


async def test_what_left_the_agents_buffer_is_said_loudly_and_the_rest_is_told() -> None:
    async with Agent(size=20) as agent:
        async with entered(source(agent)) as stream:
            position = (await until_told(stream, agent.observe("load", "1")))[-1].position
        missed_from = agent.next
        lost_newest = agent.observe("exec", "ACTIVE")
        missed = [lost_newest, *(agent.observe("load", str(number)) for number in range(50))]
        kept = list(agent.buffer)
        with capture_logs() as logs:
            async with entered(source(agent, position, count=7)) as stream:
                got = await until_told(stream, missed[-1])
                fresh = agent.observe("load", "99")
                got += await until_told(stream, fresh)
    assert [(entry["log_level"], entry["first"], entry["last"]) for entry in logs] == [("error", missed_from, kept[0].sequence - 1)]
    # The newest of what was lost is still known: it is told as well.
    assert rows(got) == truth(agent, [lost_newest, *kept, fresh])


async def test_a_buffer_that_is_overrun_between_two_answers_is_said_loudly_too() -> None:
    async with Agent(size=20) as agent, entered(source(agent)) as stream:
        await until_told(stream, agent.observe("load", "1"))
        before = agent.next
        with capture_logs() as logs:
            flood = [agent.observe("load", str(number)) for number in range(60)]
            got = await until_told(stream, flood[-1])
    assert [entry["first"] for entry in logs] == [before]
    assert rows(got) == truth(agent, flood[-20:])


async def test_an_agent_that_runs_away_is_not_chased_for_ever() -> None:
    async with Agent(size=20) as agent:
        async with entered(source(agent)) as stream:
            position = (await until_told(stream, agent.observe("load", "1")))[-1].position

        def flood(path: str) -> None:
            if path.startswith("/sample") and len(agent.asked) < 30:
                for number in range(30):
                    agent.observe("load", str(number))

        agent.asked.clear()
        for number in range(30):
            agent.observe("load", str(number))
        agent.manners = flood
        async with entered(source(agent, position)) as stream:
            with pytest.raises(SourceUnavailableError, match="refuses numbers"):
                await until(stream, lambda _: False)
            assert len([path for path in agent.asked if path.startswith("/sample")]) == 3


async def test_a_fault_that_was_active_before_our_restart_still_is() -> None:
    async with Agent() as agent:
        async with entered(source(agent)) as stream:
            agent.observe("logic", "Fault", "A")
            position = (await until_told(stream, agent.observe("load", "1")))[-1].position
        agent.observe("logic", "Warning", "B")
        agent.observe("logic", "Normal", "B")
        agent.observe("logic", "Normal", "A")
        async with entered(source(agent, position)) as stream:
            got = await until_told(stream, agent.observe("load", "2"))
    assert conditions(got) == ["Fault", "Fault", "Normal"]
    assert [(one.point, one.value) for one in got[0].standing if one.point.startswith("logic")] == [
        ("logic", "Fault"), ("logic/native_code", "A"),
    ]  # fmt: skip
    assert any(path.startswith("/current?at=") for path in agent.asked)


async def test_repeated_numbers_are_told_once() -> None:
    async with Agent() as agent:
        agent.observe("load", "1")
        async with entered(source(agent)) as stream:
            await until(stream, lambda ticks: bool(samples(ticks)))
            agent.manners = lambda path: answered(agent._sample({"from": 1, "count": 100})) if path.startswith("/sample") else None
            last = agent.observe("load", "2")
            assert rows(await until_told(stream, last)) == truth(agent, [last])


async def test_new_data_items_are_asked_for() -> None:
    async with Agent() as agent, entered(source(agent)) as stream:
        await until_told(stream, agent.observe("load", "1"))
        agent.items["oil"] = ("SAMPLE", "TEMPERATURE", "CELSIUS")
        last = agent.observe("oil", "40")
        got = await until_told(stream, last)
    assert [point.unit for tick in got for device in tick.births for point in device.points if point.name == "oil"] == ["Cel"]
    assert rows(got) == truth(agent, [last])


async def test_an_agent_that_does_not_stream_is_asked_again_and_again() -> None:
    async with Agent(streams=False) as agent, entered(source(agent)) as stream:
        for number in range(3):
            last = agent.observe("load", str(number))
            assert rows(await until_told(stream, last))[-1] == ("load", last.ts, float(number))


async def test_heartbeats_keep_a_quiet_agent_alive_and_cost_no_tick() -> None:
    async with Agent() as agent, entered(source(agent, heartbeat_s=0.1, timeout_s=0.2)) as stream:
        await until(stream, lambda ticks: bool(samples(ticks)))
        pending = asyncio.ensure_future(anext(stream))
        assert await asyncio.wait({pending}, timeout=0.6) == (set(), {pending})
        last = agent.observe("load", "1")
        assert rows([await pending]) == truth(agent, [last])


async def test_an_agent_without_a_heartbeat_is_away() -> None:
    async with Agent(silent=True) as agent, asyncio.timeout(10), entered(source(agent, heartbeat_s=0.1, timeout_s=0.2)) as stream:
        with pytest.raises(SourceUnavailableError, match=r"no answer from .*/sample in 0.3 s"):
            await until(stream, lambda _: False)


async def test_an_agent_that_goes_is_away_and_is_taken_up_when_it_returns() -> None:
    agent = Agent()
    await agent.start()
    one = source(agent)
    async with entered(one) as stream:
        position = (await until_told(stream, agent.observe("load", "1")))[-1].position
        await agent.stop()
        with pytest.raises(SourceUnavailableError, match="no answer from"):
            await until(stream, lambda _: False)
    with pytest.raises(SourceUnavailableError, match="no answer from"):
        await one.__aenter__()
    missed = agent.observe("load", "2")
    await agent.start()
    one.resume(position)
    async with entered(one) as stream:
        assert rows(await until_told(stream, missed)) == truth(agent, [missed])
    await agent.stop()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (answered("<html>not here</html>", "404 Not Found"), "a html instead of MTConnectDevices"),
        (answered("not here", "502 Bad Gateway"), "the answer is 502 Bad Gateway"),
        (answered("<MTConnectDevices><Devices/>"), "the document is no XML"),
        (answered("<MTConnectDevices><Devices/></MTConnectDevices>"), "without a header"),
        (answered("<MTConnectDevices><Header/></MTConnectDevices>"), "instanceId is 'None', not a number"),
        (answered('<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'), "declares a document type"),
        (answered('<!DOCTYPE a SYSTEM "http://127.0.0.1/x.dtd"><a/>'), "declares a document type"),
        (answered("<a>&x;</a>"), "undefined entity"),
        (answered("<a/>" + " " * 70_000), "more than 65536 bytes; raise max_document_bytes"),
        (answered("x", extra="Content-Encoding: gzip\r\n"), "compresses its answer"),
        (b"SSH-2.0-OpenSSH\r\n", "no answer from"),
        (
            answered('<MTConnectError><Errors><Error errorCode="UNSUPPORTED">no</Error></Errors></MTConnectError>'),
            "the agent refuses: UNSUPPORTED: no",
        ),
    ],
)
async def test_what_is_no_probe_is_one_sentence(answer: bytes, reason: str) -> None:
    async with Agent(manners=lambda _path: answer) as agent:
        with pytest.raises(SourceUnavailableError, match=reason) as caught:
            async with entered(source(agent, max_document_bytes=65_536)):
                pass
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b"--x\r\nContent-Length: 5\r\n\r\nhello\r\n", "the document is no XML"),
        (b"--x\r\nContent-Length: many\r\n\r\nhello\r\n", "whose length is no number"),
        (b"--x\r\nContent-Length: 999999999\r\n\r\nhello\r\n", "more than 65536 bytes; lower count"),
        (b"--x\r\n\r\n" + b"y" * 70_000, "more than 65536 bytes; lower count"),
        (b"y" * 70_000, "does not keep to its boundary"),
    ],
)
async def test_a_stream_that_makes_no_sense_is_one_sentence(stream: bytes, reason: str) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed;boundary=x\r\nConnection: close\r\n\r\n" + stream
    async with Agent(manners=lambda path: answer if "interval" in path else None) as agent:
        one = source(agent, max_document_bytes=65_536)
        async with entered(one) as ticks:
            with pytest.raises(SourceUnavailableError, match=reason):
                await until(ticks, lambda _: False)


def test_a_flood_of_elements_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_ELEMENTS", 1000)
    with pytest.raises(DocumentError, match="more than 1000 elements"):
        parse(b"<a>" + b"<b/>" * 1000 + b"</a>")


@pytest.mark.parametrize(
    "refusal",
    [
        b'<Error errorCode="OUT_OF_RANGE">too old</Error>',
        b'<Errors><OutOfRange errorCode="OUT_OF_RANGE"><ErrorMessage>x</ErrorMessage></OutOfRange></Errors>',
    ],
)
def test_refusals_of_old_and_new_agents_are_understood(refusal: bytes) -> None:
    said = errors_of(parse(b"<MTConnectError>" + refusal + b"</MTConnectError>"))
    assert said is not None
    assert said.codes == {"OUT_OF_RANGE"}


@pytest.mark.parametrize("length", [True, False])
def test_parts_are_found_however_they_are_cut(length: bool) -> None:  # noqa: FBT001 - a parameter of the test
    bodies = [b"<a/>", b"", b"<b>--x\r\n</b>\r\n", b"<c/>"]
    head = [b"Content-Length: %d\r\n" % len(body) if length else b"Content-Type: text/xml\r\n" for body in bodies]
    whole = b"".join(b"--xYz\r\n" + one + b"\r\n" + body + b"\r\n" for one, body in zip(head, bodies, strict=True)) + b"--xYz--\r\n"
    for size in (1, 2, 3, 7, len(whole)):
        parts = Parts("xYz", 1000)
        assert [body for start in range(0, len(whole), size) for body in parts.feed(whole[start : start + size])] == bodies


def test_the_boundary_is_read_as_agents_write_it() -> None:
    assert boundary_of("multipart/x-mixed-replace;boundary=--abc") == "--abc"
    assert boundary_of('multipart/mixed; boundary="a b"') == "a b"
    assert boundary_of("text/xml") is None
    body = b"--abc\r\nContent-length: 2\r\n\r\nhi\r\n"
    assert list(Parts("--abc", 10).feed(body)) == list(Parts("abc", 10).feed(body)) == [b"hi"]


async def test_streams_without_lengths_are_understood() -> None:
    async with Agent(lengths=False) as agent, entered(source(agent, heartbeat_s=0.1)) as stream:
        await until(stream, lambda ticks: bool(samples(ticks)))
        last = agent.observe("load", "1")
        assert rows(await until_told(stream, last)) == truth(agent, [last])


def certified(folder: Path) -> ssl.SSLContext:
    """A server's context for 127.0.0.1; its certificate, which signs itself, is `ca.crt` in the folder."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "agent")])
    certificate = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now - timedelta(hours=1), now + timedelta(hours=1)
        )
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    both = folder / "agent.pem"
    both.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + (folder / "ca.crt").read_bytes()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context


async def test_an_agent_behind_https_is_believed_by_its_authority_only(tmp_path: Path) -> None:
    async with Agent(tls=certified(tmp_path)) as agent:
        async with MTConnectSource(config(url=agent.url, ca="ca.crt"), tmp_path):
            pass
        with pytest.raises(SourceUnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
            await source(agent).__aenter__()
    with pytest.raises(EdgeError, match=r"No such file or directory; set ca to a certificate file"):
        MTConnectSource(config(url=agent.url, ca="nothing.crt"), tmp_path)


async def test_a_device_that_the_agent_lacks_is_named_with_those_it_has() -> None:
    async with Agent() as agent:
        with pytest.raises(SourceUnavailableError, match="the agent has no device lathe; it has mill"):
            await source(agent, device=[{"name": "lathe", "device_id": "L"}]).__aenter__()


async def test_two_points_of_one_name_are_refused() -> None:
    async with Agent() as agent:
        with pytest.raises(SourceUnavailableError, match="two data items of device mill would be called load"):
            await source(agent, point=[{"item": "speed", "name": "load"}]).__aenter__()


async def test_others_may_be_ignored() -> None:
    async with Agent() as agent, entered(source(agent, others="ignore", point=[{"item": "load"}])) as stream:
        got = [await anext(stream)]
        agent.observe("speed", "1")
        got += await until_told(stream, agent.observe("load", "2"))
    assert [point.name for device in got[0].births for point in device.points] == ["load"]
    assert {one.point for one in samples(got)} == {"load"}
    assert births(got) == 1


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"url": "127.0.0.1:5000"}, "write http://host:port"),
        ({"url": "http://user:secret@host"}, "write http://host:port, without a user"),
        ({"url": "http://host:99999"}, "Port out of range"),
        ({"point": [{"item": "a"}, {"item": "a"}]}, "item a appears twice"),
        ({"point": [{"item": "a", "name": "x"}, {"item": "b", "name": "x"}]}, "point x appears twice"),
        ({"device": [{"name": "a", "device_id": "x"}, {"name": "b", "device_id": "x"}]}, "device_id x appears twice"),
        ({"device": [{"name": "a", "device_id": "x/y"}]}, "contains '/'"),
        ({"colour": "red"}, "Extra inputs are not permitted"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(settings: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        config(**settings)


def test_the_sample_is_a_valid_configuration() -> None:
    assert isinstance(load_sample("mtconnect").sources[0], MTConnectSource)
