"""The demo's fleet: four invented airlines, the engines they fly, what they were promised, and the pool of spares.

The engines are the recorded ones of NASA C-MAPSS FD001 that the prediction model has not seen: units 81 to 100.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from vigia.demo.credentials import Credentials, credentials
from vigia.demo.gateway import buffer_files, gateway_toml
from vigia.demo.places import AIRLINES, ROLES, Airline, Place, Role
from vigia.domain.contracts import Contract
from vigia.edge.samples import Point
from vigia.edge.sources.replay.recording import POINTS
from vigia.store import accounts, contracts, fleet, installations, points
from vigia.store.accounts import NewAccount
from vigia.store.database import Transaction
from vigia.store.points import NewPoint

__all__ = [
    "AIRLINES",
    "ASSET_MODEL",
    "CORRECTIVE_LEAD",
    "FAILURE_MODE",
    "FLEET_START",
    "LIFE_UNIT",
    "POINTS",
    "PREDICTIVE_LEAD",
    "ROLES",
    "SPARES",
    "VISIT_DURATION",
    "Airline",
    "Credentials",
    "Place",
    "Role",
    "buffer_files",
    "credentials",
    "gateway_toml",
    "restock",
    "seed",
    "unit_of",
]

FLEET_START = datetime(2026, 1, 1, tzinfo=UTC)
ASSET_MODEL = "cmapss-fd001"
ASSET_MODEL_NAME = "C-MAPSS turbofan, 90 000 lbf"
LIFE_UNIT = "{cycle}"
FAILURE_MODE = "hpc_degradation"
SPARES = 20
FIRST_UNIT, UNITS = 81, 20

PREDICTIVE_LEAD = timedelta(hours=8)
CORRECTIVE_LEAD = timedelta(hours=48)
VISIT_DURATION = timedelta(hours=4)


def fleet_time(hour: int) -> datetime:
    """The fleet's clock at `hour`."""
    return FLEET_START + timedelta(hours=hour)


def unit_of(serial_number: str) -> int:
    """The recorded unit whose life this engine lives: its own number, for a spare one of the twenty in turn."""
    number = serial_number.removeprefix("ESN-")
    if number.startswith("S"):
        return FIRST_UNIT + (int(number[1:]) + 7) % UNITS
    return int(number)


async def seed(tx: Transaction, roles: Sequence[Role], people: Credentials) -> None:
    """Put the engines of `roles` with all they need into the database: model, airlines, sites, contracts, accounts, spares.

    What is there stays as it is, so a second seed changes nothing but passwords.
    """
    model = await fleet.add_asset_model(tx, ASSET_MODEL, ASSET_MODEL_NAME, LIFE_UNIT)
    customers = {airline.code: await _seed_airline(tx, airline) for airline in AIRLINES if any(role.airline == airline for role in roles)}
    for place in dict.fromkeys(role.place for role in roles):
        await _seed_place(tx, model, customers[place.airline], place, [role for role in roles if role.place == place])
    await _seed_people(tx, customers, people)
    await restock(tx, SPARES, only_new=True)


async def restock(tx: Transaction, spares: int, *, only_new: bool = False) -> None:
    """Add engines until `spares` serviceable ones stand nowhere; with `only_new` until that many spares were ever made."""
    model = await fleet.add_asset_model(tx, ASSET_MODEL, ASSET_MODEL_NAME, LIFE_UNIT)
    made = await fleet.count_assets(tx, model, "ESN-S")
    there = made if only_new else len(await fleet.serviceable_pool(tx, model))
    for number in range(made + 1, made + 1 + max(0, spares - there)):
        await fleet.add_asset(tx, model, f"ESN-S{number:03}")


async def _seed_airline(tx: Transaction, airline: Airline) -> int:
    customer_id = await fleet.add_customer(tx, airline.code, airline.name)
    await contracts.add(
        tx,
        Contract(
            contract_id=0,
            customer_id=customer_id,
            name=f"{airline.name}: engine hours",
            tier="availability",
            starts_at=FLEET_START,
            ends_at=None,
            currency=airline.currency,
            rate_per_hour=airline.rate_per_hour,
            guaranteed_availability=Decimal("0.99"),
            credit_per_point=Decimal("0.05"),
            credit_cap=Decimal("0.30"),
            predictive_lead=PREDICTIVE_LEAD,
            corrective_lead=CORRECTIVE_LEAD,
            visit_duration=VISIT_DURATION,
        ),
    )
    contract = await contracts.in_force(tx, customer_id, FLEET_START)
    if contract is not None and not await contracts.costs(tx, contract.contract_id):
        await contracts.set_costs(tx, contract.contract_id, ASSET_MODEL, airline.costs)
    return customer_id


async def _seed_place(tx: Transaction, model: int, customer_id: int, place: Place, roles: Iterable[Role]) -> None:
    site_id = await fleet.add_site(tx, customer_id, place.code, place.name, place.time_zone)
    site = fleet.Site(site_id, customer_id, place.code, place.name, place.time_zone)
    node = await fleet.add_edge_node(tx, site, place.airline, place.code)
    area = await fleet.add_area(tx, customer_id, site_id, "Apron")
    for role in roles:
        line = await fleet.add_line(tx, customer_id, area, role.aircraft)
        role_id = await fleet.add_role(tx, fleet.NewRole(customer_id, line, model, role.name, node, role.device_id))
        asset_id = await fleet.add_asset(tx, model, role.serial_number)
        await points.ensure_points(tx, asset_id, [_point(point) for point in POINTS])
        if not await installations.known(tx, role_id, asset_id):
            await installations.install(tx, customer_id, role_id, asset_id, FLEET_START)


def _point(point: Point) -> NewPoint:
    return NewPoint(point.name, point.kind, point.unit, point.documentation, point.low, point.high)


async def _seed_people(tx: Transaction, customers: dict[str, int], people: Credentials) -> None:
    for person in people.people:
        if person.airline is not None and person.airline not in customers:
            continue
        customer_id = None if person.airline is None else customers[person.airline]
        account_id = await accounts.add_account(
            tx, NewAccount(person.kind, person.login, person.name, person.password_hash, customer_id, person.language)
        )
        if person.time_zone is not None:
            await accounts.set_preferences(tx, account_id, None, {"time_zone": person.time_zone})
