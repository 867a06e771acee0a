"""Writing a variable and calling a method, as a command wants it: once, with the type that the server has there."""

import uuid

from asyncua import ua
from asyncua.client.ua_session import UaSession

from vigia.edge.samples import Point, Value
from vigia.edge.sources import CommandRefusedError
from vigia.edge.sources.opcua.config import MethodConfig
from vigia.edge.sources.opcua.items import Item
from vigia.edge.sources.opcua.node_ids import UnknownNamespaceError, resolve
from vigia.edge.sources.opcua.values import datatype_of_variant, from_us
from vigia.sparkplug.datatypes import DataType


def method_point(method: MethodConfig) -> Point:
    """What is announced of a method: its argument or, when it takes none, a switch that calls it."""
    kind = ua.VariantType.Boolean if method.argument is None else ua.VariantType[method.argument]
    datatype = datatype_of_variant(kind) or DataType.BOOLEAN
    return Point(method.name, datatype, method.unit, kind="setting", documentation=method.documentation)


async def write_value(session: UaSession, item: Item, value: Value) -> None:
    """Write the variable of `item`. Raises CommandRefusedError when the server says no."""
    if item.described is None or item.problem:
        raise CommandRefusedError(f"{item.name} cannot be written: {item.problem or 'the server has not told of it yet'}")
    told = item.described.value.Value
    kind = _kind(item.described.datatype) if told is None or told.VariantType == ua.VariantType.Null else told.VariantType
    # The value alone: many servers refuse to be told a time or a status.
    wanted = ua.WriteValue(
        NodeId=item.described.node_id, AttributeId=ua.AttributeIds.Value, Value=ua.DataValue(Value=ua.Variant(_raw(kind, value), kind))
    )
    (status,) = await session.write(ua.WriteParameters(NodesToWrite=[wanted]))
    _check(status)


async def call_method(session: UaSession, namespaces: list[str], method: MethodConfig, value: Value) -> None:
    """Call `method`, with `value` if it takes an argument. Raises CommandRefusedError when the server, or the method, says no."""
    try:
        owner, node = resolve(method.object, namespaces), resolve(method.node, namespaces)
    except UnknownNamespaceError as error:
        raise CommandRefusedError(str(error)) from None
    arguments = []
    if method.argument is not None:
        kind = ua.VariantType[method.argument]
        arguments.append(ua.Variant(_raw(kind, value), kind))
    elif value is not True:
        raise CommandRefusedError(f"method {method.name} takes no argument; write true to call it")
    (result,) = await session.call([ua.CallMethodRequest(ObjectId=owner, MethodId=node, InputArguments=arguments)])
    _check(result.StatusCode)


def _check(status: ua.StatusCode) -> None:
    if status.is_bad():
        raise CommandRefusedError(f"the server refuses: {status.name} (0x{status.value:08X})")


def _kind(datatype: DataType) -> ua.VariantType:
    """The type of the values of a variable that has none yet."""
    return next((kind for kind in ua.VariantType if datatype_of_variant(kind) is datatype), ua.VariantType.Double)


def _raw(kind: ua.VariantType, value: Value) -> object:
    """`value` as the library writes `kind`. Raises CommandRefusedError when it cannot."""
    try:
        match kind:
            case ua.VariantType.DateTime:
                return from_us(int(value) * 1000)
            case ua.VariantType.Guid:
                return uuid.UUID(str(value))
            case ua.VariantType.LocalizedText:
                return ua.LocalizedText(str(value))
            case ua.VariantType.StatusCode | ua.VariantType.QualifiedName:
                raise CommandRefusedError(f"a {kind.name} cannot be written")
    except (ValueError, OverflowError):
        raise CommandRefusedError(f"{value!r:.40} is no {kind.name}") from None
    return value
