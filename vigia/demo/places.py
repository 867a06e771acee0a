"""Where the demo's engines fly: airlines and places that do not exist, in time zones that do."""

from dataclasses import dataclass
from decimal import Decimal

from vigia.domain.contracts import ContractCosts


@dataclass(frozen=True)
class Airline:
    """A customer. It pays `rate_per_hour` in `currency` for each hour an engine is available; `costs` are what the manufacturer pays."""

    code: str
    name: str
    currency: str
    rate_per_hour: Decimal
    costs: ContractCosts


@dataclass(frozen=True)
class Place:
    """A site of an airline with its gateway: `code` is the gateway's name on the wire. Aircraft by registration."""

    airline: str
    code: str
    name: str
    time_zone: str
    aircraft: tuple[str, ...]


@dataclass(frozen=True)
class Role:
    """An engine position. Recorded `unit` is the first engine that flies in it."""

    airline: Airline
    place: Place
    aircraft: str
    side: str
    unit: int

    @property
    def device_id(self) -> str:
        """The position's name on the wire, unique over the whole fleet."""
        return f"{self.aircraft}-{self.side}"

    @property
    def name(self) -> str:
        """The position's name for people."""
        return self.device_id

    @property
    def serial_number(self) -> str:
        """The first engine's serial number."""
        return f"ESN-{self.unit:04}"


def _costs(failure: int, visit: int, lost_life: int) -> ContractCosts:
    return ContractCosts(Decimal(failure), Decimal(visit), Decimal(lost_life))


AIRLINES = (
    Airline("brisal", "Brisal Líneas Aéreas", "EUR", Decimal("310.00"), _costs(60_000, 8_000, 60)),
    Airline("ventalia", "Ventália Linhas Aéreas", "USD", Decimal("345.00"), _costs(90_000, 12_000, 65)),
    Airline("altiplana", "Altiplana Aviación", "USD", Decimal("362.50"), _costs(110_000, 14_000, 70)),
    Airline("tejomar", "Tejomar Airways", "EUR", Decimal("298.00"), _costs(55_000, 7_500, 60)),
)
"""A failure costs more the further it happens from the shop; a visit from abroad likewise."""

PLACES = (
    Place("brisal", "brisal-meseta", "Madrid Meseta", "Europe/Madrid", ("EC-V01", "EC-V02")),
    Place("ventalia", "ventalia-serra", "São Paulo Serra", "America/Sao_Paulo", ("PR-V01", "PR-V02")),
    Place("altiplana", "altiplana-sabana", "Bogotá Sabana", "America/Bogota", ("HK-V01",)),
    Place("tejomar", "tejomar-estuario", "Lisboa Estuário", "Europe/Lisbon", ("CS-V01",)),
    Place("brisal", "brisal-atlante", "Tenerife Atlante", "Atlantic/Canary", ("EC-V03",)),
    Place("ventalia", "ventalia-rio-negro", "Manaus Rio Negro", "America/Manaus", ("PR-V03",)),
    Place("altiplana", "altiplana-costa", "Lima Costa", "America/Lima", ("OB-V01",)),
    Place("tejomar", "tejomar-caldeira", "Açores Caldeira", "Atlantic/Azores", ("CS-V02",)),
)


def _roles() -> tuple[Role, ...]:
    airlines = {airline.code: airline for airline in AIRLINES}
    positions = [(place, aircraft, side) for place in PLACES for aircraft in place.aircraft for side in ("L", "R")]
    return tuple(Role(airlines[place.airline], place, aircraft, side, 81 + i) for i, (place, aircraft, side) in enumerate(positions))


ROLES = _roles()
"""The twenty engine positions; unit 81 flies in the first."""
