"""`vigia analytics score`."""

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from vigia.cli import loop
from vigia.cli.databases import at_hand
from vigia.cli.options import EXAMPLE_ASSET_MODEL, AsJson, AssetModel, Dask, Dsn, Home
from vigia.errors import ConfigError
from vigia.settings import load_settings

if TYPE_CHECKING:
    from vigia.analytics import scoring
    from vigia.store import models


def score(
    version: Annotated[
        str | None, typer.Option("--version", help="Version of the model, or the beginning of it (default: the one in charge).")
    ] = None,
    asset_model: AssetModel = EXAMPLE_ASSET_MODEL,
    failure_mode: Annotated[str, typer.Option(help="What is predicted.")] = "hpc_degradation",
    at: Annotated[
        str | None,
        typer.Option(
            metavar="<time>", help="As the fleet stood then, by what was read until then; ISO 8601, without a zone UTC (default: now)."
        ),
    ] = None,
    dask: Dask = None,
    home: Home = None,
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """What a model says of every machine of the fleet, the likeliest to fail first; nothing is stored, and no order raised."""
    from vigia.analytics import compute, scoring
    from vigia.cli.models import version_named
    from vigia.store import models
    from vigia.store.database import Database

    settings, moment = load_settings(home=home, dsn=dsn), None if at is None else _moment(at)

    async def asked(address: str) -> "tuple[models.ModelVersion, list[scoring.Place]]":
        async with Database(address, "vigia_service", max_size=1, clock=settings.clock) as database:
            async with database.transaction() as tx:
                asset_model_id = await models.asset_model_id(tx, asset_model)
                known = await models.versions(tx, asset_model, failure_mode)
            return version_named(known, version), await scoring.places(database, asset_model_id, moment)

    with at_hand(settings) as address, compute.at(dask) as where:
        model, places = loop.run(asked(address))
        found = scoring.score(model, settings.home, places, (address, settings.clock), where)
    if as_json:
        typer.echo(
            json.dumps(
                {"version": model.version, "machines": [asdict(one) | {"at": one.at.isoformat()} for one in found]}, ensure_ascii=False
            )
        )
        return
    horizon = model.metrics["horizon"]
    sys.stdout.write(f"{model.version}: {len(found)} machines, and how likely each is to fail within {horizon:g} of its life's units\n")
    sys.stdout.write(f"{'machine':16} {'site':16} {'role':16} {'cycles':>6} {'fails':>6} {'life (80 %)':>18} {'health':>6}\n")
    for one in found:
        life = f"{one.life_p50:.0f} ({one.life_p10:.0f}-{one.life_p90:.0f})"
        numbers = f"{one.cycles:>6} {one.probability:>6.1%} {life:>18} {one.health:>6.0f}"
        sys.stdout.write(f"{one.serial_number:16} {one.site:16} {one.role:16} {numbers}\n")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--at {text}: no time; write it as 2026-01-31T12:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
