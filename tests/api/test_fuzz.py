"""Requests made from the OpenAPI document, right and wrong ones: the server never fails, and answers as documented."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from vigia.api.app import create_app
from vigia.api.config import ApiConfig

load_all_checks()
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

schema = schemathesis.openapi.from_dict(create_app(ApiConfig(dsn="")).openapi()).exclude(operation_id=["follow_events", "log_out"])


# The role that may do most with each operation: for the others tenancy's tests ask.
WHO = {"start_work_order": "technician", "complete_work_order_step": "technician", "finish_work_order": "technician"}


@schema.parametrize()
@settings(max_examples=8, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_an_operation_answers_as_documented_whatever_it_is_sent(case: schemathesis.Case[Any], served: str) -> None:
    who = WHO.get(str(case.operation.definition.raw["operationId"]), "service_manager")
    case.call_and_validate(base_url=served, headers={"Authorization": f"Bearer token-of-{who}"}, checks=CHECKS)
