"""A gateway's file that names its identity: who it is and where its broker is need not be written again."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vigia.edge import EdgeError
from vigia.errors import ConfigError

if TYPE_CHECKING:
    from vigia.edge.identity import Identity


def with_identity(path: Path, tables: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The tables of the file `path` with what the identity in `folder` adds: the broker, the credentials, the node's name.

    What is malformed stays as it is, to be told when the file is checked as a whole. Raises ConfigError when there is no identity, or the
    file says something else.
    """
    try:
        from vigia.edge.identity import load  # noqa: PLC0415 - a gateway without an identity needs no library for one

        identity = load(folder)
        broker, nodes = tables.get("broker", {}), tables.get("node", [])
        return {
            **tables,
            "broker": _broker(broker, identity) if isinstance(broker, dict) else broker,
            "node": _nodes(nodes, identity) if isinstance(nodes, list) else nodes,
        }
    except ModuleNotFoundError as error:
        raise ConfigError(f"{path}: an identity needs {error.name}, which is not installed; install vigia[edge]") from None
    except EdgeError as error:
        raise ConfigError(f"{path}: {error}") from None


def _broker(said: Mapping[str, Any], identity: "Identity") -> dict[str, Any]:
    broker = dict(said)
    if not broker.get("url") and not broker.get("servers"):
        if identity.broker is None:
            raise EdgeError("broker.url is missing, and the server named no broker when the gateway was enrolled; add it")
        broker["url"] = identity.broker
    for key, file in (("ca", identity.broker_ca), ("cert", identity.credentials), ("key", identity.credentials)):
        if file is None:
            continue
        if key in broker:
            raise EdgeError(f"broker.{key} is the identity's; remove it")
        broker[key] = file
    return broker


def _nodes(said: list[Any], identity: "Identity") -> list[Any]:
    if len(said) > 1:
        raise EdgeError("an identity is one node's; run a gateway of its own, with its own identity, for each")
    own = {"group_id": identity.group_id, "node_id": identity.node_id}
    for node in said:
        if isinstance(node, dict) and {**own, **node} != {**node, **own}:
            raise EdgeError(f"the identity is {identity.group_id}/{identity.node_id}, the node another; remove its group_id and node_id")
    return [{**own, **node} if isinstance(node, dict) else node for node in said]
