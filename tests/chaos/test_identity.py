"""Row 10: traffic replayed under another identity, and deaths of sessions that are over: refused, and on record where it can be seen.

MQTT does not tell a subscriber who published. So the broker, which knows the certificate, refuses what is on another's topics; ingest
refuses what a gateway says under its own name and cannot know.
"""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from broker_client import Client
from chaos_secured import fresh_database
from deployed import Authority as Scripts
from deployed import Broker, needs_broker
from gate_harness import Credentials, certify, running, wait_for
from ingest_harness import HOUR_MS, START_MS, Edge, query, seed, stored

from vigia.authority.issuing import Authority
from vigia.gate.lists import ListFolder, Lists
from vigia.ingest.inbox import Message
from vigia.store import fleet
from vigia.store.database import Caller, Database
from vigia.store.identities import Identity

OWN, OTHERS = Identity("acme", "acme-one"), Identity("globex", "globex-one")

pytestmark = [*needs_broker, pytest.mark.xdist_group("chaos")]


async def add_globex(dsn: str) -> None:
    """Another customer, with a gateway and a role for a device of the same name."""
    async with Database(dsn, "vigia_service", max_size=1) as database, database.transaction(Caller(staff=True)) as tx:
        customer = await fleet.add_customer(tx, OTHERS.group_id, "Globex")
        site_id = await fleet.add_site(tx, customer, "one", "Globex One", "Europe/Madrid")
        model = await fleet.add_asset_model(tx, "pump", "Pump", "h")
        line = await fleet.add_line(tx, customer, await fleet.add_area(tx, customer, site_id, "Hall"), "Line 1")
        node = await fleet.add_edge_node(tx, fleet.Site(site_id, customer, "one", "", ""), OTHERS.group_id, OTHERS.node_id)
        await fleet.add_role(tx, fleet.NewRole(customer, line, model, "globex R1", node, "R1"))


@dataclass
class Plant:
    """Mosquitto as it is deployed and ingest, and the credentials of two customers' gateways."""

    broker: Broker
    dsn: str
    log: Path
    own: Credentials
    others: Credentials

    def publish(self, credentials: Credentials, *messages: Message) -> None:
        """Returns when the broker has taken them, or silently dropped them."""
        with Client(self.broker, credentials) as client:
            for message in messages:
                client.publish(message.topic, message.payload)

    def arrive(self, what: str, sql: str, expected: list[tuple[object, ...]]) -> None:
        wait_for(lambda: query(self.dsn, sql) == expected, f"{what}: {query(self.dsn, sql)}; ingest: {self.log.read_text()[-1500:]}")

    @property
    def actions(self) -> list[tuple[object, ...]]:
        return query(self.dsn, "select action, c.code from audit_event join customer c using (customer_id) order by audit_event_id")


@pytest.fixture
def plant(server_and_template: tuple[str, str | None], tmp_path: Path) -> Iterator[Plant]:
    scripts = Scripts(tmp_path / "pki").make()
    authority = Authority.create(tmp_path / "authority", datetime.now(UTC))
    broker = Broker(scripts, tmp_path)
    ListFolder(broker.gate, authority).publish(Lists([OWN, OTHERS], []), datetime.now(UTC))
    keys, log = scripts.folder / "ingest", tmp_path / "ingest.log"
    environment = {
        f"VIGIA_BROKER_{kind.upper()}": str(keys / name) for kind, name in (("ca", "ca.crt"), ("cert", "ingest.crt"), ("key", "ingest.key"))
    }
    with ExitStack() as stack:
        dsn = stack.enter_context(fresh_database(*server_and_template))
        asyncio.run(seed(dsn))
        asyncio.run(add_globex(dsn))
        stack.callback(broker.stop)
        broker.start()
        where = ("--dsn", dsn, "--broker", f"mqtts://localhost:{broker.host_port}")
        stack.enter_context(running(log, "ingest", "run", *where, environment=environment))
        wait_for(lambda: "broker connected" in log.read_text(), "ingest")
        own, others = (certify(authority, tmp_path / one.node_id, f"{one.group_id}:{one.node_id}") for one in (OWN, OTHERS))
        yield Plant(broker, dsn, log, own, others)


def readdressed(message: Message) -> Message:
    """The same payload under the other gateway's own name."""
    return Message(message.topic.replace("/acme/", "/globex/").replace("acme-one", "globex-one"), message.payload, message.session)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("batches", [pytest.param(20, id="short"), pytest.param(1_000, id="full", marks=pytest.mark.chaos)])
def test_replayed_traffic_and_stale_deaths_change_nothing(plant: Plant, batches: int, request: pytest.FixtureRequest) -> None:
    edge = Edge(bd_seq=7)
    told = [edge.node_birth(), edge.device_birth("R1", "A", START_MS + HOUR_MS), *(edge.data("R1", hour) for hour in range(1, batches + 1))]
    plant.publish(plant.own, *told)
    committed = "select coalesce(sum(committed), 0)::int from ledger"
    plant.arrive("what the gateway says", committed, [(batches,)])

    # Under another identity, on the topics it was recorded from: the broker drops it. A death among it would show at once.
    plant.publish(plant.others, edge.node_death(), *told, edge.node_death())
    # Under another identity, on the own topics: what it says is not its to say.
    plant.publish(plant.others, *map(readdressed, told))
    plant.arrive("the refusal", "select action from audit_event", [("refuse_machine",)])
    plant.arrive("its letters", "select count(*)::int > 0 from dead_letter where reason = 'machine of another customer'", [(True,)])
    assert query(plant.dsn, "select online from edge_node where node_id = 'acme-one'") == [(True,)]

    # By the gateway itself, or whoever has its key: deaths of sessions that are over.
    plant.publish(plant.own, *(edge.node_death(bd_seq) for bd_seq in (6, 5, 6)))
    plant.arrive("the refusal", "select count(*)::int from audit_event where action = 'refuse_node_death'", [(2,)])
    assert query(plant.dsn, "select online from edge_node where node_id = 'acme-one'") == [(True,)]
    plant.publish(plant.own, edge.data("R1", batches + 1), edge.node_death())
    plant.arrive("its own death", "select online from edge_node where node_id = 'acme-one'", [(False,)])

    assert plant.actions == [("refuse_machine", "globex"), ("refuse_node_death", "acme"), ("refuse_node_death", "acme")]
    found = stored(plant.dsn)
    assert set(found) == edge.sent
    assert len(found) == len(set(found))
    assert query(
        plant.dsn, "select a.serial_number, r.name from installation join asset a using (asset_id) join role r using (role_id)"
    ) == [("A", "acme-one R1")]
    profile = "timescale" if "timescale" in request.node.name else "plain"
    counts = f"{2 * len(told) + 2} messages replayed under another identity, 3 stale deaths: accepted 0, on record {len(plant.actions)}"
    request.node.user_properties.append(("fault matrix", f"{profile}, row 10: {counts}"))
