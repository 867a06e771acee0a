"""The births that a buffer knows: of the devices that are alive, and earlier ones that its batches still belong to."""

import sqlite3
from collections.abc import Mapping
from dataclasses import replace

from vigia.edge.buffer_records import Birth, read_device, write_device
from vigia.edge.samples import Device


def read_births(connection: sqlite3.Connection) -> dict[int, Birth]:
    """Every birth the file knows, by its id."""
    rows = connection.execute("select birth_id, definition, ended from birth")
    return {birth_id: Birth(birth_id, read_device(definition), ended) for birth_id, definition, ended in rows}


def write_birth(connection: sqlite3.Connection, device: Device) -> Birth:
    """Add the birth of `device`."""
    made = connection.execute("insert into birth (definition) values (?)", (write_device(device),))
    return Birth(made.lastrowid or 0, device)


def begin_birth(connection: sqlite3.Connection, device: Device, births: dict[int, Birth], newest: int) -> None:
    """`device` came after batch `newest`; told again as it is, it is no new birth."""
    if any(birth.alive and birth.device == device for birth in births.values()):
        return
    end_births(connection, device.device_id, births, newest)
    born = write_birth(connection, device)
    births[born.birth_id] = born


def end_births(connection: sqlite3.Connection, device_id: str, births: dict[int, Birth], newest: int) -> None:
    """The device at `device_id`, if any, went after batch `newest`."""
    for birth in list(births.values()):
        if birth.alive and birth.device.device_id == device_id:
            connection.execute("update birth set ended = ? where birth_id = ?", (newest, birth.birth_id))
            births[birth.birth_id] = replace(birth, ended=newest)


def forget_births(connection: sqlite3.Connection, births: Mapping[int, Birth], acknowledged: int) -> list[int]:
    """Delete the births that no batch after `acknowledged` belongs to; returns their ids."""
    over = [one.birth_id for one in births.values() if one.ended is not None and one.ended <= acknowledged]
    connection.executemany("delete from birth where birth_id = ?", ((birth_id,) for birth_id in over))
    return over
