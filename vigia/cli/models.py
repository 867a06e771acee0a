"""`vigia models`: the registry of failure models."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vigia.cli.databases import in_transaction
from vigia.cli.options import AsJson, Dsn, Home
from vigia.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vigia.store.database import Transaction
    from vigia.store.models import ModelVersion

app = typer.Typer(no_args_is_help=True)

Version = Annotated[str, typer.Argument(help="The model's version, or the beginning of it.")]


@app.command("list")
def list_models(as_json: AsJson = False, home: Home = None, dsn: Dsn = None) -> None:
    """Show the models, newest first: what each rests on, how good it was on machines it had not seen, which is in charge.

    Behind each horizon, in life units, stands the Brier score of the probability to fail within it.
    """
    from vigia.domain.models import horizons

    found = in_transaction(_all, home, dsn)
    if as_json:
        typer.echo(json.dumps({"models": [_plain(one) for one in found]}))
        return
    numbers = f"{'machines':>8} {'Brier':>7} {'RMSE':>6}  Brier within"
    typer.echo(f"{'asset model':20} {'failure mode':20} {'version':26} {'state':10} {'method':9} {numbers}")
    for one in found:
        figures = one.metrics.get("out_of_fold", {})
        within = ", ".join(f"{its.horizon:g}: {its.brier:.4f}" for its in horizons(one.metrics)) or "-"
        numbers = f"{one.metrics.get('machines', '-'):>8} {figures.get('brier', '-'):>7} {figures.get('rmse_capped', '-'):>6}  {within}"
        typer.echo(
            f"{one.asset_model:20} {one.failure_mode:20} {one.version:26} {one.state:10} {one.metrics.get('method', 'trees'):9} {numbers}"
        )


@app.command()
def show(version: Version, as_json: AsJson = False, home: Home = None, dsn: Dsn = None) -> None:
    """Show one model: its figures, what it learned from, who put it in charge, what speaks against it, the shadow, its drift."""
    from vigia.domain.models import failed_checks
    from vigia.store import model_drift, models

    async def read(tx: "Transaction") -> "tuple[ModelVersion, models.Compared, model_drift.Drift | None]":
        named = await _named(tx, version)
        drift = (await model_drift.newest(tx, named.model_version_id)).get(named.model_version_id)
        return named, await models.compared(tx, named.model_version_id), drift

    found, compared, drift = in_transaction(read, home, dsn)
    plain = _plain(found) | {"failed_checks": failed_checks(found.metrics), "in_the_shadow": asdict(compared)}
    plain["drift"] = None if drift is None else asdict(drift) | {"day": drift.day.isoformat()}
    typer.echo(json.dumps(plain) if as_json else json.dumps(plain, indent=2))


@app.command()
def promote(version: Version, home: Home = None, dsn: Dsn = None) -> None:
    """Put a model in charge. A running `vigia analytics run` changes over by itself."""
    from vigia.workflows import promote_model

    async def put(tx: "Transaction") -> "ModelVersion":
        return await promote_model.handle(tx, (await _named(tx, version)).model_version_id, datetime.now(UTC), None)

    typer.echo(f"{in_transaction(put, home, dsn).version} is in charge")


@app.command("roll-back")
def roll_back(version: Version, home: Home = None, dsn: Dsn = None) -> None:
    """Take a model out of charge: the one before it is in charge again."""
    from vigia.workflows import promote_model

    async def back(tx: "Transaction") -> "ModelVersion":
        return await promote_model.roll_back(tx, (await _named(tx, version)).model_version_id, datetime.now(UTC), None)

    typer.echo(f"{in_transaction(back, home, dsn).version} is in charge again")


async def _all(tx: "Transaction") -> "list[ModelVersion]":
    from vigia.store import models

    return await models.versions(tx)


async def _named(tx: "Transaction", version: str) -> "ModelVersion":
    return version_named(await _all(tx), version)


def version_named(known: "Sequence[ModelVersion]", version: str | None) -> "ModelVersion":
    """The one of `known` whose version begins so; None: the one in charge. Raises ConfigError."""
    found = [one for one in known if (one.champion if version is None else one.version.startswith(version))]
    if version is None and not found:
        raise ConfigError("no model is in charge: `vigia models list` shows them, `vigia analytics train` makes one.")
    if len(found) == 1:
        return found[0]
    many = "several models have" if found else "no model has"
    raise ConfigError(f"{many} a version that begins with {version!r}: `vigia models list` shows them.")


def _plain(model: "ModelVersion") -> dict[str, Any]:
    found = asdict(model) | {"state": model.state}
    del found["inputs"]
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in found.items()}
