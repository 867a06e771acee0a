"""The table `[node.source]` with `type = "modbus"`: one connection, the devices behind it, and where their points are."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from vigia.edge.samples import Device, Point
from vigia.edge.sources.tables import DeviceId, ScaledPoint, SourceTable, refuse_repeated
from vigia.sparkplug.datatypes import DataType

Table = Literal["coil", "discrete_input", "input_register", "holding_register"]
Type = Literal["bool", "bit", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "string"]
Order = Literal["big", "little"]

ADDRESSES = 65_536
MAX_REGISTERS = 125
MAX_BITS = 2_000

_DATATYPES: dict[Type, DataType] = {
    "bool": DataType.BOOLEAN,
    "bit": DataType.BOOLEAN,
    "int16": DataType.INT16,
    "uint16": DataType.UINT16,
    "int32": DataType.INT32,
    "uint32": DataType.UINT32,
    "int64": DataType.INT64,
    "uint64": DataType.UINT64,
    "float32": DataType.FLOAT,
    "float64": DataType.DOUBLE,
    "string": DataType.STRING,
}
_REGISTERS: dict[Type, int] = {"int32": 2, "uint32": 2, "float32": 2, "int64": 4, "uint64": 4, "float64": 4}


class PointConfig(ScaledPoint):
    """A table `[[node.source.device.point]]`: what is read where, and what it means."""

    name: str = Field(min_length=1, description="Name of the point.")
    table: Table = Field(description="coil, discrete_input, input_register or holding_register.")
    address: int = Field(
        ge=0, lt=ADDRESSES, description="Address in the protocol, from 0: what a manual calls 40001 is holding_register 0."
    )
    type: Type = Field(default="uint16", description="bool for a coil or discrete input; of registers any other.")
    bit: int | None = Field(default=None, ge=0, le=15, description="With type bit: which one, 0 is the least significant.")
    length: int | None = Field(default=None, ge=1, le=MAX_REGISTERS, description="With type string: registers, two characters each.")
    word_order: Order | None = Field(default=None, description="Which register comes first: big is the high one. Default: the device's.")
    byte_order: Order | None = Field(default=None, description="Which byte of a register comes first. Default: the device's.")
    separate: bool = Field(default=False, description="Read by a request of its own, for what must not be read together.")

    @model_validator(mode="before")
    @classmethod
    def _bits_are_bool(cls, table: object) -> object:
        """The type need not be written where there is only one."""
        if isinstance(table, dict) and table.get("table") in ("coil", "discrete_input"):
            return {"type": "bool", **table}
        return table

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.type == "bool") != self.is_bit_table:
            raise ValueError(f"type {self.type} cannot be read from a {self.table}; coils and discrete inputs are bool, registers are not")
        if (self.type == "bit") != (self.bit is not None):
            raise ValueError("write bit with type bit, and with no other")
        if (self.type == "string") != (self.length is not None):
            raise ValueError("write length with type string, and with no other")
        if self.is_scaled and self.type in ("bool", "bit", "string"):
            raise ValueError(f"a {self.type} has no factor or offset; remove them")
        if self.end > ADDRESSES:
            raise ValueError(f"the {self.type} reaches beyond address {ADDRESSES - 1}")
        return self

    @property
    def is_bit_table(self) -> bool:
        """Whether it is read from a table of bits, not of registers."""
        return self.table in ("coil", "discrete_input")

    @property
    def width(self) -> int:
        """Addresses that it takes: bits or registers."""
        return self.length or _REGISTERS.get(self.type, 1)

    @property
    def end(self) -> int:
        """The address after it."""
        return self.address + self.width

    @property
    def why_read_only(self) -> str:
        """Why no command can write it, "" when one can."""
        if self.table not in ("coil", "holding_register"):
            return f"a {self.table} can only be read"
        if self.type == "bit":
            return "a write takes the whole register; write that one"
        return "its factor is 0" if self.factor == 0 else ""

    @property
    def point(self) -> Point:
        """As it is announced."""
        datatype = DataType.DOUBLE if self.is_scaled else _DATATYPES[self.type]
        return self.announced(self.name, datatype)


class DeviceConfig(SourceTable):
    """A table `[[node.source.device]]`: a machine at a unit id of the connection."""

    device_id: DeviceId = Field(description="Device id on the wire.")
    unit_id: int = Field(default=1, ge=0, le=255, description="Unit id (slave address); several share one gateway.")
    serial: str = Field(min_length=1, description="Serial number of the machine that stands there.")
    model: str = Field(min_length=1, description="Model code of the machine.")
    poll_s: float = Field(default=1.0, gt=0, le=86_400, description="How often all its points are read.")
    max_gap: int = Field(default=0, ge=0, le=MAX_BITS, description="Addresses between two points that may be read along to save a request.")
    max_registers: int = Field(default=MAX_REGISTERS, ge=4, le=MAX_REGISTERS, description="Registers in one request, at most.")
    max_bits: int = Field(default=MAX_BITS, ge=1, le=MAX_BITS, description="Bits in one request, at most.")
    word_order: Order = Field(default="big", description="Of points that say nothing else.")
    byte_order: Order = Field(default="big", description="Of points that say nothing else.")
    point: tuple[PointConfig, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        refuse_repeated("point", (point.name for point in self.point))
        for point in self.point:
            if not point.is_bit_table and point.width > self.max_registers:
                raise ValueError(
                    f"point {point.name} takes {point.width} registers, more than max_registers; raise it or shorten the point"
                )
        return self

    @property
    def device(self) -> Device:
        """As it is announced."""
        return Device(self.device_id, self.serial, self.model, tuple(point.point for point in self.point))


class ModbusConfig(SourceTable):
    """The whole table."""

    type: Literal["modbus"]
    host: str = Field(min_length=1, description="Name or address of the machine or gateway.")
    port: int = Field(default=502, ge=1, le=65_535, description="TCP port.")
    framing: Literal["tcp", "rtu"] = Field(default="tcp", description="tcp: Modbus TCP. rtu: RTU frames over TCP, of a serial gateway.")
    timeout_s: float = Field(default=2.0, gt=0, le=60, description="How long to wait for an answer, and for the connection.")
    retries: int = Field(default=1, ge=0, le=10, description="How often a question without an answer is asked again.")
    pause_s: float = Field(default=0.0, ge=0, le=60, description="Time between an answer and the next question, at least.")
    device: tuple[DeviceConfig, ...] = Field(min_length=1)

    @field_validator("device")
    @classmethod
    def _ids_are_unique(cls, devices: tuple[DeviceConfig, ...]) -> tuple[DeviceConfig, ...]:
        refuse_repeated("device", (device.device_id for device in devices))
        return devices
