"""`vigia analytics`."""

import contextlib
import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vigia.cli import loop
from vigia.cli.databases import at_hand, in_transaction, named
from vigia.cli.options import EXAMPLE_ASSET_MODEL, AsJson, AssetModel, Dask, Dsn, Home, scheduler
from vigia.cli.score import score
from vigia.errors import ConfigError
from vigia.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed import DataclassInstance

app = typer.Typer(no_args_is_help=True)
evaluate_app = typer.Typer(no_args_is_help=True)
app.command()(score)
app.add_typer(evaluate_app, name="evaluate", help="Figures on public benchmarks, by their own protocols.")

MOST_UNITS = 1_000_000


def finite(number: float) -> float:
    """Refuse infinity, which a lower bound lets pass."""
    if not math.isfinite(number):
        raise typer.BadParameter(f"{number} is no finite number.")
    return number


Units = Annotated[str | None, typer.Option(help="Units of the file to learn from, e.g. 1-80 or 1-40,61 (default: all).")]
Horizon = Annotated[
    float, typer.Option(min=1.0, callback=finite, help="The probability is that of a failure within so many flight cycles.")
]
Folder = Annotated[Path, typer.Option("--data", help="Folder with the benchmark's files, plain or gzip; any of them.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for the result files, in the benchmark's own layout.")]
Plots = Annotated[Path | None, typer.Option("--plots", help="Folder to draw plots into (PNG); needs pip install vigia[plots].")]
Failure = Annotated[float, typer.Option(min=0, callback=finite, help="What a failure costs that was not foreseen, in any currency.")]
Visit = Annotated[float, typer.Option(min=0, callback=finite, help="What a planned replacement costs, in any currency.")]
Life = Annotated[float, typer.Option(min=0, callback=finite, help="What a flight cycle costs that is thrown away, in any currency.")]
Lead = Annotated[float, typer.Option(min=0, callback=finite, help="Flight cycles from the order to the visit.")]


@app.command()
def run(
    home: Home = None,
    dsn: Dsn = None,
    asset_model: AssetModel = EXAMPLE_ASSET_MODEL,
    train: Annotated[
        Path | None, typer.Option(help="Runs to failure (C-MAPSS file) to learn from when no model is registered yet.")
    ] = None,
    train_units: Units = None,
    retrain_days: Annotated[
        float | None,
        typer.Option(
            min=1, help="Train again after so many days of fleet time, or when the model drifts, into the shadow (default: never)."
        ),
    ] = None,
    retrain_orders: Annotated[
        int, typer.Option(min=1, help="With --retrain-days: but only with so many new verdicts of closed orders.")
    ] = 10,
    retrain_promote: Annotated[
        bool,
        typer.Option(
            "--retrain-promote",
            help="With --retrain-days: let it take charge by itself if it passes its checks and was no worse in the shadow.",
        ),
    ] = False,
    dask: Annotated[
        str | None,
        typer.Option(
            callback=scheduler,
            help="Dask scheduler whose workers train again, e.g. tcp://10.0.0.5:8786, and this machine while it is away; "
            "predictions are made here. Needs pip install vigia[dask].",
        ),
    ] = None,
) -> None:
    """Predict every cycle of every installed machine until stopped."""
    from datetime import timedelta

    from vigia.analytics.config import RunnerConfig
    from vigia.analytics.runner import run as predict
    from vigia.domain.retraining import Schedule

    settings = load_settings(home=home, dsn=dsn)
    if train is not None:
        _require_file("--train", train)
    if dask is not None and retrain_days is None:
        message = "--dask wants --retrain-days: only training goes to the cluster; predictions are made here."
        raise ConfigError(message)
    if retrain_days is not None and train is None:
        message = "--retrain-days wants --train: the runs to failure that are learned from beside closed orders."
        raise ConfigError(message)
    config = RunnerConfig(
        named(settings),
        settings.home,
        asset_model,
        training_data=train,
        training_units=_units(train_units),
        renewal=None if retrain_days is None else Schedule(timedelta(days=retrain_days), retrain_orders, take_charge=retrain_promote),
        dask=dask,
        clock=settings.clock,
    )
    loop.run_until_stopped(predict(config))


