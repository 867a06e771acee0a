"""Options that mean the same in every command; each has its `VIGIA_*` environment variable."""

from pathlib import Path
from typing import Annotated

import typer

Home = Annotated[
    Path | None,
    typer.Option("--home", help="Folder for everything Vigía makes (default .vigia, env VIGIA_HOME).", show_default=False),
]
Dsn = Annotated[
    str | None,
    typer.Option("--dsn", help="PostgreSQL to use instead of the embedded one (env VIGIA_DSN).", show_default=False),
]
Broker = Annotated[
    str | None,
    typer.Option(
        "--broker",
        help="MQTT broker mqtt[s]://[user:password@]host:port to use instead of the embedded one (env VIGIA_BROKER).",
        show_default=False,
    ),
]
AuthorityFolder = Annotated[
    Path | None,
    typer.Option(
        "--authority",
        help="Folder of the authority that vouches for gateways (default HOME/authority, env VIGIA_AUTHORITY).",
        show_default=False,
    ),
]
Host = Annotated[
    str | None,
    typer.Option("--host", help="Address to listen on (default 127.0.0.1, env VIGIA_HOST).", show_default=False),
]
Port = Annotated[
    int | None,
    typer.Option("--port", help="Port to listen on, 0 for a free one (default 8080, env VIGIA_PORT).", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
EXAMPLE_ASSET_MODEL = "cmapss-fd001"
AssetModel = Annotated[str, typer.Option(help="Code of the asset model that is predicted.")]


def scheduler(address: str | None) -> str | None:
    """Refuse what is no address before anything is started."""
    if address is None:
        return None
    from vigia.analytics import compute

    return compute.checked(address)


Dask = Annotated[
    str | None,
    typer.Option(
        callback=scheduler,
        help="Dask scheduler whose workers do the work instead of this machine, e.g. tcp://10.0.0.5:8786, with the same result; "
        "needs pip install vigia[dask].",
    ),
]
