"""Node ids with the namespace's URI: its index may be another one after the server's next start, its URI stays."""

import base64
import binascii
import re
import uuid
from collections.abc import Sequence
from urllib.parse import unquote

from asyncua import ua

_FORM = re.compile(r"(?:nsu=(?P<uri>[^;]+);)?(?P<kind>[isgb])=(?P<name>.+)", re.DOTALL)
_LARGEST_NUMBER = 0xFFFF_FFFF
STANDARD = "http://opcfoundation.org/UA/"


class UnknownNamespaceError(ValueError):
    """The server has no namespace of this URI."""


def check_node_id(text: str) -> str:
    """`text` if it is a node id; else ValueError saying what to write."""
    _parts(text)
    return text


def resolve(text: str, namespaces: Sequence[str]) -> ua.NodeId:
    """The node id `text` for a server with these namespaces, by index. Raises UnknownNamespaceError."""
    uri, kind, name = _parts(text)
    if uri not in namespaces:
        raise UnknownNamespaceError(f"the server has no namespace {uri}")
    index = namespaces.index(uri)
    match kind:
        case "i":
            return ua.NodeId(int(name), index, ua.NodeIdType.Numeric)
        case "g":
            return ua.NodeId(uuid.UUID(name), index, ua.NodeIdType.Guid)
        case "b":
            return ua.NodeId(base64.b64decode(name), index, ua.NodeIdType.ByteString)
        case _:
            return ua.NodeId(name, index, ua.NodeIdType.String)


def write_node_id(node_id: ua.NodeId, namespaces: Sequence[str]) -> str:
    """`node_id` of a server with these namespaces as text that `resolve` reads."""
    name = node_id.Identifier
    match name:
        case int():
            text = f"i={int(name)}"
        case bytes():
            text = f"b={base64.b64encode(name).decode()}"
        case uuid.UUID():
            text = f"g={name}"
        case _:
            text = f"s={name}"
    if node_id.NamespaceIndex == 0:
        return text
    uri = namespaces[node_id.NamespaceIndex].replace("%", "%25").replace(";", "%3B")
    return f"nsu={uri};{text}"


def _parts(text: str) -> tuple[str, str, str]:
    """Namespace URI, kind of the name, name."""
    if text.startswith("ns="):
        raise ValueError("write nsu=<namespace URI>;... instead of ns=: the index may change when the server starts again")
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValueError('write "nsu=<namespace URI>;s=<name>", or i=, g=, b= instead of s=')
    uri, kind, name = form["uri"], form["kind"], form["name"]
    try:
        _check_name(kind, name)
    except (ValueError, binascii.Error) as error:
        raise ValueError(f"{text[:80]!r} is no node id: {error}") from None
    return (STANDARD if uri is None else unquote(uri)), kind, name


def _check_name(kind: str, name: str) -> None:
    if kind == "i" and not (name.isascii() and name.isdigit() and int(name) <= _LARGEST_NUMBER):
        raise ValueError(f"{name[:40]!r} is no number from 0 to {_LARGEST_NUMBER}")
    if kind == "g":
        uuid.UUID(name)
    if kind == "b":
        base64.b64decode(name, validate=True)
