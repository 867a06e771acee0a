"""The deployed broker: our scripts' certificates, the committed configuration, a real Mosquitto, real clients."""

import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from broker_client import Client
from deployed import COMPOSE, PATIENCE_S, Authority, Broker, needs_broker

# Both are sent by the test itself after what must not arrive: whoever hears the mark has heard all before it.
MARK = "spBv1.0/acme/NDATA/madrid"

pytestmark = [*needs_broker, pytest.mark.xdist_group("deployed-broker")]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki")).make(("acme", "madrid"), ("acme", "lisbon"), ("globex", "madrid"))


@pytest.fixture
def broker(authority: Authority, tmp_path: Path) -> Iterator[Broker]:
    made = Broker(authority, tmp_path)
    made.start()
    yield made
    made.stop()


def test_host_and_edge_talk_as_the_protocol_needs(broker: Broker) -> None:
    with Client(broker, "ingest") as host, Client(broker, "acme:madrid") as edge:
        host.subscribe("spBv1.0/+/+/+/#")
        edge.subscribe("spBv1.0/acme/NCMD/madrid")
        edge.subscribe("spBv1.0/acme/DCMD/madrid/#")
        edge.subscribe("spBv1.0/STATE/vigia")
        own = [f"spBv1.0/acme/{kind}/madrid" for kind in ("NBIRTH", "NDATA", "NDEATH")]
        own += [f"spBv1.0/acme/{kind}/madrid/M-1" for kind in ("DBIRTH", "DDATA", "DDEATH")]
        for topic in own:
            edge.publish(topic)
        assert [host.messages.get(timeout=PATIENCE_S)[0] for _ in own] == own
        commands = ["spBv1.0/STATE/vigia", "spBv1.0/acme/NCMD/madrid", "spBv1.0/acme/DCMD/madrid/M-1"]
        for topic in commands:
            host.publish(topic)
        assert [edge.messages.get(timeout=PATIENCE_S)[0] for _ in commands] == commands


@pytest.mark.parametrize(
    "topic",
    [
        "spBv1.0/acme/NBIRTH/lisbon",
        "spBv1.0/acme/DDATA/lisbon/M-1",
        "spBv1.0/acme/NDEATH/lisbon",
        "spBv1.0/globex/NDATA/madrid",
        "spBv1.0/acme/NCMD/lisbon",
        "spBv1.0/acme/NCMD/madrid",
        "spBv1.0/acme/DCMD/lisbon/M-1",
        "spBv1.0/STATE/vigia",
        "spBv1.0/acme/NDATA",
        "anything",
    ],
)
def test_edge_cannot_publish_under_another_identity(broker: Broker, topic: str) -> None:
    with Client(broker, "ingest") as host, Client(broker, "acme:madrid") as edge:
        host.subscribe("spBv1.0/#")
        host.subscribe("#")
        edge.publish(topic)
        edge.publish(MARK)
        assert host.until(MARK) == []


def test_edge_hears_its_own_commands_only(broker: Broker) -> None:
    with Client(broker, "ingest") as host, Client(broker, "acme:madrid") as edge, Client(broker, "acme:lisbon") as neighbour:
        edge.subscribe("#")
        neighbour.publish("spBv1.0/acme/NDATA/lisbon")
        host.publish("spBv1.0/acme/NCMD/lisbon")
        host.publish("spBv1.0/acme/DCMD/lisbon/M-1")
        host.publish("spBv1.0/globex/NCMD/madrid")
        host.publish("spBv1.0/acme/NCMD/madrid")
        assert edge.until("spBv1.0/acme/NCMD/madrid") == []


def test_ingest_cannot_pose_as_a_machine(broker: Broker) -> None:
    with Client(broker, "ingest") as host, Client(broker, "acme:madrid") as edge:
        host.subscribe("spBv1.0/#")
        host.publish("spBv1.0/acme/DDATA/madrid/M-1")
        host.publish("spBv1.0/acme/NCMD/madrid")
        edge.publish(MARK)
        assert host.until(MARK) == ["spBv1.0/acme/NCMD/madrid"]


