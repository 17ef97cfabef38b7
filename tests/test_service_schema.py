"""The service against its own OpenAPI: whatever is sent, no fault, and no answer that is not described."""

import pytest

pytest.importorskip("fastapi", reason="the service needs the extra serve")
pytest.importorskip("schemathesis", reason="requests are made by schemathesis")

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import checks
from serving import Quarters, running, service_of

from visavis.gallery import open_gallery

CHECKED = (
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
)


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    gallery = open_gallery(tmp_path_factory.mktemp("gallery") / "test.gallery", Quarters())
    with running(service_of(gallery=gallery)) as url:
        yield schemathesis.openapi.from_url(f"{url}/openapi.json")


def test_no_request_meets_a_fault(schema):
    walked, statuses = 0, set()
    for found in schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy())
        @settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
        def check(case):
            statuses.add(case.call_and_validate(checks=CHECKED).status_code)

        check()
        walked += 1
    assert walked == 12
    assert statuses >= {200, 404, 415, 422}
