"""MTConnect's units as UCUM codes."""

from typing import Final

_UCUM: Final = {
    "AMPERE": "A",
    "CELSIUS": "Cel",
    "COULOMB": "C",
    "COUNT": "{count}",
    "COUNT/SECOND": "{count}/s",
    "CUBIC_METER": "m3",
    "CUBIC_MILLIMETER": "mm3",
    "CUBIC_MILLIMETER/SECOND": "mm3/s",
    "CUBIC_MILLIMETER/SECOND^2": "mm3/s2",
    "DECIBEL": "dB",
    "DEGREE": "deg",
    "DEGREE/SECOND": "deg/s",
    "DEGREE/SECOND^2": "deg/s2",
    "DEGREE_3D": "deg",
    "GRAM": "g",
    "GRAM/CUBIC_METER": "g/m3",
    "HERTZ": "Hz",
    "JOULE": "J",
    "KILOGRAM": "kg",
    "LITER": "L",
    "LITER/SECOND": "L/s",
    "METER/SECOND^2": "m/s2",
    "MICRO_RADIAN": "urad",
    "MILLIGRAM": "mg",
    "MILLIGRAM/CUBIC_MILLIMETER": "mg/mm3",
    "MILLIGRAM/LITER": "mg/L",
    "MILLILITER": "mL",
    "MILLIMETER": "mm",
    "MILLIMETER/REVOLUTION": "mm/{rev}",
    "MILLIMETER/SECOND": "mm/s",
    "MILLIMETER/SECOND^2": "mm/s2",
    "MILLIMETER_3D": "mm",
    "NEWTON": "N",
    "NEWTON_METER": "N.m",
    "OHM": "Ohm",
    "OHM_METER": "Ohm.m",
    "PASCAL": "Pa",
    "PASCAL/SECOND": "Pa/s",
    "PASCAL_SECOND": "Pa.s",
    "PERCENT": "%",
    "PH": "[pH]",
    "REVOLUTION/MINUTE": "/min",
    "REVOLUTION/SECOND": "/s",
    "REVOLUTION/SECOND^2": "/s2",
    "SECOND": "s",
    "SIEMENS/METER": "S/m",
    "SQUARE_MILLIMETER": "mm2",
    "UNIT_VECTOR_3D": "1",
    "VOLT": "V",
    "VOLT_AMPERE": "V.A",
    "VOLT_AMPERE_REACTIVE": "V.A{reactive}",
    "WATT": "W",
    "WATT_SECOND": "W.s",
}


def ucum(units: str) -> str | None:
    """The UCUM code of a value of `units`; "1" when it has none, None when the standard does not know them."""
    return _UCUM.get(units) if units else "1"


def axes(units: str) -> tuple[str, ...]:
    """The names of the numbers that a value of `units` is made of; one without a name when it is a single number."""
    if not units.endswith("_3D"):
        return ("",)
    return ("a", "b", "c") if units == "DEGREE_3D" else ("x", "y", "z")