@app.command()
def train(
    data: Annotated[Path, typer.Option(help="Runs to failure: a C-MAPSS training file, plain or gzip.")],
    units: Units = None,
    horizon: Horizon = 30.0,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Let it predict beside the model in charge; nothing follows from what it says.")
    ] = False,
    from_orders: Annotated[bool, typer.Option("--from-orders", help="Learn from closed orders and their verdicts too.")] = False,
    dask: Dask = None,
    asset_model: AssetModel = EXAMPLE_ASSET_MODEL,
    home: Home = None,
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """Train a failure model, register it and, if it passes its checks, put it in charge; `vigia analytics run` changes over by itself."""
    from vigia.analytics import training
    from vigia.store.database import Database

    _require_file("--data", data)
    settings = load_settings(home=home, dsn=dsn)
    plan = training.TrainingPlan(data, _units(units), training.models_folder(settings.home), horizon, dask=dask)

    async def train_one(dsn: str) -> None:
        async with Database(dsn, "vigia_service", max_size=1) as database:
            whole = await training.with_closed_orders(database, asset_model, plan) if from_orders else plan
            made = await training.train_and_register(database, asset_model, whole, shadow=shadow)
        found = {"version": made.version, "file": str(plan.folder / made.file_name), "sha256": made.sha256, **made.metrics}
        sys.stdout.write(_as_json(found) if as_json else _as_text(found))

    with at_hand(settings) as address:
        loop.run_until_stopped(train_one(address))


