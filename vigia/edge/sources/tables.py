"""What the configuration tables of sources have in common."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from vigia.edge.samples import Kind, Point
from vigia.sparkplug import TopicError
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.topics import check_id


class SourceTable(BaseModel):
    """A table of the configuration: a setting that it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _fits_a_topic(value: str) -> str:
    try:
        return check_id("the id", value)
    except TopicError as error:
        raise ValueError(str(error)) from None


DeviceId = Annotated[str, AfterValidator(_fits_a_topic)]
"""A device id as it can stand in a topic."""


class ScaledPoint(SourceTable):
    """What a table of a point says where the machine itself says nothing: how what was read becomes a value, and what it means."""

    factor: float = Field(default=1.0, allow_inf_nan=False, description="The value is what was read times this,")
    offset: float = Field(default=0.0, allow_inf_nan=False, description="plus this.")
    unit: str = Field(default="1", min_length=1, description="UCUM code of the value.")
    low: float | None = Field(default=None, description="Engineering range in that unit.")
    high: float | None = Field(default=None, description="Engineering range in that unit.")
    kind: Kind = Field(default="measurement", description="measurement, setting, state or counter.")
    documentation: str = Field(default="", description="What it is, for people.")

    @property
    def is_scaled(self) -> bool:
        """Whether the value differs from what was read."""
        return (self.factor, self.offset) != (1.0, 0.0)

    def announced(self, name: str, datatype: DataType) -> Point:
        """The point, as its device announces it."""
        return Point(name, datatype, self.unit, self.low, self.high, self.kind, self.documentation)


def refuse_repeated(what: str, names: Iterable[str]) -> None:
    """Raise ValueError when a name comes twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{what} {name} appears twice; each must be unique")
        seen.add(name)
