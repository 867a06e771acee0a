"""Edge node: property sets, data sets and templates."""

from collections.abc import Iterator
from typing import Any

from conformance.checks import check
from conformance.edge_metrics import label, metrics
from conformance.edge_topics import is_typed
from conformance.reading import Message, Reading, Said
from vigia.sparkplug.datatypes import DataType

ALL = ("NBIRTH", "DBIRTH", "NDATA", "DDATA")
BIRTHS = ("NBIRTH", "DBIRTH")
DATA = ("NDATA", "DDATA")
BASIC = range(DataType.INT8, DataType.TEXT + 1)
OF_PROPERTIES = (*BASIC, DataType.UUID, DataType.PROPERTY_SET, DataType.PROPERTY_SET_LIST)
GOOD_VALUES = ("int_value", "long_value", "float_value", "double_value", "boolean_value", "string_value")
QUALITIES = (0, 192, 500)


def _sets(raw: Any) -> Iterator[Any]:  # noqa: ANN401 - protobuf classes are built at run time
    """A property set and those within."""
    yield raw
    for one in raw.values:
        if one.WhichOneof("value") == "propertyset_value":
            yield from _sets(one.propertyset_value)
        elif one.WhichOneof("value") == "propertysets_value":
            for inner in one.propertysets_value.propertyset:
                yield from _sets(inner)


def _property_sets(reading: Reading, kinds: tuple[str, ...] = ALL) -> Iterator[tuple[Message, str, Any]]:
    for _, message, one in metrics(reading, *kinds):
        if one.HasField("properties"):
            for found in _sets(one.properties):
                yield message, label(one), found


