"""What a server says about its nodes: type, value, range, unit, history. Asked in requests no larger than the server takes."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from asyncua import ua
from asyncua.client.ua_session import UaSession

from vigia.edge.sources.opcua import units, values
from vigia.sparkplug.datatypes import DataType

Asked = TypeVar("Asked")
Told = TypeVar("Told")

MOST_AT_ONCE = 500
NO_SUCH_NODE = "the server has no such node"
_ATTRIBUTES: Final = (
    ua.AttributeIds.NodeClass,
    ua.AttributeIds.Value,
    ua.AttributeIds.DataType,
    ua.AttributeIds.ValueRank,
    ua.AttributeIds.UserAccessLevel,
    ua.AttributeIds.Description,
)
_PROPERTIES: Final = ("EURange", "EngineeringUnits")
_READ: Final = 1 << ua.AccessLevel.CurrentRead
_HISTORY: Final = 1 << ua.AccessLevel.HistoryRead
_SUPERTYPES: Final = 16
_LIMITS: Final = {
    "read": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
    "browse": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
    "translate": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds,
    "monitor": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
    "items": ua.ObjectIds.Server_ServerCapabilities_MaxMonitoredItemsPerSubscription,
}


@dataclass(frozen=True)
class Limits:
    """How much a server takes at once, where it says so."""

    read: int = MOST_AT_ONCE
    browse: int = MOST_AT_ONCE
    translate: int = MOST_AT_ONCE
    monitor: int = MOST_AT_ONCE
    items: int = MOST_AT_ONCE


@dataclass(frozen=True)
class Wanted:
    """A node to describe; `index` is the element wanted of an array."""

    node_id: ua.NodeId
    index: int | None = None


@dataclass(frozen=True)
class Described:
    """A variable. `problem` says why it cannot be read, "" when it can; `keeps_history`: the server has a record of it."""

    node_id: ua.NodeId
    datatype: DataType = DataType.DOUBLE
    value: ua.DataValue = field(default_factory=ua.DataValue)
    keeps_history: bool = False
    unit: str | None = None
    unit_name: str = ""
    low: float | None = None
    high: float | None = None
    documentation: str = ""
    problem: str = ""


async def in_parts(asked: Sequence[Asked], size: int, ask: Callable[[list[Asked]], Awaitable[Sequence[Told] | None]]) -> list[Told]:
    """The answers to `asked`, put `size` at once."""
    told: list[Told] = []
    for start in range(0, len(asked), size):
        told += await ask(list(asked[start : start + size])) or ()
    return told


async def read_limits(session: UaSession) -> Limits:
    """The limits that the server states; one that it does not state, or states as unlimited, is MOST_AT_ONCE."""
    found = await session.read_attributes([ua.NodeId(number) for number in _LIMITS.values()], ua.AttributeIds.Value)
    said = {
        name: data.Value.Value
        for name, data in zip(_LIMITS, found, strict=True)
        if data.Value is not None and isinstance(data.Value.Value, int) and data.Value.Value > 0
    }
    return Limits(**{name: min(value, MOST_AT_ONCE) for name, value in said.items()})


async def read_namespaces(session: UaSession) -> list[str]:
    """The URIs of the server's namespaces, by their index now."""
    (found,) = await session.read_attributes([ua.NodeId(ua.ObjectIds.Server_NamespaceArray)], ua.AttributeIds.Value)
    said = None if found.Value is None else found.Value.Value
    return [str(uri) for uri in said] if isinstance(said, list) else []


async def describe(session: UaSession, limits: Limits, wanted: Sequence[Wanted]) -> list[Described]:
    """What the server says about each."""
    attributes = [(one.node_id, attribute) for one in wanted for attribute in _ATTRIBUTES]
    told = await read_each(session, limits, attributes)
    size = len(_ATTRIBUTES)
    variables = []
    for at, one in enumerate(wanted):
        said = dict(zip(_ATTRIBUTES, told[at * size : (at + 1) * size], strict=True))
        variables.append(await _variable(session, one, said))
    return await _with_properties(session, limits, variables)


async def read_each(session: UaSession, limits: Limits, asked: Sequence[tuple[ua.NodeId, ua.AttributeIds]]) -> list[ua.DataValue]:
    """The values of attributes, in their order."""

    async def ask(part: list[tuple[ua.NodeId, ua.AttributeIds]]) -> list[ua.DataValue]:
        parameters = ua.ReadParameters(TimestampsToReturn=ua.TimestampsToReturn.Both)
        parameters.NodesToRead = [ua.ReadValueId(NodeId=node_id, AttributeId=attribute) for node_id, attribute in part]
        told: list[ua.DataValue] = await session.read(parameters)
        return told

    return await in_parts(asked, limits.read, ask)


