"""`vigia fleet`: the gateways, as their manufacturer sees them."""

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vigia.cli.databases import in_transaction
from vigia.cli.options import AsJson, AuthorityFolder, Dsn, Home
from vigia.errors import ConfigError
from vigia.settings import load_settings

if TYPE_CHECKING:
    from vigia.store.database import Transaction
    from vigia.store.fleet import EdgeNode
    from vigia.store.gateways import Gateway
    from vigia.workflows.make_edge_token import MadeToken

app = typer.Typer(no_args_is_help=True)

Group = Annotated[str, typer.Argument(help="The gateway's Sparkplug group: its customer's code.")]
Node = Annotated[str, typer.Argument(help="The gateway's Sparkplug edge node id.")]


@app.command()
def ca(authority: AuthorityFolder = None, home: Home = None) -> None:
    """Make the authority that vouches for gateways. Once: every gateway and the broker trust it. Keep a copy of its folder."""
    from vigia.authority.issuing import Authority

    folder = load_settings(home=home, authority=authority).authority_folder
    Authority.create(folder, datetime.now(UTC))
    typer.echo(f"made the authority in {folder}: keep a copy of that folder in a safe place, and show it to nobody")


@app.command()
def token(
    group: Group,
    node: Node,
    hours: Annotated[int, typer.Option(min=1, max=720, help="For how long it can be used.")] = 24,
    as_json: AsJson = False,
    home: Home = None,
    dsn: Dsn = None,
) -> None:
    """Let a gateway enrol once: print a token for `vigia edge enroll`. An earlier one that was not used is void."""
    from vigia.workflows import make_edge_token

    async def make(tx: "Transaction") -> "MadeToken":
        edge = await _registered(tx, group, node)
        return await make_edge_token.handle(tx, edge.edge_node_id, timedelta(hours=hours), datetime.now(UTC), None)

    made = in_transaction(make, home, dsn)
    if as_json:
        typer.echo(json.dumps({"token": made.token, "expires_at": made.expires_at.isoformat()}))
    else:
        typer.echo(made.token)
        typer.echo(f"for {group}/{node}, once, until {made.expires_at:%Y-%m-%d %H:%M} UTC", err=True)


@app.command()
def revoke(
    group: Group,
    node: Node,
    because: Annotated[str, typer.Option(help="Why, for the record.")],
    home: Home = None,
    dsn: Dsn = None,
) -> None:
    """Shut a gateway out: none of its certificates and tokens counts any more. The gate ends its session within seconds."""
    from vigia.workflows import revoke_edge

    async def shut_out(tx: "Transaction") -> int:
        edge = await _registered(tx, group, node)
        return await revoke_edge.handle(tx, edge.edge_node_id, because, datetime.now(UTC), None)

    revoked = in_transaction(shut_out, home, dsn)
    typer.echo(f"revoked {revoked} certificate{'' if revoked == 1 else 's'} of {group}/{node}")


@app.command("roll-out")
def roll_out_command(
    folder: Annotated[Path, typer.Argument(help="Folder with a file GROUP:NODE.toml for each gateway; by name, the first try first.")],
    reason: Annotated[str, typer.Option(help="Why, for the record.")],
    canary: Annotated[float, typer.Option(min=0.001, max=1, help="Share of the gateways that try first.")] = 0.1,
    as_json: AsJson = False,
    home: Home = None,
    dsn: Dsn = None,
) -> None:
    """Give gateways new configurations. The first that does not run well under its own goes back, and stops the rest."""
    from vigia.workflows import roll_out

    files = _configurations(folder)

    async def begin(tx: "Transaction") -> int:
        named = [((await _registered(tx, group, node)).edge_node_id, toml) for (group, node), toml in files.items()]
        return await roll_out.handle(tx, roll_out.Order(reason, canary, named), datetime.now(UTC), None)

    rollout_id = in_transaction(begin, home, dsn)
    typer.echo(json.dumps({"rollout_id": rollout_id}) if as_json else f"roll-out {rollout_id} of {len(files)} configurations has begun")


@app.command()
def halt(rollout_id: Annotated[int, typer.Argument(help="Number of the roll-out.")], home: Home = None, dsn: Dsn = None) -> None:
    """Stop a roll-out: who has not fetched a new configuration keeps the one before."""
    from vigia.workflows import halt_rollout

    async def stop(tx: "Transaction") -> None:
        await halt_rollout.handle(tx, rollout_id, datetime.now(UTC), None)

    in_transaction(stop, home, dsn)
    typer.echo(f"roll-out {rollout_id} is halted")


@app.command("list")
def list_gateways(as_json: AsJson = False, home: Home = None, dsn: Dsn = None) -> None:
    """Show each gateway: whether it is there, its program, what it runs and is to run, its clock, its certificate."""
    from vigia.store import gateways

    async def read(tx: "Transaction") -> "list[Gateway]":
        return await gateways.all_of_them(tx)

    found = in_transaction(read, home, dsn)
    if as_json:
        typer.echo(json.dumps({"gateways": [asdict(one) for one in found]}, default=lambda value: value.isoformat()))
        return
    typer.echo(f"{'gateway':32} {'state':8} {'program':10} {'runs':>6} {'is to':>6} {'clock':>10}  certificate until")
    for one in found:
        skew = "-" if one.clock_skew_ms is None else f"{one.clock_skew_ms / 1000:+.1f} s"
        until = "none" if one.certificate_until is None else f"{one.certificate_until:%Y-%m-%d}"
        runs, wanted = (("file" if version is None else str(version)) for version in (one.configuration_version, one.configuration_wanted))
        name, state = f"{one.group_id}/{one.node_id}", "online" if one.online else "offline"
        typer.echo(f"{name:32} {state:8} {one.agent_version or '-':10} {runs:>6} {wanted:>6} {skew:>10}  {until}")


def _configurations(folder: Path) -> dict[tuple[str, str], str]:
    """The text for each gateway that a file in `folder` names, by name. Raises ConfigError."""
    try:
        files = sorted(folder.glob("*.toml"))
        if not files:
            raise ConfigError(f"{folder} has no file GROUP:NODE.toml: write one for each gateway.")
        found = {}
        for file in files:
            group, colon, node = file.stem.partition(":")
            if not colon:
                raise ConfigError(f"{file} names no gateway: call it GROUP:NODE.toml.")
            found[group, node] = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{folder} cannot be read: {error}") from None
    return found


async def _registered(tx: "Transaction", group: str, node: str) -> "EdgeNode":
    from vigia.store import fleet

    found = await fleet.edge_node(tx, group, node)
    if found is None:
        raise ConfigError(f"No edge node {group}/{node} is registered: add it to its customer's site, or correct the names.")
    return found