@check
def property_sets_are_square(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, found in _property_sets(reading):
        yield len(found.keys) == len(found.values), f"{message}: {name} has {len(found.keys)} keys and {len(found.values)} values"


@check
def property_types_are_uint32(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, found in _property_sets(reading):
        told = all(one.HasField("type") for one in found.values)
        yield told and is_typed(message.publish.payload), f"{message}: {name} has a property type that is no unsigned 32-bit integer"


@check
def property_types_are_known(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, found in _property_sets(reading):
        for one in found.values:
            yield one.type in OF_PROPERTIES, f"{message}: {name} has a property of type {one.type}"


@check
def births_have_property_types(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, found in _property_sets(reading, BIRTHS):
        for one in found.values:
            yield one.HasField("type"), f"{message}: {name} has a property without a type"


def _qualities(reading: Reading) -> Iterator[tuple[Message, str, Any]]:
    for message, name, found in _property_sets(reading):
        for key, one in zip(found.keys, found.values, strict=False):
            if key == "Quality":
                yield message, name, one


@check
def quality_is_int32(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, one in _qualities(reading):
        yield one.type == DataType.INT32, f"{message}: the Quality of {name} has type {one.type}"


@check
def quality_is_known(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, one in _qualities(reading):
        yield one.WhichOneof("value") == "int_value" and one.int_value in QUALITIES, f"{message}: the Quality of {name}"


# ── data sets ──


def _data_sets(reading: Reading) -> Iterator[tuple[Message, str, Any]]:
    for _, message, one in metrics(reading, *ALL):
        if one.WhichOneof("value") == "dataset_value":
            yield message, label(one), one.dataset_value


@check
def data_sets_count_their_columns(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, found in _data_sets(reading):
        yield found.HasField("num_of_columns") and found.num_of_columns == len(found.columns), f"{message}: {name} counts its columns"


@check
def data_sets_have_a_type_a_column(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, found in _data_sets(reading):
        yield len(found.columns) == len(found.types), f"{message}: {name} has {len(found.columns)} headers, {len(found.types)} types"


@check
def data_sets_have_types(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, found in _data_sets(reading):
        yield bool(found.types) or not found.columns, f"{message}: {name} has no types"


@check
def data_set_types_are_uint32(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, _ in _data_sets(reading):
        yield is_typed(message.publish.payload), f"{message}: {name} has a field of another type"


@check
def data_set_types_are_basic(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, found in _data_sets(reading):
        for kind in found.types:
            yield kind in BASIC, f"{message}: {name} has a column of type {kind}"


@check
def data_set_values_are_plain(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, found in _data_sets(reading):
        for row in found.rows:
            for one in row.elements:
                yield one.WhichOneof("value") in GOOD_VALUES, f"{message}: {name} has a value {one.WhichOneof('value')}"


# ── templates ──


def _templates(reading: Reading, kinds: tuple[str, ...] = ALL) -> Iterator[tuple[Message, str, Any]]:
    for _, message, one in metrics(reading, *kinds):
        if one.WhichOneof("value") == "template_value":
            yield message, one.name, one.template_value


def _definitions(reading: Reading, kinds: tuple[str, ...] = ALL) -> Iterator[tuple[Message, str, Any]]:
    """A template that refers to none, whatever it says of itself."""
    return (
        (message, name, one) for message, name, one in _templates(reading, kinds) if one.is_definition or not one.HasField("template_ref")
    )


def _instances(reading: Reading, kinds: tuple[str, ...] = ALL) -> Iterator[tuple[Message, str, Any]]:
    return (
        (message, name, one) for message, name, one in _templates(reading, kinds) if one.HasField("template_ref") or not one.is_definition
    )


def _defined(reading: Reading, message: Message) -> dict[str, Any]:
    """The definitions in the NBIRTH that the message follows, or is."""
    for line in reading.lines:
        if message in line.said:
            births = [birth for birth in line.of("NBIRTH") if birth.index <= message.index]
            known = births[-1].payload.metrics if births else ()
            return {
                one.name: one.template_value
                for one in known
                if one.WhichOneof("value") == "template_value" and one.template_value.is_definition
            }
    return {}


def _instances_with_definition(reading: Reading, kinds: tuple[str, ...] = ALL) -> Iterator[tuple[Message, str, Any, Any]]:
    for message, name, one in _instances(reading, kinds):
        yield message, name, one, _defined(reading, message).get(one.template_ref)


@check
def templates_are_defined_in_nbirth(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, one, definition in _instances_with_definition(reading):
        yield definition is not None, f"{message}: {name} is a {one.template_ref!r}, which was not defined"


@check
def definitions_are_in_nbirth_only(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, one in _templates(reading):
        if one.is_definition:
            yield message.kind == "NBIRTH", f"{message}: the definition of {name}"


@check
def definitions_say_so(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, one in _definitions(reading):
        if not one.HasField("template_ref"):
            yield one.HasField("is_definition") and one.is_definition, f"{message}: {name} refers to no template and is no definition"


@check
def definitions_refer_to_none(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, one in _definitions(reading):
        if one.is_definition:
            yield not one.HasField("template_ref"), f"{message}: the definition of {name} refers to {one.template_ref!r}"


@check
def instances_have_defined_members_only(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, one, definition in _instances_with_definition(reading):
        members = set() if definition is None else {member.name for member in definition.metrics}
        yield {member.name for member in one.metrics} <= members, f"{message}: {name} has other members than its definition"


@check
def instances_have_defined_parameters_only(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, one, definition in _instances_with_definition(reading):
        parameters = set() if definition is None else {parameter.name for parameter in definition.parameters}
        yield {parameter.name for parameter in one.parameters} <= parameters, f"{message}: {name} has other parameters than its definition"


@check
def instances_say_so(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, one in _instances(reading):
        if one.HasField("template_ref"):
            yield one.HasField("is_definition") and not one.is_definition, f"{message}: {name} refers to a template and is a definition"


@check
def instances_refer_to_theirs(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, one in _instances(reading):
        if not one.is_definition:
            yield bool(one.template_ref) and isinstance(one.template_ref, str), f"{message}: {name} does not say what it is an instance of"


@check
def born_instances_are_whole(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, one, definition in _instances_with_definition(reading, BIRTHS):
        members = set() if definition is None else {member.name for member in definition.metrics}
        yield members <= {member.name for member in one.metrics}, f"{message}: {name} lacks members of its definition"


@check
def instances_may_be_partial(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, one, definition in _instances_with_definition(reading, DATA):
        if definition is not None and len(one.metrics) < len(definition.metrics):
            yield True, f"{message}: {name}"


@check
def parameters_may_have_values(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, one in _templates(reading):
        if any(parameter.WhichOneof("value") for parameter in one.parameters):
            yield True, f"{message}: {name}"


@check
def template_versions_are_text(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, one in _templates(reading):
        if one.HasField("version"):
            yield isinstance(one.version, str) and is_typed(message.publish.payload), f"{message}: the version of {name}"


@check
def templates_say_whether_they_define(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, one in _templates(reading):
        yield one.HasField("is_definition"), f"{message}: {name} does not say whether it is a definition"


def _parameters(reading: Reading, kinds: tuple[str, ...] = ALL) -> Iterator[tuple[Message, str, Any]]:
    for message, name, one in _templates(reading, kinds):
        for parameter in one.parameters:
            yield message, name, parameter


@check
def parameters_have_names(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, one in _parameters(reading):
        yield one.HasField("name") and bool(one.name), f"{message}: a parameter of {name} has no name"


@check
def parameter_fields_have_their_types(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, one in _parameters(reading):
        sound = isinstance(one.name, str) and is_typed(message.publish.payload)
        yield sound, f"{message}: a parameter of {name} has a field of another type"


@check
def parameter_types_are_basic(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, one in _parameters(reading):
        if one.HasField("type"):
            yield one.type in BASIC, f"{message}: a parameter of {name} has type {one.type}"


@check
def born_parameters_have_types(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, one in _parameters(reading, BIRTHS):
        yield one.HasField("type"), f"{message}: a parameter of {name} has no type"


@check
def parameter_values_are_plain(reading: Reading, _kinds: tuple[str, ...]) -> Said:
    for message, name, one in _parameters(reading):
        found = one.WhichOneof("value")
        yield found is None or found in GOOD_VALUES, f"{message}: a parameter of {name} has a value {found}"
