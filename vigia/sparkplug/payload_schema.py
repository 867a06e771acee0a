"""The protobuf messages of Sparkplug B, built at import: no generated file, no compiler.

Field numbers and labels are those of the public `sparkplug_b.proto` (proto2). Fields marked `oneof` form their message's oneof `value`.
Extension ranges are left out: unknown fields survive decoding anyway.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

_PACKAGE = "vigia.sparkplug_b"
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bool": _Field.TYPE_BOOL,
    "bytes": _Field.TYPE_BYTES,
    "double": _Field.TYPE_DOUBLE,
    "float": _Field.TYPE_FLOAT,
    "string": _Field.TYPE_STRING,
    "uint32": _Field.TYPE_UINT32,
    "uint64": _Field.TYPE_UINT64,
}

# One line per field: [repeated|oneof] type name number. A type that is no scalar is a message below.
_MESSAGES = {
    "Payload": """
        uint64 timestamp 1; repeated Metric metrics 2; uint64 seq 3; string uuid 4; bytes body 5
    """,
    "Metric": """
        string name 1; uint64 alias 2; uint64 timestamp 3; uint32 datatype 4; bool is_historical 5; bool is_transient 6; bool is_null 7;
        MetaData metadata 8; PropertySet properties 9; oneof uint32 int_value 10; oneof uint64 long_value 11; oneof float float_value 12;
        oneof double double_value 13; oneof bool boolean_value 14; oneof string string_value 15; oneof bytes bytes_value 16;
        oneof DataSet dataset_value 17; oneof Template template_value 18; oneof Extension extension_value 19
    """,
    "MetaData": """
        bool is_multi_part 1; string content_type 2; uint64 size 3; uint64 seq 4; string file_name 5; string file_type 6; string md5 7;
        string description 8
    """,
    "PropertySet": "repeated string keys 1; repeated PropertyValue values 2",
    "PropertySetList": "repeated PropertySet propertyset 1",
    "PropertyValue": """
        uint32 type 1; bool is_null 2; oneof uint32 int_value 3; oneof uint64 long_value 4; oneof float float_value 5;
        oneof double double_value 6; oneof bool boolean_value 7; oneof string string_value 8; oneof PropertySet propertyset_value 9;
        oneof PropertySetList propertysets_value 10; oneof Extension extension_value 11
    """,
    "DataSet": "uint64 num_of_columns 1; repeated string columns 2; repeated uint32 types 3; repeated Row rows 4",
    "Row": "repeated DataSetValue elements 1",
    "DataSetValue": """
        oneof uint32 int_value 1; oneof uint64 long_value 2; oneof float float_value 3; oneof double double_value 4;
        oneof bool boolean_value 5; oneof string string_value 6; oneof Extension extension_value 7
    """,
    "Template": """
        string version 1; repeated Metric metrics 2; repeated Parameter parameters 3; string template_ref 4; bool is_definition 5
    """,
    "Parameter": """
        string name 1; uint32 type 2; oneof uint32 int_value 3; oneof uint64 long_value 4; oneof float float_value 5;
        oneof double double_value 6; oneof bool boolean_value 7; oneof string string_value 8; oneof Extension extension_value 9
    """,
    "Extension": "",
}


def _add_field(message: descriptor_pb2.DescriptorProto, line: str) -> None:
    *label, kind, name, number = line.split()
    field = message.field.add(name=name, number=int(number), label=_Field.LABEL_OPTIONAL)
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{kind}"
    if label == ["repeated"]:
        field.label = _Field.LABEL_REPEATED
    elif label == ["oneof"]:
        if not message.oneof_decl:
            message.oneof_decl.add(name="value")
        field.oneof_index = 0


def _build() -> dict[str, type[Message]]:
    file = descriptor_pb2.FileDescriptorProto(name="vigia/sparkplug_b", package=_PACKAGE, syntax="proto2")
    for name, body in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for line in body.split(";"):
            if line.strip():
                _add_field(message, line)
    # A pool of its own: another library in the process may register Sparkplug messages too.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES}


CLASSES = _build()
PayloadMessage = CLASSES["Payload"]
DataSetMessage = CLASSES["DataSet"]
TemplateMessage = CLASSES["Template"]
