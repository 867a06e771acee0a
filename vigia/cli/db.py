"""`vigia db`."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from vigia.cli import loop
from vigia.cli.databases import at_hand, retention
from vigia.cli.options import AsJson, Dsn, Home
from vigia.settings import load_settings

if TYPE_CHECKING:
    from vigia.store.upkeep import Done, Health

app = typer.Typer(no_args_is_help=True)

KIBI = 1024


@app.command()
def migrate(home: Home = None, dsn: Dsn = None, as_json: AsJson = False) -> None:
    """Make the schema in a new database, or bring an old one to this version. Harmless when there is nothing to do."""
    from vigia.store.migrate import migrate as run

    with at_hand(load_settings(home=home, dsn=dsn)) as address:
        report = loop.run(run(address))
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
    """Say which version the database has, what is pending, how large its tables are and in what state the days of telemetry are."""
    from vigia.store.migrate import status as ask

    with at_hand(load_settings(home=home, dsn=dsn)) as address:
        found = loop.run(ask(address))
        health = loop.run(_health(address)) if found.version and not found.pending else None
    if as_json:
        typer.echo(json.dumps({**asdict(found), "telemetry": health and _health_figures(health)}))
        return
    typer.echo(f"server   PostgreSQL {found.server} ({found.profile})")
    typer.echo(f"version  {found.version or 'none: run `vigia db migrate`'}")
    typer.echo(f"pending  {', '.join(found.pending) or 'nothing'}")
    for table, size in found.sizes.items():
        typer.echo(f"{_readable(size):>10}  {table}")
    if health is not None:
        typer.echo("\ntelemetry")
        typer.echo(_health_text(health))


@app.command()
def upkeep(home: Home = None, dsn: Dsn = None, as_json: AsJson = False) -> None:
    """Pack the closed days of telemetry and drop what is older than VIGIA_RETENTION_*_DAYS, now; a worker does so every hour."""
    from vigia.store.database import Database
    from vigia.workflows import keep_telemetry

    settings = load_settings(home=home, dsn=dsn)
    keep = retention(settings)

    async def run(address: str) -> "Done":
        async with Database(address, "vigia_service", max_size=1) as database:
            return await keep_telemetry.run(database, keep)

    with at_hand(settings) as address:
        done = loop.run(run(address))
    if as_json:
        typer.echo(json.dumps(asdict(done)))
        return
    lines = [*(f"packed   {name}" for name in done.packed), *(f"dropped  {name}" for name in done.dropped)]
    lines += [f"in use   {name}: left for the next run" for name in done.busy]
    lines += [f"dropped  {rows:,} {what}" for rows, what in ((done.minutes_dropped, "minutes"), (done.hours_dropped, "hours")) if rows]
    typer.echo("\n".join(lines) or "nothing to do")


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
        loop.run(write(address))
    file = settings.home / "credentials.json"
    if as_json:
        typer.echo(json.dumps({"engines": len(roles), "accounts": len(people.people), "credentials": str(file)}))
    else:
        typer.echo(f"the fleet of {len(roles)} engines is there; the log-ins are in {file}")


async def _health(address: str) -> "Health":
    from vigia.store import upkeep as store
    from vigia.store.database import Database

    async with Database(address, "vigia_service", max_size=1) as database, database.transaction() as tx:
        return await store.health(tx)


def _health_figures(health: "Health") -> dict[str, object]:
    from vigia.store.upkeep import STATES

    return {
        "pieces": len(health.pieces),
        **{state: health.in_state(state) for state in STATES},
        "rows_estimated": health.rows,
        "bytes": health.bytes,
        "bytes_per_row": health.bytes_per_row and round(health.bytes_per_row, 1),
        "oldest_day": health.pieces[0].from_ts.date().isoformat() if health.pieces else None,
        "newest_day": health.pieces[-1].from_ts.date().isoformat() if health.pieces else None,
        "last_upkeep": health.last and {"at": health.last.at.isoformat(), **health.last.detail},
        "due": list(health.due),
        "days": [
            {
                "name": piece.name,
                "day": piece.from_ts.date().isoformat(),
                "state": piece.state,
                "rows": piece.row_count,
                "bytes": piece.bytes,
            }
            for piece in health.pieces
        ],
    }


def _health_text(health: "Health") -> str:
    """A line a state that occurs, then the sum, then what upkeep did and will do."""
    from vigia.store.upkeep import STATES

    lines = [f"{'state':<10} {'days':>6} {'rows (about)':>16} {'on disk':>10} {'bytes/row':>10}  {'from':<10}  until"]
    groups = [(state, [piece for piece in health.pieces if piece.state == state]) for state in STATES]
    for name, pieces in [*groups, ("all", list(health.pieces))]:
        if not pieces:
            continue
        rows, size = sum(piece.row_count for piece in pieces), sum(piece.bytes for piece in pieces)
        each = f"{size / rows:.1f}" if rows else "-"
        days = f"{pieces[0].from_ts:%Y-%m-%d}  {pieces[-1].from_ts:%Y-%m-%d}"
        lines.append(f"{name:<10} {len(pieces):>6} {rows:>16,} {_readable(size):>10} {each:>10}  {days}")
    lines.append(f"last upkeep  {f'{health.last.at:%Y-%m-%d %H:%M} UTC' if health.last else 'never'}")
    lines.append(f"due          {f'{len(health.due)} days to pack' if health.due else 'nothing to pack'}")
    return "\n".join(lines)


def _readable(size: int) -> str:
    amount = float(size)
    for unit in ("B", "KiB", "MiB"):
        if amount < KIBI:
            return f"{amount:.0f} {unit}"
        amount /= KIBI
    return f"{amount:.1f} GiB"