async def _variable(session: UaSession, wanted: Wanted, said: dict[ua.AttributeIds, ua.DataValue]) -> Described:
    problem = _problem(wanted, said)
    if problem:
        return Described(wanted.node_id, problem=problem)
    value = said[ua.AttributeIds.Value]
    datatype = await _datatype(session, value, _plain(said[ua.AttributeIds.DataType]))
    if datatype is None:
        return Described(wanted.node_id, problem="values of the node's type cannot be a point")
    access = _plain(said[ua.AttributeIds.UserAccessLevel])
    keeps_history = isinstance(access, int) and bool(access & _HISTORY)
    text = _plain(said[ua.AttributeIds.Description])
    documentation = text.Text or "" if isinstance(text, ua.LocalizedText) else ""
    return Described(wanted.node_id, datatype, value, keeps_history, documentation=documentation)


def _problem(wanted: Wanted, said: dict[ua.AttributeIds, ua.DataValue]) -> str:
    """Why the node cannot be read as a point, "" when it can."""
    node_class, value = said[ua.AttributeIds.NodeClass], said[ua.AttributeIds.Value]
    missing = node_class.StatusCode is not None and not node_class.StatusCode.is_good()
    # A server may know the node and say so of what it stands for.
    if missing or (value.StatusCode is not None and value.StatusCode.value in values.NO_NODE):
        return NO_SUCH_NODE
    if _plain(node_class) != ua.NodeClass.Variable:
        return "the node is no variable"
    access = _plain(said[ua.AttributeIds.UserAccessLevel])
    if isinstance(access, int) and not access & _READ:
        return "the user may not read the node"
    rank = _plain(said[ua.AttributeIds.ValueRank])
    array = values.is_array(rank if isinstance(rank, int) else 0, _plain(value))
    if array != (wanted.index is not None):
        return "the node is an array; name one element with index" if array else "the node is no array; remove index"
    return ""


async def _datatype(session: UaSession, value: ua.DataValue, declared: object) -> DataType | None:
    """By the value that is there, or else by the declared type and those that it is derived from."""
    if value.Value is not None and value.Value.VariantType not in (ua.VariantType.Null, ua.VariantType.ExtensionObject):
        return values.datatype_of_variant(value.Value.VariantType)
    for _ in range(_SUPERTYPES):
        if not isinstance(declared, ua.NodeId):
            break
        if declared.NamespaceIndex == 0 and isinstance(declared.Identifier, int):
            found = values.datatype_of_standard(declared.Identifier)
            if found is not None or declared.Identifier <= max(ua.VariantType):
                return found
        declared = await _supertype(session, declared)
    return None


async def _supertype(session: UaSession, node_id: ua.NodeId) -> ua.NodeId | None:
    wanted = ua.BrowseDescription(
        NodeId=node_id,
        BrowseDirection=ua.BrowseDirection.Inverse,
        ReferenceTypeId=ua.NodeId(ua.ObjectIds.HasSubtype),
        IncludeSubtypes=True,
        NodeClassMask=0,
        ResultMask=ua.BrowseResultMask.None_,
    )
    (found,) = await session.browse(ua.BrowseParameters(NodesToBrowse=[wanted]))
    return found.References[0].NodeId if found.References else None


async def _with_properties(session: UaSession, limits: Limits, variables: Sequence[Described]) -> list[Described]:
    """Add range and unit, where the server has them."""
    paths = [_path(one.node_id, name) for one in variables for name in _PROPERTIES if not one.problem]
    translated = await in_parts(paths, limits.translate, session.translate_browsepaths_to_nodeids)
    nodes = [result.Targets[0].TargetId if result.Targets else None for result in translated]
    told = iter(await read_each(session, limits, [(node, ua.AttributeIds.Value) for node in nodes if node is not None]))
    properties = iter([None if node is None else _plain(next(told)) for node in nodes])
    return [one if one.problem else _scaled(one, next(properties), next(properties)) for one in variables]


def _path(node_id: ua.NodeId, name: str) -> ua.BrowsePath:
    step = ua.RelativePathElement(
        ReferenceTypeId=ua.NodeId(ua.ObjectIds.HasProperty), IsInverse=False, IncludeSubtypes=True, TargetName=ua.QualifiedName(name, 0)
    )
    return ua.BrowsePath(StartingNode=node_id, RelativePath=ua.RelativePath(Elements=[step]))


def _scaled(one: Described, span: object, unit: object) -> Described:
    low, high = (span.Low, span.High) if isinstance(span, ua.Range) and span.Low < span.High else (None, None)
    code, name = None, ""
    if isinstance(unit, ua.EUInformation):
        name = (unit.DisplayName.Text if isinstance(unit.DisplayName, ua.LocalizedText) else "") or ""
        code = units.ucum(unit.NamespaceUri, unit.UnitId, name)
    return Described(one.node_id, one.datatype, one.value, one.keeps_history, code, name, low, high, one.documentation)


def _plain(data: ua.DataValue) -> object:
    return None if data.Value is None else data.Value.Value
