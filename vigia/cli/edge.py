"""`vigia edge`: the gateway beside the machines."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vigia.cli import edge_check, edge_status, loop, opcua
from vigia.cli.options import AsJson, Broker
from vigia.errors import ConfigError
from vigia.settings import load_settings

if TYPE_CHECKING:
    from types import ModuleType

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

MetricsHost = Annotated[
    str, typer.Option(help="Address to tell metrics on (env VIGIA_EDGE_METRICS_HOST).", envvar="VIGIA_EDGE_METRICS_HOST", show_envvar=False)
]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65_535,
        help="Port to tell metrics on, 0 for a free one; none by default (env VIGIA_EDGE_METRICS_PORT).",
        envvar="VIGIA_EDGE_METRICS_PORT",
        show_envvar=False,
        show_default=False,
    ),
]


@app.command()
def run(
    config: Config,
    check: Check = False,
    patience: Patience = 10.0,
    as_json: CheckAsJson = False,
    metrics_host: MetricsHost = "127.0.0.1",
    metrics_port: MetricsPort = None,
    broker: Broker = None,
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C. Without broker or host it goes on storing."""
    from vigia.edge import agent
    from vigia.edge.config import MetricsConfig, is_managed

    metrics = None if metrics_port is None else MetricsConfig(metrics_host, metrics_port)
    url = broker or load_settings().broker
    if check:
        words, edge = _managed().check(config, url) if is_managed(config) else ("", _load(config, url))
        edge_check.check(words, edge, patience, as_json=as_json)
    elif is_managed(config):
        loop.run_until_stopped(_managed().run(config, url, metrics))
    else:
        loop.run_until_stopped(agent.run(_load(config, url), metrics))


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
    """Print how each node is: its source, its broker, what waits, what the disk holds; its configuration, its certificate."""
    from vigia.edge import agent
    from vigia.edge.config import is_managed

    edge = _load(config, None)
    version = _managed().present_version(config) if is_managed(config) else None
    edge_status.show(edge, version, agent.status(edge), agent.certificate_ends(edge), as_json=as_json)


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
