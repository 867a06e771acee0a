"""Looks what a server has and drafts a configuration of it, to be edited by someone who knows the machines."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asyncua import ua
from asyncua.client.ua_session import UaSession

from vigia.edge import EdgeError
from vigia.edge.sources.opcua import values
from vigia.edge.sources.opcua.config import ServerConfig
from vigia.edge.sources.opcua.connection import close_session, load_identity, open_session, unavailable
from vigia.edge.sources.opcua.describe import Described, Limits, Wanted, describe, in_parts, read_limits, read_namespaces
from vigia.edge.sources.opcua.node_ids import UnknownNamespaceError, resolve, write_node_id

MOST_VARIABLES: Final = 10_000
OBJECTS: Final = f"i={ua.ObjectIds.ObjectsFolder}"
_ELSEWHERE: Final = str.maketrans("+/#", "---")
_SHOWN: Final = 40


@dataclass(frozen=True)
class _Found:
    """A variable; `path` are the browse names from where the search began."""

    path: tuple[str, ...]
    node_id: ua.NodeId


async def draft(config: ServerConfig, folder: Path, root: str = OBJECTS, levels: int = 1) -> str:
    """A gateway's configuration (TOML) with the variables below `root`; the first `levels` names of their paths make the device.

    Raises EdgeError, SourceUnavailableError.
    """
    identity = load_identity(config, folder)
    client = await open_session(config, identity, lambda: None)
    try:
        with unavailable(config.url):
            session = client.uaclient.session
            limits = await read_limits(session)
            namespaces = await read_namespaces(session)
            try:
                start = resolve(root, namespaces)
            except UnknownNamespaceError as error:
                raise EdgeError(f"{config.url}: {error}; it has {', '.join(namespaces)}") from None
            found = await _variables(session, limits, start)
            described = await describe(session, limits, [Wanted(one.node_id) for one in found])
    finally:
        await close_session(client)
    if not found:
        raise EdgeError(f"{config.url}: no variables below {root}; name another node with --root")
    devices: dict[str, list[tuple[str, Described]]] = defaultdict(list)
    for one, said in zip(found, described, strict=True):
        depth = min(levels, len(one.path) - 1)
        device = "-".join(one.path[:depth]).translate(_ELSEWHERE) or "machine"
        devices[device].append(("/".join(one.path[depth:]), said))
    return "\n".join([*_head(config), *_devices(devices, namespaces)]) + "\n"


async def _variables(session: UaSession, limits: Limits, start: ua.NodeId) -> list[_Found]:
    """The variables below `start`, level by level; not the standard's own, and no properties."""
    found: list[_Found] = []
    seen = {start}
    level = [_Found((), start)]
    while level and len(found) < MOST_VARIABLES:
        below = await in_parts([one.node_id for one in level], limits.browse, lambda part: _references(session, part))
        following = []
        for parent, references in zip(level, below, strict=True):
            for reference in references:
                node_id = ua.NodeId(reference.NodeId.Identifier, reference.NodeId.NamespaceIndex, reference.NodeId.NodeIdType)
                standard = node_id.NamespaceIndex == 0 or reference.TypeDefinition == ua.NodeId(ua.ObjectIds.PropertyType)
                if node_id in seen or standard:
                    continue
                seen.add(node_id)
                one = _Found((*parent.path, reference.BrowseName.Name or "?"), node_id)
                following.append(one)
                if reference.NodeClass == ua.NodeClass.Variable:
                    found.append(one)
        level = following
    return found[:MOST_VARIABLES]


async def _references(session: UaSession, node_ids: list[ua.NodeId]) -> list[list[ua.ReferenceDescription]]:
    wanted = [
        ua.BrowseDescription(
            NodeId=node_id,
            BrowseDirection=ua.BrowseDirection.Forward,
            ReferenceTypeId=ua.NodeId(ua.ObjectIds.HierarchicalReferences),
            IncludeSubtypes=True,
            NodeClassMask=ua.NodeClass.Object | ua.NodeClass.Variable,
            ResultMask=ua.BrowseResultMask.All,
        )
        for node_id in node_ids
    ]
    told = []
    for answer in await session.browse(ua.BrowseParameters(NodesToBrowse=wanted)):
        references = list(answer.References or ())
        point = answer.ContinuationPoint
        while point:
            (more,) = await session.browse_next(ua.BrowseNextParameters(ContinuationPoints=[point]))
            references += more.References or ()
            point = more.ContinuationPoint
        told.append(references)
    return told


# ── what is written ──


def _head(config: ServerConfig) -> Iterator[str]:
    said = config.model_dump(mode="json", exclude_defaults=True)
    yield from (
        "# A draft: rename devices and points, remove what is not needed, and say what is a state or a counter (kind).",
        "# Every setting: sample.toml of the opcua source. `vigia edge run --check --config FILE` checks what you wrote.",
        "",
        "[broker]",
        'url = "mqtt://127.0.0.1:1883"',
        "",
        "[buffer]",
        'folder = "buffers"',
        "",
        "[[node]]",
        'group_id = "plant"',
        'node_id = "gateway"',
        "",
        "[node.source]",
        'type = "opcua"',
    )
    yield from (f"{key} = {_toml(value)}" for key, value in said.items())


def _devices(devices: dict[str, list[tuple[str, Described]]], namespaces: Sequence[str]) -> Iterator[str]:
    for device, points in devices.items():
        readable = [(name, said) for name, said in points if not said.problem]
        lines = [line for name, said in _unique(readable) for line in _point(name, said, namespaces)]
        if readable:
            yield from ("", "[[node.source.device]]", f"device_id = {_toml(device)}", 'serial = ""', 'model = "unknown"', *lines)
        for name, said in points:
            if said.problem:
                yield f"# left out: {_toml(name)}, {_toml(write_node_id(said.node_id, namespaces))}: {said.problem}"


def _point(name: str, said: Described, namespaces: Sequence[str]) -> Iterator[str]:
    yield ""
    yield "[[node.source.device.point]]"
    yield f"name = {_toml(name)}"
    shown = values.read(said.value, said.datatype, None, 0).value
    history = "; the server keeps its history" if said.keeps_history else ""
    yield f"node = {_toml(write_node_id(said.node_id, namespaces))}  # {said.datatype.name}, now {_toml(shown)[:_SHOWN]}{history}"
    if said.unit is not None:
        yield f"unit = {_toml(said.unit)}"
    elif said.unit_name:
        yield f"# unit: the server says {_toml(said.unit_name)}; write its UCUM code"
    if said.low is not None and said.high is not None:
        yield f"low = {_toml(float(said.low))}"
        yield f"high = {_toml(float(said.high))}"


def _unique(points: Iterable[tuple[str, Described]]) -> Iterator[tuple[str, Described]]:
    """Different nodes may have one path, in different namespaces."""
    used: dict[str, int] = defaultdict(int)
    for name, said in points:
        used[name] += 1
        yield (name if used[name] == 1 else f"{name} ({used[name]})"), said


def _toml(value: object) -> str:
    """A value as TOML writes it."""
    if value is None:
        return "nothing"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
