"""The configuration of the demo's gateways: one process, a node a site, each with its buffer below the home folder."""

import json
from collections.abc import Sequence
from pathlib import Path

from vigia.demo.places import Place, Role


def gateway_toml(roles: Sequence[Role], broker_url: str, home: Path, data: Path, logbook: Path) -> str:
    """The gateway's configuration file for the engines of `roles`, replayed from `data` as `logbook` lets time pass."""
    head = (
        f"# Written by `vigia demo` at every start; changes are lost.\n"
        f"[broker]\nurl = {_string(broker_url)}\n\n"
        f"[buffer]\nfolder = {_string(_folder(home))}\n"
    )
    nodes = [
        f"[[node]]\n"
        f"group_id = {_string(place.airline)}\n"
        f"node_id = {_string(place.code)}\n\n"
        f"[node.source]\n"
        f'type = "replay"\n'
        f"logbook = {_string(logbook)}\n"
        f"data = {_string(data)}\n"
        f"devices = [{', '.join(_string(role.device_id) for role in roles if role.place == place)}]\n"
        for place in _places(roles)
    ]
    return "\n".join([head, *nodes])


def buffer_files(roles: Sequence[Role], home: Path) -> list[Path]:
    """The gateways' buffers, in the order of their sites."""
    return [_folder(home) / f"{place.airline}.{place.code}.sqlite" for place in _places(roles)]


def _folder(home: Path) -> Path:
    return home / "edge"


def _places(roles: Sequence[Role]) -> list[Place]:
    return list(dict.fromkeys(role.place for role in roles))


def _string(value: str | Path) -> str:
    # A JSON string without escapes beyond ASCII is a TOML basic string.
    return json.dumps(str(value), ensure_ascii=False)
