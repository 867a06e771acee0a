"""`vigia analytics`."""

import contextlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from vigia.cli import loop
from vigia.cli.databases import at_hand, named
from vigia.cli.options import AsJson, Dsn, Home
from vigia.errors import ConfigError
from vigia.settings import load_settings

app = typer.Typer(no_args_is_help=True)
evaluate_app = typer.Typer(no_args_is_help=True)
app.add_typer(evaluate_app, name="evaluate", help="Figures on public benchmarks, by their own protocols.")

AssetModel = Annotated[str, typer.Option(help="Code of the asset model that is predicted.")]
Units = Annotated[str | None, typer.Option(help="Units of the file to learn from, e.g. 1-80 or 1-40,61 (default: all).")]
Horizon = Annotated[float, typer.Option(min=1.0, help="The probability is that of a failure within so many flight cycles.")]
EXAMPLE_ASSET_MODEL = "cmapss-fd001"


@app.command()
def run(
    home: Home = None,
    dsn: Dsn = None,
    asset_model: AssetModel = EXAMPLE_ASSET_MODEL,
    train: Annotated[
        Path | None, typer.Option(help="Runs to failure (C-MAPSS file) to learn from when no model is registered yet.")
    ] = None,
    train_units: Units = None,
) -> None:
    """Predict every cycle of every installed machine until stopped."""
    from vigia.analytics.runner import RunnerConfig
    from vigia.analytics.runner import run as predict

    settings = load_settings(home=home, dsn=dsn)
    if train is not None and not train.is_file():
        message = f"--train {train}: there is no such file."
        raise ConfigError(message)
    config = RunnerConfig(named(settings), settings.home, asset_model, training_data=train, training_units=_units(train_units))
    loop.run_until_stopped(predict(config))


@app.command()
def train(
    data: Annotated[Path, typer.Option(help="Runs to failure: a C-MAPSS training file, plain or gzip.")],
    units: Units = None,
    horizon: Horizon = 30.0,
    asset_model: AssetModel = EXAMPLE_ASSET_MODEL,
    home: Home = None,
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """Train a failure model, register it and put it in charge; a running `vigia analytics run` changes over by itself."""
    from vigia.analytics import training
    from vigia.store.database import Database

    settings = load_settings(home=home, dsn=dsn)
    plan = training.TrainingPlan(data, _units(units), training.models_folder(settings.home), horizon)

    async def train_one(dsn: str) -> None:
        async with Database(dsn, "vigia_service", max_size=1) as database:
            made = await training.train_and_register(database, asset_model, plan)
        found = {"version": made.version, "file": str(plan.folder / made.file_name), "sha256": made.sha256, **made.metrics}
        sys.stdout.write(_as_json(found) if as_json else _as_text(found))

    with at_hand(settings) as address:
        loop.run_until_stopped(train_one(address))


@evaluate_app.callback()
def evaluate() -> None:
    """Figures on public benchmarks, by their own protocols."""


@evaluate_app.command()
def cmapss(
    data: Annotated[Path, typer.Option(help="Folder with train_, test_ and RUL_ files, plain or gzip.")],
    subset: Annotated[str, typer.Option(help="Which data set: FD001, FD002 ...")] = "FD001",
    horizon: Horizon = 30.0,
    with_age: Annotated[bool, typer.Option("--with-age", help="Let the model see the cycles flown; the service's model does not.")] = False,
    as_json: AsJson = False,
) -> None:
    """NASA C-MAPSS: train on train_, report on the last cycle of each unit of test_; nothing is chosen on the test files."""
    from vigia.analytics.evaluate.turbofan import evaluate as measure

    found = asdict(measure(data, subset, horizon, with_age=with_age))
    sys.stdout.write(_as_json(found) if as_json else _as_text(found))


def _units(text: str | None) -> list[int] | None:
    """The numbers in e.g. "1-40,61"; None means all. Raises ConfigError."""
    if text is None:
        return None
    found: set[int] = set()
    with contextlib.suppress(ValueError):
        for part in text.split(","):
            first, dash, last = part.partition("-")
            found.update(range(int(first), int(last if dash else first) + 1))
        if found:
            return sorted(found)
    message = f"units {text!r}: give numbers and ranges such as 1-80 or 1-40,61."
    raise ConfigError(message)


def _as_json(found: dict[str, Any]) -> str:
    return json.dumps(found, ensure_ascii=False) + "\n"


def _as_text(found: dict[str, Any], indent: str = "") -> str:
    lines = []
    for name, value in found.items():
        if isinstance(value, dict):
            lines.append(f"{indent}{name}\n{_as_text(value, indent + '  ')}")
        else:
            lines.append(f"{indent}{name:<24}{f'{value:.4g}' if isinstance(value, float) else value}\n")
    return "".join(lines)
