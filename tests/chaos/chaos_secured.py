"""A plant that is closed to strangers: Mosquitto as it is deployed, certificates, the gate, the api, ingest, and a gateway that enrols."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psycopg
from deployed import Authority as Scripts
from deployed import Broker
from gate_harness import Server, running, vigia, wait_for
from ingest_harness import query, stored
from process_harness import Gateway
from psycopg import sql
from psycopg.conninfo import make_conninfo

from vigia.authority.issuing import Authority
from vigia.edge.identity import Identity, load
from vigia.store.migrate import migrate

GROUP, NODE, OTHER = "acme", "acme-one", "acme-two"  # of ingest's small fleet
TELL_EVERY_S = 0.05
OWN_TABLES = '[identity]\nfolder = "identity"\ncheck_in_s = 0.5\ntrial_s = 5\n[buffer]\nfolder = "buffers"\n'
NODE_TABLES = """
[broker]
keepalive_s = 5
[[node]]
heartbeat_s = 0.5
ack_timeout_s = 1.0
[node.source]
type = "replay"
logbook = "logbook.jsonl"
data = "recording.txt"
devices = ["R1", "R2"]
"""


@dataclass
class EnrolledGateway(Gateway):
    """`vigia edge run` with an identity and two machines, which speak twenty times a second while `telling`."""

    node: str = NODE_TABLES
    """What its own file says besides identity and buffer; nothing for one that is configured by the server."""
    telling: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._clock = threading.Thread(target=self._tell, name="machines")

    @property
    def log(self) -> Path:
        return self.folder / "edge.log"

    @property
    def words(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    @property
    def identity(self) -> Identity:
        return load(self.folder / "identity")

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """The gateway runs and its machines speak."""
        self.write_machines()
        config = self.folder / "edge.toml"
        config.write_text(OWN_TABLES + self.node)
        self.telling.set()
        with running(self.log, "edge", "run", "--config", config):
            self._clock.start()
            try:
                yield
            finally:
                self._stopped.set()
                self.telling.set()
                self._clock.join()

    def hush(self) -> None:
        """The machines say nothing more."""
        with self._lock:
            self.telling.clear()

    def _tell(self) -> None:
        while not self._stopped.wait(TELL_EVERY_S):
            self.telling.wait()
            with self._lock:
                if self.telling.is_set() and not self._stopped.is_set():
                    self.fly(1)


@dataclass
class Secured:
    """What runs. `authority` is the one that vouches for gateways, to sign what a test wants signed."""

    server: Server
    broker: Broker
    folder: Path
    dsn: str
    authority: Authority

    def enroll(self, node: str = NODE) -> EnrolledGateway:
        """A gateway with an identity, not running yet."""
        gateway = EnrolledGateway(self.folder / node, "")
        done = self.server.enroll(gateway.folder / "identity", self.server.token(node))
        assert done.returncode == 0, done.stderr
        return gateway

    @property
    def stored_hours(self) -> int:
        """How many batches of both machines are stored, in pairs."""
        rows = query(self.dsn, "select coalesce(sum(committed), 0)::bigint from ledger")
        return int(str(rows[0][0])) // 2

    @property
    def shut_out_after_s(self) -> list[float]:
        """Seconds from each revocation to the moment when the broker refused it and its session had ended."""
        rows = query(
            self.dsn,
            "select extract(epoch from shut_out_at - revoked_at)::float from edge_certificate"
            " where shut_out_at is not null order by shut_out_at",
        )
        return [float(str(took_s)) for (took_s,) in rows]

    def flows(self, when: str) -> None:
        """Wait until something said from now on is stored."""
        before = self.stored_hours
        wait_for(lambda: self.stored_hours > before, f"flow {when}; ingest: {(self.folder / 'ingest.log').read_text()[-2000:]}")

    def check_all_arrives(self, gateway: EnrolledGateway) -> None:
        """The machines fall silent; everything they said is stored, once."""
        gateway.hush()
        wait_for(lambda: self.stored_hours == gateway.hour, f"all readings; gateway: {gateway.words[-2000:]}")
        found = stored(self.dsn)
        assert set(found) == gateway.truth
        assert len(found) == len(set(found))
        assert query(self.dsn, "select * from ledger_hole") == []


@contextmanager
def secured(folder: Path, dsn: str, certificate_days: float = 100.0) -> Iterator[Secured]:
    """Everything but gateways runs."""
    scripts = Scripts(folder / "pki").make()
    broker = Broker(scripts, folder)
    server = Server(dsn, folder, lists_folder=broker.gate)
    assert vigia("fleet", "ca", "--authority", server.authority).returncode == 0
    keys = scripts.folder / "ingest"
    to_broker = {
        "VIGIA_BROKER_CA": str(keys / "ca.crt"),
        "VIGIA_BROKER_CERT": str(keys / "ingest.crt"),
        "VIGIA_BROKER_KEY": str(keys / "ingest.key"),
    }
    told = {"VIGIA_GATEWAY_BROKER": f"mqtts://localhost:{broker.port}", "VIGIA_GATEWAY_BROKER_CA": str(keys / "ca.crt")}
    with ExitStack() as stack:
        door = {"VIGIA_BROKER": f"mqtts://localhost:{broker.port}", "VIGIA_BROKER_CA": str(keys / "ca.crt")}
        stack.enter_context(server.gate("--certificate-days", str(certificate_days), environment=door))
        wait_for((broker.gate / "crl.pem").exists, f"the gate's lists; gate: {server.words_of_gate}")
        stack.callback(broker.stop)
        broker.start()
        stack.enter_context(server.api(told))
        where = ("--dsn", dsn, "--broker", f"mqtts://localhost:{broker.host_port}")
        stack.enter_context(running(folder / "ingest.log", "ingest", "run", *where, environment=to_broker))
        yield Secured(server, broker, folder, dsn, Authority.load(server.authority))


@contextmanager
def fresh_database(server_dsn: str, template: str | None) -> Iterator[str]:
    """A migrated database for the tests of a module; migrated here without a `template` of it."""
    name = sql.Identifier(f"secured_{uuid4().hex[:12]}")
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {} template {}").format(name, sql.Identifier(template or "template0")))
        try:
            dsn = make_conninfo(server_dsn, dbname=name.as_string().strip('"'))
            if template is None:
                asyncio.run(migrate(dsn))
            yield dsn
        finally:
            connection.execute(sql.SQL("drop database {} with (force)").format(name))
