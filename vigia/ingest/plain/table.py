"""The declared table: which topics are read, by which decoder, and whose readings they are. A TOML file, checked whole before the start."""

import tomllib
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path as File
from typing import Annotated, Final, Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from vigia.errors import ConfigError
from vigia.ingest.plain.paths import MissingError, Path, Template
from vigia.sparkplug import TopicError
from vigia.sparkplug.names import NAMESPACE, QUALITY_BAD, QUALITY_GOOD, QUALITY_STALE
from vigia.sparkplug.topics import check_id

DEFAULT: Final = "default"
QUALITIES: Final = {"good": QUALITY_GOOD, "uncertain": 64, "stale": QUALITY_STALE, "bad": QUALITY_BAD}
MOST_ROUTES: Final = 65_536
LONGEST_FILTER: Final = 1_000

Decoder = Literal["json", "json-lines", "number", "csv-row"]
Quality = Literal["good", "uncertain", "stale", "bad"]
Kind = Literal["measurement", "setting", "state", "counter"]
TimeUnit = Literal["s", "ms", "us", "ns"]
Parsed = TypeVar("Parsed", Path, Template)


def _parsed(kind: type[Parsed]) -> BeforeValidator:
    def parse(value: object) -> object:
        return kind.parse(value) if isinstance(value, str) else value

    return BeforeValidator(parse)


def _zone(value: object) -> object:
    try:
        return ZoneInfo(value) if isinstance(value, str) else value
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError('write the name of a time zone, such as "Europe/Madrid" or "UTC"') from None


