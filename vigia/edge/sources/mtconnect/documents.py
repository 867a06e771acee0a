"""What an agent's XML documents say. Nothing in them is fetched, expanded or trusted to be small."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from vigia.edge import EdgeError
from vigia.edge.sources.clock import is_plausible

MAX_ELEMENTS = 500_000
OUT_OF_RANGE = "OUT_OF_RANGE"


class DocumentError(EdgeError):
    """The document is not MTConnect's."""


@dataclass(frozen=True, slots=True)
class Header:
    """Which life of the agent speaks, and what its buffer holds: numbers `first` to `next - 1`. 0 where the document does not say."""

    instance: int
    buffer_size: int
    first: int
    next: int
    last: int


@dataclass(frozen=True, slots=True)
class Observation:
    """What was observed at a data item. `tag` is the element's name, in a condition its state; `ts` is None where the time is no time."""

    item: str
    sequence: int
    ts: int | None
    tag: str
    text: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Streams:
    """An answer to current or sample; observations in the order of their numbers."""

    header: Header
    observations: tuple[Observation, ...]


@dataclass(frozen=True, slots=True)
class AgentErrors:
    """The agent refuses: codes as OUT_OF_RANGE, and its own words."""

    codes: frozenset[str]
    text: str


def parse(data: bytes) -> Element:
    """The root element; names without their namespaces. Raises DocumentError, also for a document type or an entity of its own."""
    builder = TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    count = 0

    def start(tag: str, attributes: Mapping[str, str]) -> None:
        nonlocal count
        count += 1
        if count > MAX_ELEMENTS:
            raise DocumentError(f"the document has more than {MAX_ELEMENTS} elements")
        builder.start(_local(tag), {_local(name): value for name, value in attributes.items()})

    def end(tag: str) -> None:
        builder.end(_local(tag))

    def refuse(*_: object) -> None:
        raise DocumentError("the document declares a document type; MTConnect has none")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)  # noqa: FBT003 - expat's own
    except expat.ExpatError as error:
        raise DocumentError(f"the document is no XML: {error}") from None
    return builder.close()


def header_of(root: Element) -> Header:
    """The header. Raises DocumentError."""
    header = root.find("Header")
    if header is None:
        raise DocumentError(f"a {root.tag} without a header")
    first, following = _number(header, "firstSequence", 0), _number(header, "nextSequence", 0)
    last = _number(header, "lastSequence", following - 1)
    return Header(_number(header, "instanceId"), _number(header, "bufferSize", 0), first, following, last)


def errors_of(root: Element) -> AgentErrors | None:
    """What the agent refuses, None when it is an answer."""
    if root.tag != "MTConnectError":
        return None
    said = [element for element in root.iter() if element.get("errorCode")]
    text = "; ".join(f"{element.get('errorCode')}: {''.join(element.itertext()).strip()}" for element in said)
    return AgentErrors(frozenset(element.get("errorCode", "") for element in said), text or "no reason given")


def streams_of(root: Element) -> Streams:
    """The observations of a MTConnectStreams. Raises DocumentError."""
    if root.tag != "MTConnectStreams":
        raise DocumentError(f"a {root.tag[:40]} instead of MTConnectStreams")
    header = header_of(root)
    if header.next < 1:
        raise DocumentError("a MTConnectStreams without nextSequence")
    found = [
        _observation(element)
        for group in root.iter()
        if group.tag in ("Samples", "Events", "Condition", "Conditions")
        for element in group
        if element.get("dataItemId")
    ]
    return Streams(header, tuple(sorted(found, key=lambda one: one.sequence)))


def _observation(element: Element) -> Observation:
    return Observation(
        element.get("dataItemId", ""),
        _number(element, "sequence"),
        _milliseconds(element.get("timestamp", "")),
        element.tag,
        (element.text or "").strip(),
        element.attrib,
    )


def _number(element: Element, name: str, default: int | None = None) -> int:
    said = element.get(name)
    if said is None and default is not None:
        return default
    try:
        return int(said or "")
    except ValueError:
        raise DocumentError(f"a {element.tag[:40]} whose {name} is {str(said)[:40]!r}, not a number") from None


def _milliseconds(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        ts = round(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
    return ts if is_plausible(ts) else None


def _local(name: str) -> str:
    return name.rpartition("}")[2]
