"""Which work order a failure case calls for, and the states an order goes through."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from vigia.domain.contracts import Contract
from vigia.domain.errors import TransitionRefusedError
from vigia.domain.failure_cases import FailureCase
from vigia.domain.risk import Priority


class State(StrEnum):
    """The life of an order; a visit is the booking of a technician for it and has its own times."""

    DRAFT = "draft"
    TRIAGED = "triaged"
    APPROVED = "approved"
    SCHEDULED = "scheduled"
    DISPATCHED = "dispatched"
    ACCEPTED = "accepted"
    TRAVELLING = "travelling"
    IN_PROGRESS = "in_progress"
    ON_HOLD = "on_hold"
    WORK_DONE = "work_done"
    VERIFIED = "verified"
    CLOSED = "closed"
    CANNOT_COMPLETE = "cannot_complete"
    CANCELLED = "cancelled"


class Kind(StrEnum):
    """Why the order was raised: before a failure, or after it. It stays, whatever happens until the visit."""

    PREDICTIVE = "predictive"
    CORRECTIVE = "corrective"


class Autonomy(StrEnum):
    """How far a prediction goes without a person: tell, prepare the order, or raise and dispatch it."""

    NOTIFY = "notify"
    DRAFT = "draft"
    AUTO = "auto"


class Verdict(StrEnum):
    """What the technician or the shop found; the label the models learn from."""

    CONFIRMED = "confirmed"
    EARLY = "early"
    WRONG = "wrong"
    INCONCLUSIVE = "inconclusive"


FINAL = frozenset({State.CLOSED, State.CANNOT_COMPLETE, State.CANCELLED})

_FIELD = (State.ACCEPTED, State.TRAVELLING, State.IN_PROGRESS)

# Steps forward may be left out where nobody needed them: a planned visit is started on site without having been accepted first.
NEXT: Mapping[State, frozenset[State]] = {
    State.DRAFT: frozenset({State.TRIAGED, State.APPROVED, State.CANCELLED}),
    State.TRIAGED: frozenset({State.APPROVED, State.CANCELLED}),
    State.APPROVED: frozenset({State.SCHEDULED, State.CANCELLED}),
    State.SCHEDULED: frozenset({State.APPROVED, State.DISPATCHED, State.CANCELLED}),
    State.DISPATCHED: frozenset({*_FIELD, State.SCHEDULED, State.ON_HOLD, State.CANCELLED}),
    State.ACCEPTED: frozenset(
        {State.TRAVELLING, State.IN_PROGRESS, State.SCHEDULED, State.ON_HOLD, State.CANNOT_COMPLETE, State.CANCELLED}
    ),
    State.TRAVELLING: frozenset({State.IN_PROGRESS, State.ON_HOLD, State.CANNOT_COMPLETE, State.CANCELLED}),
    State.IN_PROGRESS: frozenset({State.ON_HOLD, State.WORK_DONE, State.CANNOT_COMPLETE}),
    State.ON_HOLD: frozenset({State.SCHEDULED, *_FIELD, State.CANNOT_COMPLETE, State.CANCELLED}),
    State.WORK_DONE: frozenset({State.IN_PROGRESS, State.VERIFIED}),
    State.VERIFIED: frozenset({State.CLOSED}),
    State.CLOSED: frozenset(),
    State.CANNOT_COMPLETE: frozenset(),
    State.CANCELLED: frozenset(),
}

STEPS: Mapping[Kind, tuple[str, ...]] = {
    Kind.PREDICTIVE: (
        "review_diagnosis",
        "secure_aircraft",
        "inspect_borescope",
        "remove_engine",
        "install_engine",
        "check_leaks",
        "run_on_ground",
        "release_to_service",
    ),
    Kind.CORRECTIVE: (
        "secure_aircraft",
        "find_cause",
        "remove_engine",
        "install_engine",
        "check_leaks",
        "run_on_ground",
        "release_to_service",
    ),
}
"""Codes of the steps of an engine change; the pages translate them."""


@dataclass(frozen=True)
class NewWorkOrder:
    """An order to be raised. `state` says whether it waits for a person (draft) or goes to dispatch (approved)."""

    kind: Kind
    state: State
    priority: Priority
    due_at: datetime
    steps: tuple[str, ...]


def advance(state: State, to: State) -> State:
    """`to`, if an order in `state` may go there. Raises TransitionRefusedError otherwise."""
    if to not in NEXT[state]:
        message = f"A work order that is {_words(state)} cannot become {_words(to)}."
        raise TransitionRefusedError(message)
    return to


def autonomy_after(stage: Autonomy, *, proved_wrong: bool) -> Autonomy:
    """How far the next prediction for a machine goes: once one proved wrong there, a person looks before a technician travels again."""
    return Autonomy.DRAFT if proved_wrong and stage is Autonomy.AUTO else stage


def work_order_for(case: FailureCase, contract: Contract, autonomy: Autonomy, predicted: Priority, now: datetime) -> NewWorkOrder | None:
    """The order `contract` promises for `case`, or None if none is due.

    A machine that has failed always gets its order; `autonomy` gates only what a prediction may cause. `predicted` is the
    priority the prediction warrants.
    """
    if not case.open:
        return None
    if case.failed_at is not None:
        due_at = case.failed_at + contract.corrective_lead + contract.visit_duration
        return NewWorkOrder(Kind.CORRECTIVE, State.APPROVED, Priority.CRITICAL, due_at, STEPS[Kind.CORRECTIVE])
    if autonomy is Autonomy.NOTIFY:
        return None
    state = State.APPROVED if autonomy is Autonomy.AUTO else State.DRAFT
    due_at = now + contract.predictive_lead + contract.visit_duration
    return NewWorkOrder(Kind.PREDICTIVE, state, predicted, due_at, STEPS[Kind.PREDICTIVE])


def _words(state: State) -> str:
    return state.value.replace("_", " ")
