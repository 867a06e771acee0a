"""Row 14: a certificate that has expired, is of another authority, or is in another's name; and one that is renewed under load."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from broker_client import admits
from chaos_secured import GROUP, NODE, OTHER, EnrolledGateway, Secured, secured
from deployed import needs_broker
from gate_harness import certify, wait_for
from ingest_harness import seed

from vigia.authority.issuing import Authority

DAY = timedelta(days=1)
ROTATING_S = 9  # how long a certificate is valid that must be renewed while the test looks on

pytestmark = [*needs_broker, pytest.mark.xdist_group("chaos")]


@pytest.fixture
def plant(dsn: str, tmp_path: Path) -> Iterator[Secured]:
    asyncio.run(seed(dsn))
    with secured(tmp_path, dsn) as one:
        yield one


def test_only_a_certificate_in_force_and_in_the_own_name_is_of_use(plant: Secured, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    expired = certify(plant.authority, tmp_path / "expired", f"{GROUP}:{NODE}", DAY, now - 2 * DAY)
    stranger = certify(Authority.create(tmp_path / "strangers", now), tmp_path / "stranger", f"{GROUP}:{NODE}")
    assert not admits(plant.broker, expired)
    assert not admits(plant.broker, stranger)
    assert not admits(plant.broker, None)


@pytest.mark.parametrize("renewals", [pytest.param(2, id="short"), pytest.param(20, id="full", marks=pytest.mark.chaos)])
@pytest.mark.timeout(900)
def test_certificates_are_renewed_while_the_machines_speak_and_nothing_is_lost(dsn: str, tmp_path: Path, renewals: int) -> None:
    asyncio.run(seed(dsn))
    with secured(tmp_path, dsn, certificate_days=ROTATING_S / 86_400) as plant:
        gateway: EnrolledGateway = plant.enroll()
        first = gateway.identity
        with gateway.speaking():
            wait_for(
                lambda: gateway.words.count("certificate renewed") >= renewals,
                f"renewals; gateway: {gateway.words[-3000:]}",
                20 * ROTATING_S,
            )
            before = plant.stored_hours
            wait_for(lambda: plant.stored_hours > before, "flow after the last renewal")
            assert first.valid_until < datetime.now(UTC)
            plant.check_all_arrives(gateway)
        assert OTHER
