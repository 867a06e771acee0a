"""The OpenAPI document: what FastAPI derives from the routes, with the errors as they really are."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from vigia.api.problems import ProblemBody, declared

COOKIE = {
    "type": "apiKey",
    "in": "cookie",
    "name": "vigia_session",
    "description": "Set by POST /api/v1/session. Unsafe requests carry its CSRF token in X-CSRF-Token or the form field csrf_token.",
}
METHODS = ("get", "put", "post", "delete", "patch")


def install(app: FastAPI) -> None:
    """Let `app` serve this document."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = build(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def build(app: FastAPI) -> dict[str, Any]:
    """The document of `app`'s routes."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=[{"name": name, "description": text} for name, text in TAGS.items()],
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs"))
    schemas["Problem"] = problem
    document["components"].setdefault("securitySchemes", {})["cookie"] = COOKIE
    for path in document["paths"].values():
        for method in METHODS:
            if method in path:
                _declare_errors(path[method])
    return document


def _declare_errors(operation: dict[str, Any]) -> None:
    """Errors that follow from what the operation is: an operation with input can be invalid, one with a caller can lack it."""
    statuses = {500, 503}
    if operation.get("parameters") or operation.get("requestBody"):
        statuses |= {400, 422}
    if operation.get("security"):
        operation["security"].append({"cookie": []})
        statuses.add(401)
        if "requestBody" in operation:
            statuses.add(403)
    responses = operation["responses"]
    responses.update({str(status): response for status, response in declared(*statuses).items()})
    operation["responses"] = dict(sorted(responses.items()))


TAGS = {
    "session": "Log in, log out, who am I.",
    "equipment": "Customers, sites, assets and their measuring points.",
    "gateways": "Who may come in, and as whom.",
    "telemetry": "What the machines measured, and whether all of it arrived.",
    "commands": "What machines are told from afar, and what came of it.",
    "predictions": "What is expected, and what was found unusual.",
    "models": "What predicts.",
    "alarms": "Alarms after ISA-18.2, and the failure cases they belong to.",
    "work": "Work orders and visits.",
    "outcome": "Contracts and what was delivered under them.",
    "live": "Changes as they happen.",
    "operation": "For whoever operates the system.",
}
