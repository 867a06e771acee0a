"""The recorded machines: NASA C-MAPSS turbofans, one row a flight cycle, from new to failure."""

import gzip
from functools import lru_cache
from pathlib import Path

from vigia.edge import EdgeError
from vigia.edge.samples import Device, Point
from vigia.sparkplug.datatypes import DataType

COLUMNS = 26
OPERATING = 1
FAILED = 0

Row = tuple[float, ...]
"""Three settings and 21 sensors of one cycle, in the order of `READ_POINTS`."""

_RANKINE, _PSI, _PER_MINUTE, _POUNDS_PER_SECOND = "[degR]", "[psi]", "/min", "[lb_av]/s"

_SETTINGS = (
    ("setting_1", "10*3.[ft_i]", -10.0, 45.0, "Altitude"),
    ("setting_2", "1", -0.01, 1.0, "Mach number"),
    ("setting_3", "%", 0.0, 100.0, "Throttle resolver angle"),
)
_SENSORS = (
    ("T2", _RANKINE, 400.0, 600.0, "Total temperature at fan inlet"),
    ("T24", _RANKINE, 500.0, 700.0, "Total temperature at low-pressure compressor outlet"),
    ("T30", _RANKINE, 1200.0, 1700.0, "Total temperature at high-pressure compressor outlet"),
    ("T50", _RANKINE, 1000.0, 1500.0, "Total temperature at low-pressure turbine outlet"),
    ("P2", _PSI, 3.0, 16.0, "Pressure at fan inlet"),
    ("P15", _PSI, 5.0, 23.0, "Total pressure in bypass duct"),
    ("P30", _PSI, 100.0, 600.0, "Total pressure at high-pressure compressor outlet"),
    ("Nf", _PER_MINUTE, 1900.0, 2450.0, "Physical fan speed"),
    ("Nc", _PER_MINUTE, 7800.0, 9500.0, "Physical core speed"),
    ("epr", "1", 0.9, 1.4, "Engine pressure ratio"),
    ("Ps30", _PSI, 30.0, 52.0, "Static pressure at high-pressure compressor outlet"),
    ("phi", f"{_POUNDS_PER_SECOND}/{_PSI}", 100.0, 560.0, "Ratio of fuel flow to Ps30"),
    ("NRf", _PER_MINUTE, 1900.0, 2450.0, "Corrected fan speed"),
    ("NRc", _PER_MINUTE, 7800.0, 8500.0, "Corrected core speed"),
    ("BPR", "1", 7.5, 12.0, "Bypass ratio"),
    ("farB", "1", 0.01, 0.05, "Burner fuel-air ratio"),
    ("htBleed", "1", 300.0, 420.0, "Bleed enthalpy"),
    ("Nf_dmd", _PER_MINUTE, 1900.0, 2450.0, "Demanded fan speed"),
    ("PCNfR_dmd", "%", 80.0, 102.0, "Demanded corrected fan speed"),
    ("W31", _POUNDS_PER_SECOND, 8.0, 42.0, "High-pressure turbine coolant bleed"),
    ("W32", _POUNDS_PER_SECOND, 5.0, 26.0, "Low-pressure turbine coolant bleed"),
)

STATE = Point("state", DataType.INT32, kind="state", low=0, high=1, documentation="1 operating, 0 failed")
CYCLE = Point("cycle", DataType.INT64, unit="{cycle}", kind="counter", low=0, documentation="Flight cycles since new")
READ_POINTS = (
    *(Point(name, DataType.DOUBLE, unit, low, high, "setting", text) for name, unit, low, high, text in _SETTINGS),
    *(Point(name, DataType.DOUBLE, unit, low, high, "measurement", text) for name, unit, low, high, text in _SENSORS),
)
POINTS = (STATE, CYCLE, *READ_POINTS)


def engine(device_id: str, serial: str, model: str) -> Device:
    """The engine `serial` in the role `device_id`."""
    return Device(device_id, serial, model, POINTS)


@lru_cache(maxsize=4)
def read_recording(path: Path) -> dict[int, tuple[Row, ...]]:
    """The cycles of every unit recorded in the text file `path`, gzip-compressed when it ends in `.gz`.

    Raises EdgeError when the file is missing or a line is not a row of C-MAPSS.
    """
    units: dict[int, list[Row]] = {}
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
            for number, line in enumerate(lines, start=1):
                fields = line.split()
                if len(fields) != COLUMNS:
                    raise EdgeError(f"{path} line {number}: {len(fields)} columns, expected {COLUMNS}")
                units.setdefault(int(fields[0]), []).append(tuple(map(float, fields[2:])))
    except OSError as error:
        raise EdgeError(f"{path}: {error.strerror or error}") from None
    except ValueError:
        raise EdgeError(f"{path} line {number}: not a number") from None
    return {unit: tuple(rows) for unit, rows in units.items()}
