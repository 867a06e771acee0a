"""The tables `[[node.command]]`: what may be commanded. Without one, nothing may."""

from collections.abc import Iterable, Sequence
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vigia.edge import EdgeError
from vigia.edge.sources import Source, Writable
from vigia.errors import ConfigError
from vigia.sparkplug.names import DEVICE_CONTROL


class CommandConfig(BaseModel):
    """A table `[[node.command]]`: one metric of one device that a DCMD may write."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: str = Field(min_length=1, description="Device id.")
    name: str = Field(description='The metric that is announced: the point\'s own name, or "Device Control/..."')
    acts_on: str = Field(min_length=1, description="The point that is written, or the method that is called.")
    low: float | None = Field(default=None, allow_inf_nan=False, description="Smallest value, in the point's unit. Default: the point's.")
    high: float | None = Field(default=None, allow_inf_nan=False, description="Largest value, in the point's unit. Default: the point's.")
    allowed: tuple[bool | int | float | str, ...] = Field(default=(), description="The only values taken. Default: any in the range.")
    critical: bool = Field(default=False, description="Two different people must have approved it.")
    plain: bool = Field(default=False, description="Taken also from hosts that do not say who wants it, and until when it counts.")
    max_age_s: float = Field(default=60.0, gt=0, le=86_400, description="A command issued longer ago is refused.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.name != self.acts_on and not (self.name.startswith(DEVICE_CONTROL) and self.name != DEVICE_CONTROL):
            raise ValueError(f'name {self.name}: write "{DEVICE_CONTROL}{self.name}", or the name of the point that it acts on')
        if self.critical and self.plain:
            raise ValueError("a plain command names nobody who approved it; remove critical or plain")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("low is above high; correct one of them")
        return self


def refuse_repeated_commands(commands: Iterable[CommandConfig]) -> None:
    """Raise ValueError when a device's command comes twice."""
    seen: set[tuple[str, str]] = set()
    for one in commands:
        if (one.device, one.name) in seen:
            raise ValueError(f"{one.name} of device {one.device} appears twice; each must be unique")
        seen.add((one.device, one.name))


def check_commands(where: str, commands: Sequence[CommandConfig], source: Source) -> None:
    """Raise ConfigError unless `source` can write what each command acts on; `where` begins its sentence."""
    for at, one in enumerate(commands):
        if not isinstance(source, Writable):
            raise ConfigError(f"{where}.command[{at}]: this source cannot write to a machine; remove the table")
        try:
            source.writable(one.device, one.acts_on)
        except EdgeError as error:
            raise ConfigError(f"{where}.command[{at}]: {error}") from None