Where = Annotated[Path, _parsed(Path)]
FromTopic = Annotated[Template, _parsed(Template)]
Zone = Annotated[ZoneInfo, BeforeValidator(_zone)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class PointRule(_Table):
    """A table `[topic.points.NAME]`: what the point called NAME in the message is. `unit` is UCUM."""

    name: str | None = Field(default=None, min_length=1)
    unit: str | None = Field(default=None, min_length=1)
    kind: Kind | None = None


class Entry(_Table):
    """A table `[[topic]]`. docs/json-over-mqtt.md explains every key."""

    filter: str = Field(min_length=1, max_length=LONGEST_FILTER)
    decoder: Decoder
    group_id: FromTopic
    node_id: FromTopic
    device: FromTopic
    point: FromTopic | None = None
    records: Where | None = None
    time: Where | None = None
    time_unit: TimeUnit | None = None
    time_zone: Zone | None = None
    values: Where | None = None
    name: Where | None = None
    value: Where | None = None
    unit: Where | None = None
    quality: Where | None = None
    qualities: dict[str, Quality] = {}
    words: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = {}
    text: Literal["refuse", "number", "ignore"] = "refuse"
    others: Literal["take", "ignore"] = "take"
    points: dict[str, PointRule] = {}
    columns: tuple[str, ...] = ()
    separator: Literal[",", ";", "|", "\t", " "] = ","

    @field_validator("filter")
    @classmethod
    def _filter_is_one(cls, value: str) -> str:
        levels = value.split("/")
        if levels[0] in {"+", "#"} or value.startswith("$"):
            raise ValueError("the first level must be a name, so that no other traffic is read by mistake")
        if levels[0] == NAMESPACE:
            raise ValueError(f"{NAMESPACE} is Sparkplug's and is read without being declared")
        if "#" in value.rstrip("#") or (value.endswith("#") and levels[-1] != "#") or any("+" in one and one != "+" for one in levels):
            raise ValueError("+ stands for one whole level and # for all that follow, at the end: a/+/c, a/#")
        if "\0" in value:
            raise ValueError("a topic has no NUL")
        return value

    @model_validator(mode="after")
    def _keys_fit_together(self) -> "Entry":
        self._check_levels()
        self._check_decoder()
        if (self.name is None) != (self.value is None):
            raise ValueError("name and value belong together: where in a record the point's name stands, and where its value")
        if self.name is not None and (self.values is not None or self.point is not None):
            raise ValueError("name says that each record names its point: leave out values and point, or name and value")
        if self.unit is not None and self.name is None:
            raise ValueError("unit is where a record says its unit, beside name and value; for a fixed unit write [topic.points.NAME] unit")
        if self.time is None and (self.time_unit is not None or self.time_zone is not None):
            raise ValueError("time_unit and time_zone say how to read time: add time, or leave them out")
        if self.quality is None and self.qualities:
            raise ValueError("qualities says how to read quality: add quality, or leave it out")
        return self

    def _check_levels(self) -> None:
        levels = self.filter.split("/")
        for key in ("group_id", "node_id", "device", "point"):
            template: Template | None = getattr(self, key)
            if template is None:
                continue
            if levels[-1] != "#" and template.highest > len(levels):
                raise ValueError(f"{key} = {template.text!r} needs level {template.highest}, and the filter has {len(levels)}")
            if key != "point" and not template.highest:
                try:
                    check_id(key, template.text)
                except TopicError as error:
                    raise ValueError(str(error)) from None

    def _check_decoder(self) -> None:
        if self.decoder == "number":
            if self.point is None:
                raise ValueError('decoder = "number" needs point, the name of the point, such as point = "{4}"')
            self._refuse("records", "time", "values", "name", "value", "unit", "quality")
        if self.decoder == "csv-row":
            if not any(self.columns):
                raise ValueError('decoder = "csv-row" needs columns, the names of the cells in their order; "" leaves one out')
            named = [column for column in self.columns if column]
            if len(set(named)) < len(named):
                raise ValueError("columns names a cell twice")
            self._refuse("records", "values", "name", "value", "unit", "point")
            for key in ("time", "quality"):
                path: Path | None = getattr(self, key)
                if path is not None and path.keys not in {(column,) for column in named}:
                    raise ValueError(f"{key} = {path.text!r} is none of columns")
        elif self.columns or self.separator != ",":
            raise ValueError('columns and separator are for decoder = "csv-row": leave them out')

    def _refuse(self, *keys: str) -> None:
        for key in keys:
            if getattr(self, key) is not None:
                raise ValueError(f'{key} has no meaning with decoder = "{self.decoder}": leave it out')


@dataclass(frozen=True)
class Route:
    """What the table says of one topic: `point` is the point's name where the topic gives it."""

    entry: Entry
    group_id: str
    node_id: str
    device_id: str
    point: str | None


class _File(_Table):
    topic: tuple[Entry, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Table:
    """The entries in their order: the first whose filter fits a topic reads it."""

    entries: tuple[Entry, ...]
    _routes: dict[str, Route | None] = field(default_factory=dict, repr=False, compare=False)

    @property
    def filters(self) -> list[str]:
        """What to subscribe to."""
        return [entry.filter for entry in self.entries]

    def route(self, topic: str) -> Route | None:
        """What `topic` means, None when no entry is for it. Raises MissingError when its levels name nothing usable."""
        if topic not in self._routes:
            if len(self._routes) >= MOST_ROUTES:
                self._routes.clear()
            self._routes[topic] = self._find(topic)
        return self._routes[topic]

    def _find(self, topic: str) -> Route | None:
        levels = topic.split("/")
        entry = next((entry for entry in self.entries if matches(entry.filter.split("/"), levels)), None)
        if entry is None:
            return None
        try:
            group_id = check_id("group_id", entry.group_id.fill(levels))
            node_id = check_id("node_id", entry.node_id.fill(levels))
            device_id = check_id("device", entry.device.fill(levels))
        except TopicError as error:
            raise MissingError(str(error)) from None
        return Route(entry, group_id, node_id, device_id, None if entry.point is None else entry.point.fill(levels))


def matches(filter_levels: list[str], levels: list[str]) -> bool:
    """Whether MQTT delivers a topic of these levels to that filter."""
    for i, wanted in enumerate(filter_levels):
        if wanted == "#":
            return True
        if i == len(levels):
            return False
        if wanted not in ("+", levels[i]):
            return False
    return len(levels) == len(filter_levels)


def load(where: str) -> Table:
    """The table in the file `where`, or the one that comes with Vigía when that is "default".

    Raises ConfigError naming the file, the entry, the key and what to do.
    """
    if where == DEFAULT:
        return parse(resources.files(__package__).joinpath("default.toml").read_text("utf-8"), DEFAULT)
    try:
        return parse(File(where).read_text("utf-8"), where)
    except OSError as error:
        raise ConfigError(f'{where}: {error.strerror or error}; name a file with --topics (VIGIA_INGEST_TOPICS), or "{DEFAULT}"') from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: not a TOML file: {error}") from None


def parse(text: str, where: str) -> Table:
    """The table in `text`; `where` names it in errors. Raises ConfigError."""
    try:
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{where}: not a TOML file: {error}") from None
    try:
        file = _File.model_validate(tables)
    except ValidationError as error:
        raise ConfigError(_explain(where, error)) from None
    seen: dict[str, int] = {}
    for number, entry in enumerate(file.topic, 1):
        if entry.filter in seen:
            first = seen[entry.filter]
            raise ConfigError(f"{where}: entry {number}: filter {entry.filter!r} is entry {first}'s already; make one of the two")
        seen[entry.filter] = number
    return Table(file.topic)


def _explain(where: str, error: ValidationError) -> str:
    """The first fault, as one sentence with its remedy."""
    first = error.errors(include_url=False)[0]
    loc = list(first["loc"])
    if loc[:1] == ["topic"] and len(loc) > 1 and isinstance(loc[1], int):
        where = f"{where}: entry {loc[1] + 1}"
        loc = loc[2:]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
    said = first["msg"].removeprefix("Value error, ")
    match first["type"]:
        case "missing" if key == "topic":
            return f"{where}: no entry; add a table [[topic]]"
        case "missing":
            return f"{where}: {key} is missing; add it"
        case "extra_forbidden":
            return f"{where}: {key} is no key of the table; remove it or correct its spelling"
        case _ if not key:
            return f"{where}: {said}"
        case _:
            return f"{where}: {key} = {str(first['input'])[:60]!r}: {said}"
