"""The table `[node.source]` with `type = "files"`: which files, how a row is read, and which columns are points of which device."""

from pathlib import PurePath
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, field_validator, model_validator

from vigia.edge.samples import Device, Point
from vigia.edge.sources.tables import DeviceId, ScaledPoint, SourceTable, refuse_repeated
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.names import QUALITY_BAD, QUALITY_GOOD, QUALITY_STALE, QUALITY_UNCERTAIN

Type = Literal["float", "int", "bool", "string"]
TimeUnit = Literal["s", "ms", "us", "ns"]

QUALITIES = {"good": QUALITY_GOOD, "uncertain": QUALITY_UNCERTAIN, "stale": QUALITY_STALE, "bad": QUALITY_BAD}
Quality = Literal["good", "uncertain", "stale", "bad"]

_DATATYPES: dict[Type, DataType] = {
    "float": DataType.DOUBLE,
    "int": DataType.INT64,
    "bool": DataType.BOOLEAN,
    "string": DataType.STRING,
}


def _is_a_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        raise ValueError("not a time zone; write one such as Europe/Madrid") from None
    return name


def _keeps_line_ends(encoding: str) -> str:
    try:
        fits = "\n".encode(encoding) == b"\n"
    except LookupError:
        fits = False
    if not fits:
        raise ValueError("not an encoding whose lines can be told apart by bytes; write one such as utf-8, cp1252 or iso-8859-15")
    return encoding


class TimeConfig(SourceTable):
    """The table `[node.source.time]`: when a row was measured."""

    column: str | tuple[str, ...] = Field(description="The column; several (date and time) are joined by a blank.")
    format: str = Field(default="iso", min_length=1, description="iso; s, ms, us or ns since 1970 UTC; or as strptime writes it.")
    zone: Annotated[str, AfterValidator(_is_a_zone)] | None = Field(default=None, description="For times that do not say their offset.")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns, however many."""
        return (self.column,) if isinstance(self.column, str) else self.column


class PointConfig(ScaledPoint):
    """A table `[[node.source.device.point]]`: a column, and what it means."""

    column: str = Field(min_length=1, description="The column.")
    name: str | None = Field(default=None, min_length=1, description="Name of the point. Default: the column's.")
    where: dict[str, str] = Field(default={}, description="Only rows that have these texts in these columns; beside the device's.")
    type: Type = Field(default="float", description="float, int, bool or string.")
    quality: str | None = Field(default=None, description="The column of its quality; without one every value is good.")
    words: dict[str, int | float] = Field(default={}, description="Texts that are numbers.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.type in ("bool", "string") and self.is_scaled:
            raise ValueError(f"a {self.type} has no factor or offset; write type float")
        if self.type == "string" and self.words:
            raise ValueError("a string has no words that are numbers; write type int, float or bool")
        if self.type == "int" and (self.is_scaled or any(isinstance(value, float) for value in self.words.values())):
            raise ValueError("an int has no factor, no offset and whole numbers for words; write type float")
        return self

    @property
    def point(self) -> Point:
        """As it is announced."""
        return self.announced(self.name or self.column, _DATATYPES[self.type])


class DeviceConfig(SourceTable):
    """A table `[[node.source.device]]`: a machine of which the files tell."""

    device_id: DeviceId = Field(description="Device id on the wire.")
    serial: str = Field(min_length=1, description="Serial number of the machine.")
    model: str = Field(min_length=1, description="Model code of the machine.")
    where: dict[str, str] = Field(default={}, description="Only rows that have these texts in these columns.")
    point: tuple[PointConfig, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        refuse_repeated("point", (point.point.name for point in self.point))
        return self

    @property
    def device(self) -> Device:
        """As it is announced."""
        return Device(self.device_id, self.serial, self.model, tuple(point.point for point in self.point))


class ReplayConfig(SourceTable):
    """The table `[node.source.replay]`: the files are a machine that is working now."""

    speed: float = Field(gt=0, le=1_000_000, description="Seconds of the file in one second.")
    clock: Literal["file", "now"] = Field(default="now", description="now: rows are dated when they are told. file: as they are written.")


class FilesConfig(SourceTable):
    """The whole table."""

    type: Literal["files"]
    path: str = Field(min_length=1, description="The file, or a pattern (* ? [] **), from the configuration file's folder.")
    format: Literal["csv", "parquet"] = Field(default="csv", description="csv or parquet.")
    encoding: Annotated[str, AfterValidator(_keeps_line_ends)] = Field(default="utf-8", description="Of csv.")
    delimiter: str = Field(default=",", min_length=1, max_length=1, description="Of csv.")
    quote: str = Field(default='"', min_length=1, max_length=1, description="Of csv.")
    decimal: Literal[".", ","] = Field(default=".", description="Decimal sign of numbers in text.")
    skip_lines: int = Field(default=0, ge=0, le=1000, description="Lines before the header, or before the first row.")
    columns: tuple[str, ...] | None = Field(
        default=None, min_length=1, description='Names of the columns of csv without a header; "" leaves one out.'
    )
    missing: tuple[str, ...] = Field(default=(), description="Texts that stand for no value, which is bad. An empty cell tells nothing.")
    qualities: dict[str, Quality] = Field(default={}, description="What other words in a quality column mean.")
    start: Literal["beginning", "end"] = Field(default="beginning", description="end: leaves out what files hold at the first start.")
    settle_s: float | None = Field(default=None, gt=0, description="A last line without an end counts when its file rests for this long.")
    poll_s: float = Field(default=1.0, gt=0, le=86_400, description="How often to look for what is new.")
    time: TimeConfig
    replay: ReplayConfig | None = None
    device: tuple[DeviceConfig, ...] = Field(min_length=1)

    @field_validator("path")
    @classmethod
    def _names_a_file(cls, path: str) -> str:
        if not PurePath(path).name:
            raise ValueError("name a file or a pattern of files")
        return path

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        refuse_repeated("device", (device.device_id for device in self.device))
        if self.delimiter in (self.quote, "\n", "\r"):
            raise ValueError("the delimiter must be neither the quote nor a line end")
        if self.columns is not None:
            refuse_repeated("column", filter(None, self.columns))
        return self
