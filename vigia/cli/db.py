"""`vigia db`."""

import asyncio
import json
from dataclasses import asdict
from typing import Annotated

import typer

from vigia.cli.databases import at_hand
from vigia.cli.options import AsJson, Dsn, Home
from vigia.settings import load_settings

app = typer.Typer(no_args_is_help=True)

KIBI = 1024


@app.command()
def migrate(home: Home = None, dsn: Dsn = None, as_json: AsJson = False) -> None:
    """Make the schema in a new database, or bring an old one to this version. Harmless when there is nothing to do."""
    from vigia.store.migrate import migrate as run

    with at_hand(load_settings(home=home, dsn=dsn)) as address:
        report = asyncio.run(run(address))
    if as_json:
        typer.echo(json.dumps(asdict(report)))
    elif report.fresh:
        typer.echo(f"made the schema, version {report.version} ({report.profile})")
    elif report.applied:
        typer.echo(f"applied {', '.join(report.applied)} ({report.profile})")
    else:
        typer.echo(f"nothing to do, version {report.version} ({report.profile})")


@app.command()
def status(home: Home = None, dsn: Dsn = None, as_json: AsJson = False) -> None:
    """Say which version the database has, what is pending and how large its tables are."""
    from vigia.store.migrate import status as ask

    with at_hand(load_settings(home=home, dsn=dsn)) as address:
        found = asyncio.run(ask(address))
    if as_json:
        typer.echo(json.dumps(asdict(found)))
        return
    typer.echo(f"server   PostgreSQL {found.server} ({found.profile})")
    typer.echo(f"version  {found.version or 'none: run `vigia db migrate`'}")
    typer.echo(f"pending  {', '.join(found.pending) or 'nothing'}")
    for table, size in found.sizes.items():
        typer.echo(f"{_readable(size):>10}  {table}")


@app.command()
def seed(
    home: Home = None,
    dsn: Dsn = None,
    engines: Annotated[int, typer.Option(min=1, max=20, help="How many engines the fleet has.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Put the demo's fleet into the database: airlines, engines, contracts, people. Harmless when it is there.

    The log-ins are in credentials.json in the home folder.
    """
    from vigia.demo import fleet
    from vigia.store.database import Caller, Database
    from vigia.store.migrate import migrate as run

    settings = load_settings(home=home, dsn=dsn)
    roles = fleet.ROLES[:engines]
    people = fleet.credentials(settings.home)

    async def write(address: str) -> None:
        await run(address)
        async with Database(address, "vigia_service", max_size=1) as database, database.transaction(Caller(staff=True)) as tx:
            await fleet.seed(tx, roles, people)

    with at_hand(settings) as address:
        asyncio.run(write(address))
    file = settings.home / "credentials.json"
    if as_json:
        typer.echo(json.dumps({"engines": len(roles), "accounts": len(people.people), "credentials": str(file)}))
    else:
        typer.echo(f"the fleet of {len(roles)} engines is there; the log-ins are in {file}")


def _readable(size: int) -> str:
    amount = float(size)
    for unit in ("B", "KiB", "MiB"):
        if amount < KIBI:
            return f"{amount:.0f} {unit}"
        amount /= KIBI
    return f"{amount:.1f} GiB"
