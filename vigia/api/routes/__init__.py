"""The REST interface, one file per noun. A route names its caller, asks the store or a workflow, and shapes the answer."""

from fastapi import APIRouter

from vigia.api.routes import (
    alarms,
    assets,
    commands,
    contract_costs,
    contracts,
    customers,
    edge_nodes,
    events,
    failure_cases,
    findings,
    gateways,
    health,
    me,
    models,
    points,
    predictions,
    rollouts,
    sessions,
    telemetry,
    visits,
    work_orders,
)

NOUNS = (
    sessions,
    me,
    customers,
    assets,
    points,
    telemetry,
    commands,
    edge_nodes,
    gateways,
    rollouts,
    predictions,
    models,
    findings,
    alarms,
    failure_cases,
    work_orders,
    visits,
    contracts,
    contract_costs,
    events,
)

router = APIRouter()
router.include_router(health.router)
for noun in NOUNS:
    router.include_router(noun.router)
