import json
import stat
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from vigia.demo import fleet as demo
from vigia.errors import ConfigError
from vigia.store import fleet as equipment
from vigia.store.database import Caller, Database, Transaction

STAFF = Caller(staff=True)


async def whole_database(tx: Transaction) -> dict[str, list[tuple[object, ...]]]:
    names = await (await tx.execute("select relname from pg_class where relnamespace = 'vigia'::regnamespace and relkind = 'r'")).fetchall()
    return {name: sorted(await (await tx.execute(f"select * from {name}")).fetchall(), key=repr) for (name,) in names}  # noqa: S608


def test_twenty_roles_stand_at_eight_sites_of_four_airlines() -> None:
    assert [role.unit for role in demo.ROLES] == list(range(81, 101))
    assert len({role.device_id for role in demo.ROLES}) == 20
    assert sorted(Counter(role.place for role in demo.ROLES).values()) == [2, 2, 2, 2, 2, 2, 4, 4]
    assert Counter(place.airline for place in {role.place for role in demo.ROLES}) == {airline.code: 2 for airline in demo.AIRLINES}
    assert all(ZoneInfo(role.place.time_zone) for role in demo.ROLES)


def test_a_spare_lives_the_life_of_one_of_the_twenty() -> None:
    assert demo.unit_of("ESN-0081") == 81
    assert demo.unit_of("ESN-S001") == 89
    assert {demo.unit_of(f"ESN-S{number:03}") for number in range(1, 21)} == set(range(81, 101))


async def test_seeding_twice_changes_nothing(service: Database, fleet: Sequence[demo.Role], credentials: demo.Credentials) -> None:
    async with service.transaction(STAFF) as tx:
        before = await whole_database(tx)
        await demo.seed(tx, fleet, credentials)
        assert await whole_database(tx) == before


async def test_the_seeded_fleet_is_complete(service: Database, fleet: Sequence[demo.Role]) -> None:
    async with service.transaction(STAFF) as tx:
        roles = await equipment.roles(tx)
        model = await equipment.asset_model(tx, demo.ASSET_MODEL)
        assert model is not None
        assert {(role.device_id, role.serial_number) for role in roles} == {(role.device_id, role.serial_number) for role in fleet}
        assert [spare.serial_number for spare in await equipment.serviceable_pool(tx, model.asset_model_id)] == [
            f"ESN-S{n:03}" for n in range(1, 21)
        ]
        assert len(await equipment.edge_nodes(tx)) == 8


async def test_a_smaller_fleet_has_only_the_customers_that_fly(service: Database, credentials: demo.Credentials) -> None:
    async with service.transaction(STAFF) as tx:
        await demo.seed(tx, demo.ROLES[:3], credentials)
        assert [customer.code for customer in await equipment.customers(tx)] == ["brisal"]
        assert len(await equipment.roles(tx)) == 3


@pytest.mark.usefixtures("fleet")
async def test_the_pool_is_filled_up_to_what_is_asked(service: Database) -> None:
    async with service.transaction(STAFF) as tx:
        await demo.restock(tx, 10)
        await demo.restock(tx, 22)
        model = await equipment.asset_model(tx, demo.ASSET_MODEL)
        assert model is not None
        assert [spare.serial_number for spare in await equipment.serviceable_pool(tx, model.asset_model_id)][-1] == "ESN-S022"


def test_passwords_are_made_once_and_private(tmp_path: Path) -> None:
    made = demo.credentials(tmp_path)
    file = tmp_path / "credentials.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert demo.credentials(tmp_path) == made
    assert len({person.password for person in made.people}) == len(made.people)
    assert [person.title for person in made.shown] == ["customer", "technician", "service manager"]
    assert all(person.password_hash.startswith("$argon2id$") for person in made.people)


def test_who_lost_the_password_gets_a_new_one_and_the_others_keep_theirs(tmp_path: Path) -> None:
    made = demo.credentials(tmp_path)
    file = tmp_path / "credentials.json"
    kept = json.loads(file.read_text())
    del kept[made.people[0].login]
    file.write_text(json.dumps(kept))
    again = demo.credentials(tmp_path)
    assert again.people[1:] == made.people[1:]
    assert again.people[0].password != made.people[0].password
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_damaged_password_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_text("[]")
    with pytest.raises(ConfigError, match="delete it"):
        demo.credentials(tmp_path)


def test_the_gateway_file_names_every_engine_once(tmp_path: Path) -> None:
    text = demo.gateway_toml(demo.ROLES, "mqtt://127.0.0.1:1883", tmp_path, tmp_path / 'a "quoted" name.txt', tmp_path / "logbook.jsonl")
    nodes = tomllib.loads(text)["node"]
    assert [device for node in nodes for device in node["source"]["devices"]] == [role.device_id for role in demo.ROLES]
    assert nodes[0]["source"]["data"] == str(tmp_path / 'a "quoted" name.txt')
    assert len(demo.buffer_files(demo.ROLES, tmp_path)) == len(nodes)
