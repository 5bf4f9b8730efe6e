"""The OpenAPI document agrees with the routes and with the answers."""

import re

import jsonschema
import pytest
from starlette.routing import Route

from floorline.gateway.api.app import routes
from floorline.gateway.api.openapi import document
from floorline.gateway.startup import Gateway

METHODS = {"get", "post", "put", "patch", "delete"}


def operations():
    """Method and path of every operation in the document."""
    return {
        (method.upper(), path)
        for path, item in document()["paths"].items()
        for method in METHODS & item.keys()
    }


def test_the_document_lists_every_route_and_no_other():
    # The endpoints only keep the gateway until a request comes.
    gateway = Gateway.__new__(Gateway)
    listed = set()
    for route in routes(gateway):
        assert isinstance(route, Route)
        path = re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path)
        listed |= {(method, path) for method in route.methods - {"HEAD"}}
    assert operations() == listed


def test_every_path_parameter_is_described():
    for path, item in document()["paths"].items():
        named = set(re.findall(r"\{(\w+)\}", path))
        described = {p["name"] for p in item.get("parameters", []) if p["in"] == "path"}
        assert described == named, path


def test_every_reference_has_its_schema():
    whole = document()
    schemas = whole["components"]["schemas"]
    used = set(re.findall(r"#/components/schemas/(\w+)", str(whole)))
    assert used <= schemas.keys()


def test_every_operation_says_what_it_does_and_what_it_answers():
    for path, item in document()["paths"].items():
        for method in METHODS & item.keys():
            operation = item[method]
            assert operation["summary"], (method, path)
            assert any(status.startswith("2") for status in operation["responses"]), (method, path)


@pytest.mark.parametrize(
    "name",
    [
        "Candidate",
        "Explanation",
        "FeedbackBatch",
        "FeedbackItem",
        "FeedbackReceipt",
        "Options",
        "OutcomeItem",
        "Routed",
        "Status",
        "Step",
    ],
)
def test_every_field_of_our_own_objects_is_described(name):
    schema = document()["components"]["schemas"][name]
    assert "----" not in schema["description"]
    assert [f for f, one in schema["properties"].items() if not one.get("description")] == []


@pytest.mark.parametrize("path", ["/readyz", "/healthz", "/v1/models", "/v1/slas", "/openapi.json"])
def test_answers_fit_the_document(gateway, path):
    answer = gateway.http.get(path)
    whole = gateway.http.get("/openapi.json").json()
    described = whole["paths"][path]["get"]["responses"][str(answer.status_code)]
    schema = {
        **described["content"]["application/json"]["schema"],
        "components": whole["components"],
    }
    jsonschema.Draft202012Validator(schema).validate(answer.json())


def test_readiness_names_errors_and_warnings(gateway):
    assert gateway.http.get("/readyz").json() == {"status": "ready", "errors": [], "warnings": []}
