"""The commands that a node's configuration allows, as its devices announce them and as a command is judged by them."""

from collections.abc import Sequence
from dataclasses import replace

from vigia.edge.command_config import CommandConfig
from vigia.edge.commands import Announced, Rule
from vigia.edge.config import EdgeConfig
from vigia.edge.samples import Device, Point, Value
from vigia.edge.sources import CommandRefusedError, Source, Writable
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.names import COMMAND_RESULT


def commands_of(config: EdgeConfig) -> dict[str, str]:
    """What each command of `config` allows, by node, device and name: the words are equal only when all of it is, down to the machine."""
    return {
        f"{node.name} {one.device} {one.name}": repr((one.model_dump(), source.target(one.device, one.acts_on)))
        for node, source in zip(config.nodes, config.sources, strict=True)
        for one in node.command
        if isinstance(source, Writable)
    }


class Allowed:
    """`source` is the node's own; the configuration was checked against it."""

    def __init__(self, commands: Sequence[CommandConfig], source: Source) -> None:
        self._commands = commands
        self._source = source

    def reporting(self, device: Device) -> Device:
        """`device` with the point that tells the results of its commands, if any is allowed."""
        if not self._of(device):
            return device
        # A state: what happened to a command is dropped last when there is no room.
        result = Point(COMMAND_RESULT, DataType.STRING, kind="state", documentation="What became of a command.")
        return replace(device, points=(*device.points, result))

    def announced(self, device: Device) -> tuple[Announced, ...]:
        """What a DCMD may write, each as the point that it acts on, under the command's name."""
        rules = self.rules(device)
        return tuple(Announced(replace(self._target(device, one), name=one.name), rules[one.device, one.name]) for one in self._of(device))

    def rules(self, device: Device) -> dict[tuple[str, str], Rule]:
        """The rules for commands to `device`. Without a range of its own a command has the engineering range of its point."""
        rules = {}
        for one in self._of(device):
            target = self._target(device, one)
            rules[device.device_id, one.name] = Rule(
                device.device_id,
                one.name,
                one.acts_on,
                target.datatype,
                target.low if one.low is None else one.low,
                target.high if one.high is None else one.high,
                one.allowed,
                one.critical,
                one.plain,
                round(one.max_age_s * 1000),
                target.unit,
            )
        return rules

    async def write(self, rule: Rule, value: Value) -> None:
        """Have the source write `value`. Raises SourceUnavailableError; any other EdgeError says why nothing was done."""
        await self._writable.write(rule.device, rule.acts_on, value)

    def _of(self, device: Device) -> list[CommandConfig]:
        return [one for one in self._commands if one.device == device.device_id]

    def _target(self, device: Device, command: CommandConfig) -> Point:
        """As the device was born; a method is only known to the source."""
        for point in device.points:
            if point.name == command.acts_on:
                return point
        return self._writable.writable(command.device, command.acts_on)

    @property
    def _writable(self) -> Writable:
        if not isinstance(self._source, Writable):
            raise CommandRefusedError("this source cannot write to a machine")
        return self._source