@app.command("back-test")
def back_test(
    data: Annotated[Path, typer.Option(help="Runs to failure: a C-MAPSS training file, plain or gzip.")],
    units: Units = None,
    horizon: Horizon = 30.0,
    failure: Failure = 60_000.0,
    visit: Visit = 8_000.0,
    life: Life = 60.0,
    lead: Lead = 10.0,
    per_year: Annotated[float, typer.Option(min=1, callback=finite, help="Flight cycles an engine flies in a year.")] = 1_000.0,
    contract: Annotated[
        str | None,
        typer.Option(help="Take costs from the contract of this name; its lead too, if it is known how fast its machines are used."),
    ] = None,
    asset_model: AssetModel = EXAMPLE_ASSET_MODEL,
    dask: Dask = None,
    plots: Plots = None,
    home: Home = None,
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """What orders would have been raised, when and at what cost, for machines that the model had not seen; the threshold chosen by cost."""
    from vigia.analytics import compute
    from vigia.analytics.evaluate import back_test as replay
    from vigia.analytics.evaluate import cmapss as runs
    from vigia.analytics.evaluate import turbofan
    from vigia.analytics.prognosis.decision import Costs

    costs = Costs(failure, visit, life, lead)
    if contract is not None:
        from vigia.cli.contract_costs import costs_of

        costs = in_transaction(lambda tx: costs_of(tx, contract, asset_model, lead), home, dsn)
    histories = turbofan.histories(runs.read_runs(data, _units(units)))
    with compute.at(dask) as where:
        found, replayed = replay.back_test(histories, turbofan.options(horizon), costs, per_year, where)
    if plots is not None:
        from vigia.analytics.evaluate.plots import orders

        orders(plots / "back-test.png", replayed.at_order, replayed.remaining, replayed.median)
    _tell(found, as_json=as_json)


@evaluate_app.callback()
def evaluate() -> None:
    """Figures on public benchmarks, by their own protocols."""


@evaluate_app.command()
def cmapss(
    data: Annotated[Path, typer.Option(help="Folder with train_, test_ and RUL_ files, plain or gzip.")],
    subset: Annotated[str, typer.Option(help="Which data set: FD001, FD002 ...")] = "FD001",
    horizon: Horizon = 30.0,
    dask: Dask = None,
    plots: Plots = None,
    as_json: AsJson = False,
) -> None:
    """NASA C-MAPSS: train on train_, report on the last cycle of each unit of test_; nothing is chosen on the test files."""
    from vigia.analytics import compute
    from vigia.analytics.evaluate.turbofan import evaluate as measure

    with compute.at(dask) as where:
        found, predicted = measure(data, subset, horizon, where)
    if plots is not None:
        from vigia.analytics.evaluate.plots import lives, reliability

        curves = {"engines of the test files": found.reliability, "training engines not seen": found.out_of_fold_reliability}
        reliability(plots / f"{subset}-reliability.png", f"{subset}: failure within {horizon:g} cycles", curves)
        lives(plots / f"{subset}.png", subset, predicted.true, (predicted.low, predicted.estimate, predicted.high))
    _tell(found, as_json=as_json)


@evaluate_app.command()
def calibration(
    data: Annotated[Path, typer.Option(help="Folder with train_ files, plain or gzip.")],
    subset: Annotated[str, typer.Option(help="Which data set: FD001, FD002 ...")] = "FD001",
    dask: Dask = None,
    as_json: AsJson = False,
) -> None:
    """NASA C-MAPSS: ways to calibrate a failure probability, compared on engines of train_ that were not learned from."""
    from vigia.analytics import compute
    from vigia.analytics.evaluate.calibrations import evaluate as compare

    with compute.at(dask) as where:
        found = compare(data, subset, where)
    _tell(found, as_json=as_json)


@evaluate_app.command()
def nab(data: Folder, out: Out = None, plots: Plots = None, as_json: AsJson = False) -> None:
    """Numenta Anomaly Benchmark: streaming scores for each file, and the benchmark's score, by one threshold for all files."""
    from vigia.analytics.evaluate import nab as benchmark

    found, scored = benchmark.measure(data)
    if out is not None:
        benchmark.write_results(out, scored)
    if plots is not None:
        from vigia.analytics.evaluate.plots import series

        for one, scores in scored:
            series(plots / f"{one.name}.png", one.name, one.value, scores, one.windows or [])
    _tell(found, as_json=as_json)


@evaluate_app.command()
def skab(data: Folder, plots: Plots = None, as_json: AsJson = False) -> None:
    """Skoltech Anomaly Benchmark: learn from each file's first 400 rows, judge the rest, row by row."""
    from vigia.analytics.evaluate import skab as benchmark

    found, watched = benchmark.measure(data)
    if plots is not None:
        from vigia.analytics.evaluate.plots import statistic

        for one, statistics in watched:
            statistic(plots / f"{one.name}.png", one.name, statistics.ratio, one.anomaly)
    _tell(found, as_json=as_json)


@evaluate_app.command()
def tep(data: Folder, plots: Plots = None, as_json: AsJson = False) -> None:
    """Tennessee Eastman process: learn from d00, measure false alarms on d00_te and detection on each dNN_te."""
    from vigia.analytics.evaluate import tep as benchmark

    found, watched = benchmark.measure(data)
    if plots is not None:
        import numpy as np

        from vigia.analytics.evaluate.plots import bars, statistic

        bars(plots / "detection.png", "Faulty rows that alarm", found.detection_rate_by_fault, "share")
        for fault, statistics in watched.items():
            faulty = np.arange(len(statistics.ratio)) >= benchmark.FAULT_FROM
            statistic(plots / f"d{fault}_te.png", f"d{fault}_te", statistics.ratio, faulty if fault != "00" else None)
    _tell(found, as_json=as_json)


@app.command()
def detect(
    csv: Annotated[Path, typer.Option("--csv", help="A table with a header; comma, semicolon or tab; plain or gzip.")],
    time: Annotated[str, typer.Option("--time", help="The column with the time: ISO 8601 (UTC where it names no zone), or seconds.")],
    mode: Annotated[str | None, typer.Option("--mode", help="The column that tells the operating mode.")] = None,
    ignore: Annotated[list[str] | None, typer.Option("--ignore", help="A column to leave out, such as a label; may be repeated.")] = None,
    healthy: Annotated[float, typer.Option(min=0.01, max=1.0, help="This share of the rows, from the first, is taken as healthy.")] = 0.2,
    as_json: AsJson = False,
) -> None:
    """Find anomalies in a file of your own, which channels explain each, and whether a single channel ever moved like that before."""
    from vigia.analytics.evaluate import own

    found = own.detect(own.read(csv, time, mode, ignore or ()), healthy)
    if as_json:
        _tell(found, as_json=True)
        return
    sys.stdout.write(f"{found.rows} rows, {len(found.channels)} channels, {len(found.findings)} findings\n")
    if found.modes_too_short:
        sys.stdout.write(f"too few rows to judge channels together in mode {', '.join(found.modes_too_short)}\n")
    for one in found.findings:
        why = ", ".join(f"{name} {share:.0%}" for name, share in one.channels.items())
        said = f"{one.first} to {one.last}  {one.detector}{f', mode {one.mode}' if one.mode else ''}: {why} (score {one.score})"
        sys.stdout.write(f"{said}{_opinion(one.second_opinion)}\n")


def _opinion(found: "Mapping[str, Any] | None") -> str:
    """A second opinion as the end of a line."""
    if found is None:
        return ""
    if "refused" in found:
        return f"; its shape not compared: {found['refused'].replace('_', ' ')}"
    as_unusual = round(found["p_value"] * (found["compared"] + 1)) - 1
    return f"; its shape most like {found['nearest_at']}, {as_unusual} of {found['compared']} stretches before were as unusual"


def _tell(found: "DataclassInstance", *, as_json: bool) -> None:
    """NaN and infinity, which JSON has no word for, are null."""
    plain = _plain(asdict(found))
    sys.stdout.write(_as_json(plain) if as_json else _as_text(plain))


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a result holds
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _require_file(option: str, path: Path) -> None:
    """Raise ConfigError, before a database is started, when there is no such file."""
    if not path.is_file():
        raise ConfigError(f"{option} {path}: there is no such file.")


def _units(text: str | None) -> list[int] | None:
    """The numbers in e.g. "1-40,61"; None means all. Raises ConfigError."""
    if text is None:
        return None
    found: set[int] = set()
    with contextlib.suppress(ValueError):
        for part in text.split(","):
            first, dash, last = part.partition("-")
            some = range(int(first), int(last if dash else first) + 1)
            if some.stop - some.start > MOST_UNITS:
                raise ValueError
            found.update(some)
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
