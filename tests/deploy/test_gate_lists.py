"""What the gate writes, the deployed broker follows within seconds: nobody restarts it by hand."""

import socket
import ssl
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from broker_client import Client, admits
from cryptography import x509
from deployed import PATIENCE_S, Broker, needs_broker
from deployed import Authority as Scripts

sys.path.insert(0, str(Path(__file__).parents[1] / "gate"))

from gate_harness import certify, wait_for

from vigia.authority.issuing import Authority, Revoked
from vigia.gate import GateError
from vigia.gate.door import BrokerAwayError, Door
from vigia.gate.lists import ListFolder, Lists, access_list
from vigia.store.identities import Identity

MADRID, LISBON = Identity("acme", "madrid"), Identity("acme", "lisbon")
NOBODY = Lists([], [])

pytestmark = [*needs_broker, pytest.mark.xdist_group("deployed-broker")]


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Scripts:
    return Scripts(tmp_path_factory.mktemp("pki")).make()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "authority", datetime.now(UTC))


@pytest.fixture
def broker(scripts: Scripts, tmp_path: Path) -> Iterator[Broker]:
    made = Broker(scripts, tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def lists(broker: Broker, authority: Authority) -> ListFolder:
    """The gate's lists, the broker running with them."""
    broker.stop()
    made = ListFolder(broker.gate, authority)
    made.publish(NOBODY, datetime.now(UTC))
    broker.start()
    return made


def test_a_gateway_is_admitted_without_a_restart(broker: Broker, authority: Authority, lists: ListFolder, tmp_path: Path) -> None:
    madrid = certify(authority, tmp_path / "madrid", "acme:madrid")
    lists.publish(Lists([MADRID], []), datetime.now(UTC))
    broker.follow()
    with Client(broker, "ingest") as host, Client(broker, madrid) as edge:
        host.subscribe("spBv1.0/#")
        edge.publish("spBv1.0/acme/NDATA/lisbon")
        edge.publish("spBv1.0/acme/NDATA/madrid")
        assert host.until("spBv1.0/acme/NDATA/madrid") == []
        assert host.lost.empty()


def test_a_broker_that_knows_no_authority_of_the_gate_yet_starts_anew_for_it(broker: Broker, authority: Authority, tmp_path: Path) -> None:
    madrid = certify(authority, tmp_path / "madrid", "acme:madrid")
    assert not admits(broker, madrid)
    before = broker.starts
    ListFolder(broker.gate, authority).publish(Lists([MADRID], []), datetime.now(UTC))
    wait_for(lambda: broker.starts > before, "the broker", PATIENCE_S)
    assert admits(broker, madrid)


def test_a_revoked_gateway_is_thrown_out_and_stays_out_and_its_neighbour_is_not_disturbed(
    broker: Broker, authority: Authority, lists: ListFolder, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    lists.publish(Lists([MADRID, LISBON], []), now)
    broker.follow()
    madrid, lisbon = (certify(authority, tmp_path / name, f"acme:{name}") for name in ("madrid", "lisbon"))
    door = Door("localhost", broker.port, broker.authority.folder / "broker" / "ca.crt")
    probe, number = authority.credentials("gate", now, timedelta(minutes=1))
    with Client(broker, "ingest") as host, Client(broker, lisbon) as neighbour, Client(broker, madrid) as edge:
        host.subscribe("spBv1.0/acme/NDATA/#")
        assert not door.refuses(probe)
        revoked = [Revoked(load_serial(madrid[0]), now), Revoked(number, now, probe=True)]
        wait_for(lambda: lists.publish(Lists([LISBON], revoked), datetime.now(UTC)), "the next second")
        broker.follow()
        assert door.refuses(probe)
        assert edge.lost.empty()
        edge.publish("spBv1.0/acme/NDATA/madrid")
        neighbour.publish("spBv1.0/acme/NDATA/lisbon")
        assert host.until("spBv1.0/acme/NDATA/lisbon") == []

        door.throw_out(authority.credentials("acme:madrid", now, timedelta(minutes=1))[0])
        assert edge.lost.get(timeout=PATIENCE_S)
        assert not admits(broker, madrid)
        assert neighbour.lost.empty()


def test_a_resumed_tls_session_brings_no_revoked_gateway_back(
    broker: Broker, authority: Authority, lists: ListFolder, tmp_path: Path
) -> None:
    lists.publish(Lists([MADRID], []), datetime.now(UTC))
    broker.follow()
    madrid = certify(authority, tmp_path / "madrid", "acme:madrid")
    context = ssl.create_default_context(cafile=str(broker.authority.folder / "broker" / "ca.crt"))
    context.load_cert_chain(*madrid)

    def come_in(session: ssl.SSLSession | None) -> tuple[bytes, ssl.SSLSession | None]:
        plain = socket.create_connection(("localhost", broker.port), timeout=PATIENCE_S)
        with context.wrap_socket(plain, server_hostname="localhost", session=session) as line:
            line.sendall(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x1e\x00\x01a")  # CONNECT
            return line.recv(4), line.session

    answer, session = come_in(None)
    assert answer == b"\x20\x02\x00\x00"
    revoked = [Revoked(load_serial(madrid[0]), datetime.now(UTC))]
    wait_for(lambda: lists.publish(Lists([], revoked), datetime.now(UTC)), "the next second")
    broker.follow()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        come_in(session)


def test_a_broker_that_does_not_answer_or_is_another_is_told(broker: Broker, authority: Authority) -> None:
    credentials, _ = authority.credentials("gate", datetime.now(UTC), timedelta(minutes=1))
    other = Door("localhost", broker.port)  # the system's authorities do not vouch for it
    broker_ca = broker.authority.folder / "broker" / "ca.crt"
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = Door("127.0.0.1", nobody.getsockname()[1], broker_ca)
        for door in (other, away):
            with pytest.raises(BrokerAwayError, match="cannot be reached"):
                door.refuses(credentials)
            with pytest.raises(BrokerAwayError, match="cannot be reached"):
                door.throw_out(credentials)


def load_serial(credentials: Path) -> str:
    return f"{x509.load_pem_x509_certificates(credentials.read_bytes())[0].serial_number:x}"


def test_the_gate_allows_what_the_script_allows(scripts: Scripts) -> None:
    before = (scripts.folder / "broker" / "acl").read_text()
    assert scripts.run("add-edge.sh", "acme", "lisbon").returncode == 0
    block = (scripts.folder / "broker" / "acl").read_text().removeprefix(before)
    assert scripts.run("remove-edge.sh", "acme", "lisbon").returncode == 0
    assert access_list([LISBON]).split("\n", 1)[1] == block


def test_the_container_ends_when_its_broker_does(broker: Broker) -> None:
    (child,) = [one for one in psutil.Process(broker.pid).children() if one.name() == "mosquitto"]
    child.kill()
    wait_for(lambda: not broker.running, "the end of the container", PATIENCE_S)


def test_lists_are_written_when_something_changed_only(authority: Authority, tmp_path: Path) -> None:
    folder = ListFolder(tmp_path / "lists", authority)
    now = datetime.now(UTC)
    one, two = Revoked("1", now), Revoked("2", now)
    assert folder.publish(Lists([MADRID], [one]), now)
    assert not folder.publish(Lists([MADRID], [one]), now + timedelta(hours=1))
    # Of two revocation lists of one second the broker would go on with the first.
    assert not folder.publish(Lists([MADRID], [one, two]), now)
    assert folder.publish(Lists([MADRID], [one, two]), now + timedelta(seconds=1))
    assert {path.name for path in (tmp_path / "lists").iterdir()} == {"ca.crt", "acl", "crl.pem"}
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in (tmp_path / "lists").iterdir())


def test_a_damaged_list_is_written_anew(authority: Authority, tmp_path: Path) -> None:
    folder = ListFolder(tmp_path, authority)
    folder.publish(NOBODY, datetime.now(UTC))
    other = Authority.create(tmp_path / "other", datetime.now(UTC))
    for text in ("nonsense", other.revocation_list([], datetime.now(UTC))):
        (tmp_path / "crl.pem").write_text(text)
        assert folder.publish(NOBODY, datetime.now(UTC))
        assert not folder.publish(NOBODY, datetime.now(UTC))


def test_a_folder_that_cannot_be_written_is_one_sentence(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GateError, match="--lists"):
        ListFolder(tmp_path / "file", authority).publish(NOBODY, datetime.now(UTC))
