"""The failure models: which one is in charge, which predicts in its shadow, what each learned from, and how one takes over from another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from vigia.api.session import ServiceManager, Transaction
from vigia.domain.errors import TransitionRefusedError
from vigia.domain.models import Complaint, UnfitModelError, complaints, horizons
from vigia.portal import words
from vigia.portal.context import fleet_ui
from vigia.portal.language import N_, Language
from vigia.portal.rendering import answer
from vigia.store import model_drift, models
from vigia.store.model_drift import Drift
from vigia.store.models import Compared, ModelVersion
from vigia.workflows import promote_model, shadow_model

router = APIRouter()

_SAID = {
    "promoted": N_("The model is in charge. Predictions change over within seconds."),
    "rolled-back": N_("The model before it is in charge again. Predictions change over within seconds."),
    "shadow": N_("The model predicts in the shadow. Nothing follows from what it says."),
    "shadow-ended": N_("The model has left the shadow. What it said is kept."),
}
_REFUSED = {
    "refused": N_("Nothing was changed: the models have changed meanwhile. Below they stand as they are now."),
    "checks": N_(
        "Nothing was changed: this model fails its checks. They stand beside it, and with them the way to put it in charge all the same."
    ),
}


@dataclass(frozen=True)
class DriftView:
    """Whether a model in charge still fits: what was found last. `worst` is the input that moved furthest beside machines as worn."""

    day: str
    machines: int
    worst: str
    psi: float | None
    resolved: int
    """machines whose end is known"""
    brier: float | None
    held: float | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class WithinView:
    """'within 30 cycles', and the Brier score of the probability to fail within it beside that of always saying the share of failures."""

    within: str
    brier: float
    brier_of_the_share: float


@dataclass(frozen=True)
class ModelView:
    """A version, its figures on machines that it had not seen (None: it has none) and what may be done with it."""

    row: ModelVersion
    approver: str
    replaces: str
    """the version to which a roll-back returns; empty: there is none"""
    brier: float | None
    brier_of_the_share: float | None
    coverage: float | None
    caught: int | None
    judged: int | None
    """machines for which it is known whether their order would have come in time"""
    machines: int | None
    failures: int | None
    closed_orders: int | None
    complaints: tuple[str, ...]
    horizons: tuple[WithinView, ...] = ()
    """shortest first; none of a model that kept none"""
    drift: DriftView | None = None


@dataclass(frozen=True)
class KindView:
    """The versions for one failure mode of one asset model. `champion_id` is 0 while none is in charge."""

    asset_model: str
    failure_mode: str
    champion: ModelView | None
    shadow: ModelView | None
    compared: Compared | None
    others: tuple[ModelView, ...]

    @property
    def champion_id(self) -> int:
        """What a decision is made against: when another is in charge by then, it is refused."""
        return self.champion.row.model_version_id if self.champion else 0


@dataclass(frozen=True)
class ModelsPage:
    """All failure models. `said` and `problem` are what became of the last click; empty: nothing was clicked."""

    kinds: tuple[KindView, ...]
    said: str
    problem: str


@router.get("/models")
async def show(request: Request, caller: ServiceManager, tx: Transaction, said: str = "") -> Response:
    """The models."""
    ui = await fleet_ui(request, caller, tx, live=False)
    known = _Known(ui.language, await models.approvers(tx), await models.life_units(tx))
    language, drifts, kinds = ui.language, await model_drift.newest(tx), []
    every = sorted(await models.versions(tx), key=lambda one: (one.asset_model, one.failure_mode))
    for _, versions in groupby(every, key=lambda one: (one.asset_model, one.failure_mode)):
        of_kind = list(versions)
        shadow = next((one for one in of_kind if one.shadow), None)
        kinds.append(_kind(known, of_kind, None if shadow is None else await models.compared(tx, shadow.model_version_id), drifts))
    page = ModelsPage(
        tuple(kinds),
        said=language.text(_SAID[said]) if said in _SAID else "",
        problem=language.text(_REFUSED[said]) if said in _REFUSED else "",
    )
    return answer("operations/models.html", page, ui)


@router.post("/models/{model_version_id}/promote")
async def promote(
    model_version_id: int, caller: ServiceManager, tx: Transaction, champion_id: Annotated[int, Form()], anyway: Annotated[str, Form()] = ""
) -> Response:
    """Put in charge, if the one in charge is still `champion_id`. A model that fails its checks needs `anyway`."""
    decided = promote_model.Decided(champion_id or None, anyway=anyway != "")
    try:
        async with tx.transaction():
            await promote_model.handle(tx, model_version_id, datetime.now(UTC), caller.account_id, decided)
    except UnfitModelError:
        return _back("checks")
    except TransitionRefusedError:
        return _back("refused")
    return _back("promoted")


@router.post("/models/{model_version_id}/roll-back")
async def roll_back(model_version_id: int, caller: ServiceManager, tx: Transaction) -> Response:
    """Back to the one before."""
    try:
        async with tx.transaction():
            await promote_model.roll_back(tx, model_version_id, datetime.now(UTC), caller.account_id)
    except TransitionRefusedError:
        return _back("refused")
    return _back("rolled-back")


@router.post("/models/{model_version_id}/begin-shadow")
async def begin_shadow(model_version_id: int, caller: ServiceManager, tx: Transaction) -> Response:
    """Into the shadow."""
    try:
        async with tx.transaction():
            await shadow_model.begin(tx, model_version_id, caller.account_id)
    except TransitionRefusedError:
        return _back("refused")
    return _back("shadow")


@router.post("/models/{model_version_id}/end-shadow")
async def end_shadow(model_version_id: int, caller: ServiceManager, tx: Transaction) -> Response:
    """Out of the shadow."""
    try:
        async with tx.transaction():
            await shadow_model.end(tx, model_version_id, caller.account_id)
    except TransitionRefusedError:
        return _back("refused")
    return _back("shadow-ended")


@dataclass(frozen=True)
class _Known:
    """What the words for a version are made with: names by account, and in what life is counted by asset model."""

    language: Language
    names: Mapping[int, str]
    life_units: Mapping[str, str]


def _kind(known: _Known, versions: Sequence[ModelVersion], compared: Compared | None, drifts: Mapping[int, Drift]) -> KindView:
    champion = next((one for one in versions if one.champion), None)
    shadow = next((one for one in versions if one.shadow), None)
    versions_by_id = {one.model_version_id: one.version for one in versions}

    def view(row: ModelVersion) -> ModelView:
        against = champion.metrics if champion is not None and champion is not row else None
        return _view(known, row, versions_by_id, complaints(row.metrics, against))

    return KindView(
        asset_model=versions[0].asset_model,
        failure_mode=versions[0].failure_mode,
        champion=None if champion is None else replace(view(champion), drift=_drift(known.language, drifts.get(champion.model_version_id))),
        shadow=None if shadow is None else view(shadow),
        compared=compared,
        others=tuple(view(one) for one in versions if one is not champion and one is not shadow),
    )


def _view(known: _Known, row: ModelVersion, versions: Mapping[int, str], against: Sequence[Complaint]) -> ModelView:
    figures = _part(row.metrics, "out_of_fold")
    orders = _part(figures, "orders")
    return ModelView(
        row=row,
        approver=known.names.get(row.approved_by or 0, ""),
        replaces=versions.get(row.replaced_id or 0, ""),
        brier=figures.get("brier"),
        brier_of_the_share=figures.get("brier_of_the_base_rate"),
        coverage=figures.get("coverage80"),
        caught=orders.get("caught"),
        judged=orders.get("machines"),
        machines=row.metrics.get("machines"),
        failures=row.metrics.get("failures"),
        closed_orders=row.metrics.get("closed_orders"),
        complaints=tuple(words.complaint(known.language, one) for one in against),
        horizons=_horizons(known, row),
    )


def _horizons(known: _Known, row: ModelVersion) -> tuple[WithinView, ...]:
    def within(horizon: float) -> str:
        return known.language.text("within %(horizon)s", horizon=words.life(known.language, horizon, known.life_units[row.asset_model]))

    return tuple(WithinView(within(one.horizon), one.brier, one.brier_of_the_share) for one in horizons(row.metrics))


def _drift(language: Language, found: Drift | None) -> DriftView | None:
    if found is None:
        return None
    name, psi = found.worst or ("", None)
    return DriftView(
        day=language.day(datetime(found.day.year, found.day.month, found.day.day, tzinfo=UTC), "UTC"),
        machines=found.machines,
        worst=name,
        psi=psi,
        resolved=found.resolved["machines"],
        brier=found.resolved["brier"],
        held=found.resolved["held"],
        warnings=tuple(words.word(language, words.DRIFTS, code) for code in found.warnings),
    )


def _part(metrics: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = metrics.get(name)
    return found if isinstance(found, Mapping) else {}


def _back(said: str) -> Response:
    return RedirectResponse(f"/models?said={said}", 303)