def test_will_under_another_identity_is_not_published(broker: Broker) -> None:
    with Client(broker, "ingest") as host, Client(broker, "acme:lisbon") as witness:
        host.subscribe("spBv1.0/#")
        liar = Client(broker, "acme:madrid", will="spBv1.0/acme/NDEATH/lisbon")
        if liar.admitted:
            liar.vanish()
        honest = Client(broker, "globex:madrid", will="spBv1.0/globex/NDEATH/madrid")
        assert honest.admitted
        honest.vanish()
        witness.publish("spBv1.0/acme/NDATA/lisbon")
        assert "spBv1.0/acme/NDEATH/lisbon" not in host.until("spBv1.0/globex/NDEATH/madrid")


def test_client_without_a_certificate_is_refused(broker: Broker) -> None:
    assert not Client(broker, None).admitted


def test_client_without_tls_is_refused(broker: Broker) -> None:
    with socket.create_connection(("127.0.0.1", broker.port), timeout=PATIENCE_S) as plain:
        plain.sendall(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x1e\x00\x01a")  # CONNECT, MQTT 3.1.1
        answer = b"?"
        try:
            answer = plain.recv(64)
        except ConnectionResetError:
            answer = b""
    assert not answer.startswith(b"\x20")  # CONNACK


def test_client_of_another_authority_is_refused(broker: Broker, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "strangers").make(("acme", "madrid"))
    assert not Client(broker, "acme:madrid", stranger).admitted


def test_server_certificate_cannot_pose_as_a_client(broker: Broker) -> None:
    class ServerPair(Authority):
        def credentials(self, identity: str) -> tuple[Path, Path]:
            return self.folder / "broker" / f"{identity}.crt", self.folder / "broker" / f"{identity}.key"

    assert not Client(broker, "broker", ServerPair(broker.authority.folder)).admitted


def test_broker_proves_each_of_its_names_and_no_other(broker: Broker) -> None:
    context = ssl.create_default_context(cafile=str(broker.authority.folder / "broker" / "ca.crt"))

    def meet(name: str) -> None:
        with socket.create_connection(("127.0.0.1", broker.port)) as plain:
            context.wrap_socket(plain, server_hostname=name).close()

    for name in ("broker", "localhost", "127.0.0.1", "broker.example.com"):
        meet(name)
    with pytest.raises(ssl.SSLCertVerificationError):
        meet("elsewhere.example.com")


def test_another_clients_id_throws_nobody_off(broker: Broker) -> None:
    with Client(broker, "ingest") as host, Client(broker, "acme:madrid", client_id="same") as first:
        host.subscribe("spBv1.0/#")
        with Client(broker, "acme:lisbon", client_id="same"):
            first.publish(MARK)
            assert host.until(MARK) == []
            assert first.lost.empty()


def test_the_hosts_connections_stand_side_by_side(broker: Broker) -> None:
    with Client(broker, "ingest", client_id="data") as data, Client(broker, "ingest", client_id="state") as state:
        data.subscribe("spBv1.0/#")
        state.publish("spBv1.0/STATE/vigia")
        assert data.until("spBv1.0/STATE/vigia") == []
        assert data.lost.empty()


def test_new_edge_is_admitted_and_a_removed_one_shut_out(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki").make(("acme", "madrid"))
    broker = Broker(authority, tmp_path)
    broker.start()
    try:
        with Client(broker, "ingest") as host:
            host.subscribe("spBv1.0/#")
            assert authority.run("add-edge.sh", "acme", "oporto").returncode == 0
            broker.follow()
            with Client(broker, "acme:oporto") as edge:
                edge.publish("spBv1.0/acme/NDATA/oporto")
                assert host.until("spBv1.0/acme/NDATA/oporto") == []
        keep = tmp_path / "kept" / "edges" / "acme"
        shutil.copytree(authority.folder / "edges" / "acme", keep)
        assert authority.run("remove-edge.sh", "acme", "oporto").returncode == 0
        assert "acme:oporto" not in (authority.folder / "broker" / "acl").read_text()
        broker.stop()
        broker.start()
        assert not Client(broker, "acme:oporto", Authority(tmp_path / "kept")).admitted
        assert authority.run("add-edge.sh", "acme", "oporto").returncode == 0
        broker.follow()
        assert not Client(broker, "acme:oporto", Authority(tmp_path / "kept")).admitted
        with Client(broker, "acme:oporto"), Client(broker, "acme:madrid"):
            pass
    finally:
        broker.stop()


def test_health_check_of_the_compose_file_passes_on_a_running_broker_only(broker: Broker) -> None:
    if shutil.which("mosquitto_sub") is None:
        pytest.skip("NOT RUN: mosquitto_sub is not on PATH (Debian: mosquitto-clients)")
    _, *command = COMPOSE["services"]["broker"]["healthcheck"]["test"]
    command = [word.replace("$$", "$").replace("/mosquitto/pki", f"{broker.authority.folder}/broker") for word in command]
    command[command.index("8883")] = str(broker.port)
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    broker.stop()
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_keys_are_out_of_reach_of_other_users(authority: Authority) -> None:
    for folder in (authority.folder, authority.folder / "ca", authority.folder / "edges"):
        assert folder.stat().st_mode & 0o077 == 0, folder
    assert (authority.folder / "ca" / "ca.key").stat().st_mode & 0o077 == 0
    for service in ("broker", "ingest"):
        # Read by a container's own user.
        assert all(path.stat().st_mode & 0o004 for path in (authority.folder / service).iterdir())


@pytest.mark.parametrize(
    "names", [(), ("acme",), ("acme", "a/b"), ("acme", "+"), ("", "x"), ("acme", ".."), ("acme", "x\ntopic write #"), ("a" * 40, "b" * 40)]
)
def test_unusable_names_are_refused_in_one_sentence(authority: Authority, names: tuple[str, ...]) -> None:
    before = (authority.folder / "broker" / "acl").read_text()
    done = authority.run("add-edge.sh", *names)
    assert done.returncode == 2
    assert done.stderr.startswith("add-edge.sh: ")
    assert (authority.folder / "broker" / "acl").read_text() == before


def test_names_that_differ_in_case_only_are_refused(authority: Authority) -> None:
    done = authority.run("add-edge.sh", "ACME", "madrid")
    assert done.returncode == 2
    assert "upper and lower case" in done.stderr


def test_renewing_keeps_one_block_and_the_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki").make(("acme", "madrid"))
    root, acl = (authority.folder / "ca" / "ca.crt").read_bytes(), (authority.folder / "broker" / "acl").read_text()
    authority.make(("acme", "madrid"))
    assert (authority.folder / "ca" / "ca.crt").read_bytes() == root
    assert (authority.folder / "broker" / "acl").read_text() == acl


def test_passwords_are_made_once_and_differ(authority: Authority, tmp_path: Path) -> None:
    target = tmp_path / ".env"
    assert Authority(tmp_path / "none").run("make-env.sh", str(target)).returncode == 2
    assert not target.exists()
    assert authority.run("make-env.sh", str(target)).returncode == 0
    passwords = re.findall(r"^\w+_PASSWORD=(.*)$", target.read_text(), re.MULTILINE)
    assert len(passwords) == len(set(passwords)) == 7
    assert all(re.fullmatch(r"[0-9a-f]{48}", password) for password in passwords)
    assert target.stat().st_mode & 0o077 == 0
    again = authority.run("make-env.sh", str(target))
    assert again.returncode == 2
    assert "exists" in again.stderr
