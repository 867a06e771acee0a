"""Row 14: certificates that have expired, are of another authority, in another's name or revoked are refused; renewal loses nothing."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from broker_client import Client, admits
from chaos_secured import GROUP, NODE, OTHER, Secured, fresh_database, secured
from deployed import needs_broker
from gate_harness import certify, vigia, wait_for
from ingest_harness import query, seed

from vigia.authority.issuing import Authority

DAY = timedelta(days=1)
ROTATING_S = 9  # how long a gateway's certificate is valid here: it is renewed after six
SHUT_OUT_WITHIN_S = 60.0
CYCLES_A_RENEWAL = 240  # said meanwhile, and more, so that the machines do not fall silent before the end

pytestmark = [*needs_broker, pytest.mark.xdist_group("chaos")]


@pytest.fixture(scope="module")
def plant(server_and_template: tuple[str, str | None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with fresh_database(*server_and_template) as dsn:
        asyncio.run(seed(dsn))
        with secured(tmp_path_factory.mktemp("plant"), dsn, certificate_days=ROTATING_S / 86_400) as one:
            yield one


def test_expired_unknown_and_no_certificates_are_refused(plant: Secured, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    expired = certify(plant.authority, tmp_path / "expired", f"{GROUP}:{OTHER}", DAY, now - 2 * DAY)
    premature = certify(plant.authority, tmp_path / "premature", f"{GROUP}:{OTHER}", DAY, now + 2 * DAY)
    stranger = certify(Authority.create(tmp_path / "strangers", now), tmp_path / "stranger", f"{GROUP}:{OTHER}")
    assert not [identity for identity in (expired, premature, stranger, None) if admits(plant.broker, identity)]


def test_a_certificate_in_another_name_speaks_for_nobody(plant: Secured, tmp_path: Path) -> None:
    mark = f"spBv1.0/{GROUP}/NCMD/mark"  # sent after what must not arrive
    stranger = certify(plant.authority, tmp_path, f"{GROUP}:unregistered")
    with Client(plant.broker, "ingest", client_id="witness") as host, Client(plant.broker, stranger) as client:
        host.subscribe("spBv1.0/+/NBIRTH/#")
        host.subscribe(mark)
        for node in (OTHER, NODE, "unregistered"):
            client.publish(f"spBv1.0/{GROUP}/NBIRTH/{node}")
        host.publish(mark)
        assert host.until(mark) == []


@pytest.mark.timeout(900)
@pytest.mark.parametrize("renewals", [pytest.param(2, id="short"), pytest.param(20, id="full", marks=pytest.mark.chaos)])
def test_renewed_under_load_then_revoked_then_enrolled_anew_it_loses_nothing(
    plant: Secured, renewals: int, request: pytest.FixtureRequest
) -> None:
    gateway = plant.enroll(NODE)
    gateway.life = CYCLES_A_RENEWAL * (renewals + 5)
    first = gateway.identity
    with gateway.speaking():
        wait_for(lambda: gateway.words.count("certificate renewed") >= renewals, "renewals", 20 * ROTATING_S)
        plant.flows("after the last renewal")
        assert first.valid_until < datetime.now(UTC)

        before = len(plant.shut_out_after_s)
        assert vigia("fleet", "revoke", GROUP, NODE, "--because", "lost", "--dsn", plant.dsn).returncode == 0
        wait_for(lambda: len(plant.shut_out_after_s) > before, "the end of its session", SHUT_OUT_WITHIN_S)
        took_s = plant.shut_out_after_s[before:]
        assert max(took_s) < SHUT_OUT_WITHIN_S
        assert not admits(plant.broker, (gateway.identity.credentials, gateway.identity.credentials))
        wait_for(lambda: "no longer, that of a gateway" in gateway.words, "the api's refusal")
        assert query(plant.dsn, f"select online from edge_node where node_id = '{NODE}'") == [(False,)]  # noqa: S608
        stored = plant.stored_hours
        told = gateway.hour
        wait_for(lambda: gateway.hour > told + 20, "time")
        assert plant.stored_hours == stored

        plant.enroll(NODE)
        plant.flows("after the new enrolment")
        plant.check_all_arrives(gateway)
    profile = "timescale" if "timescale" in request.node.name else "plain"
    counts = f"{renewals} renewals, {gateway.hour} ticks, lost 0, duplicated 0; revoked: shut out after {max(took_s):.1f} s"
    request.node.user_properties.append(("fault matrix", f"{profile}, row 14: {counts}"))
