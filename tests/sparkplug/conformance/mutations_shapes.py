"""Seeded violations in property sets, data sets and templates, in the transcript that has them all."""

from collections.abc import Callable
from typing import Any

from conformance.mutating import Mutation, named, payload
from conformance.reading import Message
from conformance.rich import INSTANCE, TABLE, TEMPLATE, scripted
from vigia.sparkplug.datatypes import DataType

Edit = Callable[[Any], object]


def _in_birth(name: str, edit: Edit, *breaks: str) -> Mutation:
    return Mutation(name, "edge", breaks, payload("DBIRTH", edit, where=scripted))


def _in_definition(name: str, edit: Edit, *breaks: str) -> Mutation:
    return Mutation(name, "edge", breaks, payload("NBIRTH", lambda one: edit(named(one, TEMPLATE).template_value), where=scripted))


def _in_instance(name: str, edit: Edit, *breaks: str) -> Mutation:
    return _in_birth(name, lambda one: edit(named(one, INSTANCE).template_value), *breaks)


def _in_table(name: str, edit: Edit, *breaks: str) -> Mutation:
    return _in_birth(name, lambda one: edit(named(one, TABLE).dataset_value), *breaks)


def _fixed(field: int) -> Edit:
    """The field of that number comes once more, as four bytes, which is not its type."""
    return lambda one: one.MergeFromString(bytes((field << 3 | 5, 0, 0, 0, 0)))


def _properties(one: Any) -> Any:  # noqa: ANN401
    return named(one, "DOUBLE").properties


def _bad(message: Message) -> bool:
    return scripted(message) and any(metric.HasField("properties") for metric in message.payload.metrics)


def _quality(name: str, edit: Edit, *breaks: str) -> Mutation:
    return Mutation(name, "edge", breaks, payload("DDATA", lambda one: edit(one.metrics[0].properties.values[0]), where=_bad))


def _clear(field: str) -> Edit:
    return lambda one: one.ClearField(field)


def _delete(items: str) -> Edit:
    return lambda one: getattr(one, items).__delitem__(0)


def _add_member(one: Any) -> None:  # noqa: ANN401
    one.metrics.add(name="colour", datatype=DataType.STRING, string_value="red")


def _add_parameter(one: Any) -> None:  # noqa: ANN401
    one.parameters.add(name="colour", type=DataType.STRING, string_value="red")


def _set(**changed: object) -> Edit:
    def edit(one: Any) -> None:  # noqa: ANN401
        for field, value in changed.items():
            setattr(one, field, value)

    return edit


def _define_again(one: Any) -> None:  # noqa: ANN401
    one.ClearField("template_ref")
    one.is_definition = True


ALL = [
    _in_birth("a key too many", lambda one: _properties(one).keys.append("x"), "payloads-propertyset-keys-array-size"),
    _in_birth("a value too many", lambda one: _properties(one).values.add(type=3, int_value=1), "payloads-propertyset-values-array-size"),
    _in_birth(
        "an unknown property type", lambda one: _set(type=99)(_properties(one).values[0]), "payloads-metric-propertyvalue-type-value"
    ),
    _in_birth(
        "a property without a type", lambda one: _clear("type")(_properties(one).values[0]), "payloads-metric-propertyvalue-type-req"
    ),
    _quality("a Quality that is an Int64", _set(type=DataType.INT64), "payloads-propertyset-quality-value-type"),
    _quality("a Quality of 64", _set(int_value=64), "payloads-propertyset-quality-value-value"),
    _quality("a Quality that is text", _set(string_value="bad"), "payloads-propertyset-quality-value-value"),
    _in_birth(
        "a property's type of four bytes", lambda one: _fixed(1)(_properties(one).values[0]), "payloads-metric-propertyvalue-type-type"
    ),
    _in_birth("a metric's type of four bytes", lambda one: _fixed(4)(one.metrics[0]), "payloads-metric-datatype-value-type"),
    _in_table("a column's type of four bytes", _fixed(3), "payloads-dataset-types-def", "payloads-dataset-types-type"),
    _in_instance("a version of four bytes", _fixed(1), "payloads-template-version"),
    _in_instance("a parameter's name of four bytes", lambda one: _fixed(1)(one.parameters[0]), "payloads-template-parameter-name-type"),
    _in_instance("a parameter's type of four bytes", lambda one: _fixed(2)(one.parameters[0]), "payloads-template-parameter-value-type"),
    _in_table("a data set counts wrong", _set(num_of_columns=3), "payloads-dataset-column-size"),
    _in_table("a data set does not count", _clear("num_of_columns"), "payloads-dataset-column-size"),
    _in_table("a column without a header", _delete("columns"), "payloads-dataset-column-num-headers", "payloads-dataset-types-num"),
    _in_table("a column without a type", _delete("types"), "payloads-dataset-types-num"),
    _in_table("a data set without types", _clear("types"), "payloads-dataset-parameter-type-req"),
    _in_table("a column of templates", lambda one: one.types.__setitem__(0, DataType.TEMPLATE), "payloads-dataset-types-value"),
    _in_table(
        "a value of an extension", lambda one: one.rows[0].elements[0].extension_value.SetInParent(), "payloads-template-dataset-value"
    ),
    Mutation(
        "a definition in a DBIRTH",
        "edge",
        ("payloads-template-definition-nbirth-only",),
        payload("DBIRTH", lambda one: _define_again(named(one, INSTANCE).template_value), where=scripted),
    ),
    _in_definition(
        "a definition that says it is none",
        _set(is_definition=False),
        "payloads-template-definition-is-definition",
        "payloads-template-is-definition-definition",
    ),
    _in_definition(
        "a definition with a reference",
        _set(template_ref="Machine"),
        "payloads-template-definition-ref",
        "payloads-template-ref-definition",
    ),
    _in_definition(
        "a definition without a member", _delete("metrics"), "payloads-template-definition-members", "payloads-template-instance-members"
    ),
    _in_definition("a definition without a parameter", _delete("parameters"), "payloads-template-definition-parameters"),
    _in_definition("a template that does not say what it is", _clear("is_definition"), "payloads-template-is-definition"),
    Mutation(
        "a template that is not defined",
        "edge",
        ("payloads-template-definition-nbirth", "topics-nbirth-templates"),
        payload("NBIRTH", lambda one: _set(name="Fan")(named(one, TEMPLATE)), where=scripted),
    ),
    _in_instance(
        "an instance that says it defines",
        _set(is_definition=True),
        "payloads-template-instance-is-definition",
        "payloads-template-is-definition-instance",
    ),
    _in_instance("an instance of nothing", _clear("template_ref"), "payloads-template-instance-ref", "payloads-template-ref-instance"),
    _in_instance(
        "an instance with another member", _add_member, "payloads-template-instance-members", "payloads-template-definition-members"
    ),
    _in_instance("an instance with another parameter", _add_parameter, "payloads-template-definition-parameters"),
    _in_instance("an instance that is born in part", _delete("metrics"), "payloads-template-instance-members-birth"),
    _in_instance("a parameter without a name", lambda one: _clear("name")(one.parameters[0]), "payloads-template-parameter-name-required"),
    _in_instance(
        "a parameter of data sets", lambda one: _set(type=DataType.DATA_SET)(one.parameters[0]), "payloads-template-parameter-type-value"
    ),
    _in_instance("a parameter without a type", lambda one: _clear("type")(one.parameters[0]), "payloads-template-parameter-type-req"),
    _in_instance(
        "a parameter that is an extension", lambda one: one.parameters[0].extension_value.SetInParent(), "payloads-template-parameter-value"
    ),
]
