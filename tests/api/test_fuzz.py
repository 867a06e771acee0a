"""Requests made from the OpenAPI document, right and wrong ones: the server never fails, and answers as documented.

schemathesis' own `parametrize` makes all tests while pytest collects them, in each process, and gives them one name under which xdist
runs a single one. Here each operation has its name, and its test is made when it runs.
"""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.pytest._test_builder import build_operation_test
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from vigia.api.app import create_app
from vigia.api.config import ApiConfig

pytestmark = pytest.mark.xdist_group("fuzz")  # all work on the same world, one after the other

load_all_checks()
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

schema = schemathesis.openapi.from_dict(create_app(ApiConfig(dsn="")).openapi()).exclude(operation_id=["follow_events", "log_out"])
OPERATIONS = {operation.ok().definition.raw["operationId"]: operation.ok() for operation in schema.get_all_operations()}

# The role that may do most with each operation: for the others tenancy's tests ask.
WHO = {"start_work_order": "technician", "complete_work_order_step": "technician", "finish_work_order": "technician"}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_answers_as_documented_whatever_it_is_sent(name: str, served: str) -> None:
    headers = {"Authorization": f"Bearer token-of-{WHO.get(name, 'service_manager')}"}

    @settings(max_examples=8, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    def answers_as_documented(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(base_url=served, headers=headers, checks=CHECKS)

    test = build_operation_test(
        config=schema.config, operation=OPERATIONS[name], test_func=answers_as_documented, given_kwargs={}, feedback=FeedbackSources()
    )
    test()
