"""Engineering units of a server as UCUM codes.

OPC UA numbers units by the codes of UNECE Recommendation 20, three characters packed into an integer.
"""

from typing import Final

UNECE: Final = "http://www.opcfoundation.org/UA/units/un/cefact"
_BYTES: Final = 4

# UNECE code -> UCUM code
_BY_CODE: Final = {
    "C62": "1",
    "P1": "%",
    "59": "[ppm]",
    "61": "[ppb]",
    "Q30": "[pH]",
    "2N": "dB",
    # temperature
    "CEL": "Cel",
    "KEL": "K",
    "FAH": "[degF]",
    # pressure
    "PAL": "Pa",
    "A97": "hPa",
    "KPA": "kPa",
    "MPA": "MPa",
    "BAR": "bar",
    "MBR": "mbar",
    "PS": "[psi]",
    "80": "[psi]",
    "HN": "mm[Hg]",
    "ATM": "atm",
    # length, area, volume
    "4H": "um",
    "MMT": "mm",
    "CMT": "cm",
    "DMT": "dm",
    "MTR": "m",
    "KMT": "km",
    "KTM": "km",
    "INH": "[in_i]",
    "FOT": "[ft_i]",
    "MMK": "mm2",
    "CMK": "cm2",
    "MTK": "m2",
    "MMQ": "mm3",
    "CMQ": "cm3",
    "MTQ": "m3",
    "MLT": "mL",
    "LTR": "L",
    "HLT": "hL",
    # angle
    "DD": "deg",
    "C81": "rad",
    # motion
    "MTS": "m/s",
    "C16": "mm/s",
    "KMH": "km/h",
    "2M": "cm/s",
    "MSK": "m/s2",
    "RPM": "/min",
    "RPS": "/s",
    "M46": "/min",
    "C94": "/min",
    "C97": "/s",
    "2A": "rad/s",
    "HTZ": "Hz",
    "KHZ": "kHz",
    "MHZ": "MHz",
    # flow
    "L2": "L/min",
    "E32": "L/h",
    "G51": "L/s",
    "MQH": "m3/h",
    "MQS": "m3/s",
    "G53": "m3/min",
    "KGS": "kg/s",
    "E93": "kg/h",
    "F31": "kg/min",
    "E18": "t/h",
    # mass, density, viscosity, force, torque
    "MGM": "mg",
    "GRM": "g",
    "KGM": "kg",
    "TNE": "t",
    "LBR": "[lb_av]",
    "KMQ": "kg/m3",
    "M1": "mg/L",
    "C65": "Pa.s",
    "C24": "mPa.s",
    "C17": "mm2/s",
    "4C": "cSt",
    "NEW": "N",
    "B47": "kN",
    "NU": "N.m",
    # time
    "B98": "us",
    "C26": "ms",
    "SEC": "s",
    "MIN": "min",
    "HUR": "h",
    "DAY": "d",
    # electricity
    "VLT": "V",
    "2Z": "mV",
    "KVT": "kV",
    "AMP": "A",
    "4K": "mA",
    "OHM": "Ohm",
    "B49": "kOhm",
    "FAR": "F",
    "G42": "uS/cm",
    "AMH": "A.h",
    "B84": "uA",
    # power and energy
    "WTT": "W",
    "KWT": "kW",
    "MAW": "MW",
    "D46": "V.A",
    "KVA": "kV.A",
    "JOU": "J",
    "KJO": "kJ",
    "3B": "MJ",
    "WHR": "W.h",
    "KWH": "kW.h",
    "MWH": "MW.h",
    # light and field
    "LUX": "lx",
    "LUM": "lm",
    "CDL": "cd",
    "D33": "T",
    "C29": "mT",
}
# What people write instead; a UCUM code of the table above stands for itself.
_BY_NAME: Final = {
    "°C": "Cel",
    "degC": "Cel",
    "C": "Cel",
    "°F": "[degF]",
    "degF": "[degF]",
    "psi": "[psi]",
    "rpm": "/min",
    "1/min": "/min",
    "min-1": "/min",
    "r/min": "/min",
    "µm": "um",
    "μm": "um",
    "m/s²": "m/s2",
    "m³/h": "m3/h",
    "m³": "m3",
    "m²": "m2",
    "l": "L",
    "l/min": "L/min",
    "l/h": "L/h",
    "°": "deg",
    "Ω": "Ohm",
    "Nm": "N.m",
    "N·m": "N.m",
    "kWh": "kW.h",
    "Wh": "W.h",
    "VA": "V.A",
    "kVA": "kV.A",
    "ppm": "[ppm]",
    "sec": "s",
}
_KNOWN: Final = frozenset(_BY_CODE.values())


def ucum(namespace: str | None, unit_id: int, display_name: str) -> str | None:
    """The UCUM code of a unit as a server tells it (EUInformation); None when it is not known."""
    if namespace == UNECE and 0 < unit_id < 1 << (8 * _BYTES):
        code = unit_id.to_bytes(_BYTES, "big").lstrip(b"\0").decode("ascii", "replace")
        if code in _BY_CODE:
            return _BY_CODE[code]
    name = display_name.strip()
    return _BY_NAME.get(name) or (name if name in _KNOWN else None)
