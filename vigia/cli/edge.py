"""`vigia edge`: the gateway beside the machines."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vigia.cli import edge_check, loop, opcua
from vigia.cli.options import AsJson, Broker
from vigia.errors import ConfigError
from vigia.settings import load_settings

if TYPE_CHECKING:
    from types import ModuleType

    from vigia.edge.buffer import BufferStatus
    from vigia.edge.config import EdgeConfig

app = typer.Typer(no_args_is_help=True)
app.command()(opcua.browse)
app.add_typer(opcua.app, name="opcua", help="Certificates of gateway and OPC UA servers.")

Config = Annotated[Path, typer.Option("--config", help="Configuration file of the gateway (TOML).")]
Check = Annotated[
    bool,
    typer.Option("--check", help="Check the configuration and the buffer's folder, read each source once, print what it tells, and end."),
]
CheckAsJson = Annotated[bool, typer.Option("--json", help="With --check: print one JSON object instead of text.")]
Patience = Annotated[float, typer.Option(min=0.1, help="Seconds that --check waits for what the sources tell.")]


@app.command()
def run(config: Config, check: Check = False, patience: Patience = 10.0, as_json: CheckAsJson = False, broker: Broker = None) -> None:
    """Run the gateway until SIGTERM or Ctrl-C. Without broker or host it goes on storing."""
    from vigia.edge import agent
    from vigia.edge.config import is_managed

    url = broker or load_settings().broker
    if check:
        words, edge = _managed().check(config, url) if is_managed(config) else ("", _load(config, url))
        edge_check.check(words, edge, patience, as_json=as_json)
    elif is_managed(config):
        loop.run_until_stopped(_managed().run(config, url))
    else:
        loop.run_until_stopped(agent.run(_load(config, url)))


@app.command()
def enroll(
    server: Annotated[str, typer.Option(help="Address of the server, https://host or http://host:port.")],
    token: Annotated[str, typer.Option(help="The one-time token (env VIGIA_EDGE_TOKEN).", envvar="VIGIA_EDGE_TOKEN", show_envvar=False)],
    folder: Annotated[Path, typer.Option(help="Where the identity is kept.")] = Path("identity"),
    ca: Annotated[
        Path | None, typer.Option(help="PEM file of who vouches for the server, if the system does not.", show_default=False)
    ] = None,
) -> None:
    """Make a key, and get the certificate by which this gateway is known. It can be repeated until it succeeds."""
    _managed()
    from vigia.edge.enrolment import enroll as ask

    if server.startswith("http://"):
        typer.echo("warning: the line to the server is not encrypted; whoever listens can take the token", err=True)
    identity = ask(server, token, folder, ca)
    typer.echo(
        f"this gateway is {identity.group_id}/{identity.node_id}; its identity is in {folder}, valid until {identity.valid_until:%Y-%m-%d}"
    )


@app.command()
def status(config: Config, as_json: AsJson = False) -> None:
    """Print what each node has stored, sent and kept, and until when an identity is valid."""
    from vigia.edge import agent

    edge = _load(config, None)
    nodes = agent.status(edge)
    ends = agent.certificate_ends(edge)
    if as_json:
        identity = {} if ends is None else {"identity": {"valid_until": ends.isoformat(timespec="seconds")}}
        typer.echo(json.dumps({**identity, **{name: None if one is None else asdict(one) for name, one in nodes.items()}}))
        return
    if ends is not None:
        typer.echo(f"identity: valid until {ends:%Y-%m-%d %H:%M} UTC, {(ends - datetime.now(UTC)).days} days left")
    for name, one in nodes.items():
        typer.echo(f"{name}: {'nothing stored yet' if one is None else _in_words(one)}")


def _managed() -> "ModuleType":
    """The room of gateways with an identity. Raises ConfigError without its libraries."""
    try:
        from vigia.edge import managed
    except ModuleNotFoundError as error:
        raise ConfigError(f"an identity needs {error.name}, which is not installed; install vigia[edge]") from None
    return managed


def _load(path: Path, broker: str | None) -> "EdgeConfig":
    from vigia.edge.config import is_managed, load_config

    url = broker or load_settings().broker
    if is_managed(path):
        config: EdgeConfig = _managed().present_config(path, url)
        return config
    return load_config(path, url)


def _in_words(one: "BufferStatus") -> str:
    oldest = (
        "none" if one.oldest_waiting_ms is None else datetime.fromtimestamp(one.oldest_waiting_ms / 1000, UTC).isoformat(timespec="seconds")
    )
    damage = f"; DAMAGED and set aside: {', '.join(one.set_aside)}" if one.set_aside else ""
    return (
        f"{one.samples_stored} samples stored, {one.samples_dropped} dropped, "
        f"{one.waiting_batches} batches ({one.waiting_bytes} bytes) waiting, oldest {oldest}, "
        f"batch {one.acknowledged} of {one.newest} acknowledged in epoch {one.epoch}{damage}"
    )
