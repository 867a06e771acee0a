"""The shape that Sparkplug B demands of data sets and templates, the metrics that hold more than one value."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from vigia.sparkplug import PayloadError
from vigia.sparkplug.datatypes import DataType

# The classes of these messages are built at run time, hence Any.


def _check_data_set(message: Any) -> None:  # noqa: ANN401
    columns = message.num_of_columns
    for what, count in (("headers", len(message.columns)), ("types", len(message.types))):
        if count != columns:
            raise PayloadError(f"a data set of {columns} columns has {count} {what}")
    for kind in message.types:
        _check_basic("a column", kind)
    for row in message.rows:
        if len(row.elements) != columns:
            raise PayloadError(f"a data set of {columns} columns has a row of {len(row.elements)} values")


def _check_template(message: Any) -> None:  # noqa: ANN401
    if not message.HasField("is_definition"):
        raise PayloadError("a template does not say whether it is a definition")
    if message.is_definition and message.HasField("template_ref"):
        raise PayloadError("a template's definition refers to another template")
    if not message.is_definition and not message.template_ref:
        raise PayloadError("a template's instance does not say of which template")
    for parameter in message.parameters:
        if not parameter.name:
            raise PayloadError("a template's parameter has no name")
        _check_basic(f"the parameter {parameter.name!r}", parameter.type)


def _check_basic(what: str, kind: int) -> None:
    if not DataType.INT8 <= kind <= DataType.TEXT:
        raise PayloadError(f"{what} has data type {kind}, which is none of the basic ones")


CHECKS: Mapping[str, Callable[[Any], None]] = MappingProxyType({"dataset_value": _check_data_set, "template_value": _check_template})
"""By the field that holds such a value; each raises PayloadError with what is wrong."""
