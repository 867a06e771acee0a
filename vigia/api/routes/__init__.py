"""The REST interface, one file per noun. A route names its caller, asks the store or a workflow, and shapes the answer."""

from fastapi import APIRouter

from vigia.api.routes import health, me, sessions

router = APIRouter()
router.include_router(health.router)
for noun in (sessions, me):
    router.include_router(noun.router, prefix="/api/v1")
