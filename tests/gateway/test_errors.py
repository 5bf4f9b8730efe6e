"""How errors of the library and failures of providers become errors of clients."""

import json
import re
import typing
from pathlib import Path

import pytest

from floorline.errors import (
    BudgetExhausted,
    ConfigError,
    FloorlineError,
    InvalidInput,
    StoreUnavailable,
    UnknownDecision,
)
from floorline.gateway.api.openapi import document
from floorline.gateway.errors import ApiError, api_error, unexpected, upstream_status
from floorline.gateway.upstreams import UpstreamError
from floorline.gateway.upstreams.errors import FailureKind

KINDS = typing.get_args(FailureKind)


def answer(error):
    response = api_error(error).response()
    return response.status_code, json.loads(response.body)["error"], dict(response.headers)


@pytest.mark.parametrize(
    ("error", "status", "kind", "code", "param", "retry_after"),
    [
        (UnknownDecision("gone"), 404, "invalid_request_error", "decision_not_found", "id", None),
        (BudgetExhausted("g", "d-1", {}), 429, "rate_limit_error", "budget_exhausted", None, "60"),
        (
            InvalidInput("floor", 2, "give less"),
            400,
            "invalid_request_error",
            "invalid_value",
            "floor",
            None,
        ),
        (
            ConfigError(["one", "two"]),
            400,
            "invalid_request_error",
            "invalid_value",
            None,
            None,
        ),
        (StoreUnavailable("full"), 503, "api_error", "log_unavailable", None, "5"),
        (FloorlineError("other"), 500, "api_error", "internal_error", None, None),
        (
            ApiError(403, "no", code="missing_scope"),
            403,
            "permission_error",
            "missing_scope",
            None,
            None,
        ),
    ],
)
def test_errors_of_the_library(error, status, kind, code, param, retry_after):
    given, body, headers = answer(error)
    text = "one; two" if isinstance(error, ConfigError) else str(error)
    assert (given, body) == (
        status,
        {"message": text, "type": kind, "param": param, "code": code},
    )
    assert headers.get("retry-after") == retry_after


@pytest.mark.parametrize("kind", KINDS)
def test_every_failure_of_a_provider_has_a_status_and_a_code(kind):
    failure = UpstreamError("model 'm' failed", kind, retry_after=1.5)
    status, body, headers = answer(failure)
    assert status == upstream_status(failure)
    assert 500 <= status < 600 or status == 429
    assert body["code"] == f"upstream_{kind}"
    assert headers["retry-after"] == "2"


def test_a_providers_429_stays_one():
    assert upstream_status(UpstreamError("busy", "status", status=429)) == 429


def test_the_docs_and_the_openapi_document_name_the_same_failures():
    text = (Path(__file__).parents[2] / "docs" / "upstreams.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|.*\| `([a-z_]+)` \| (\d{3})\b.*\|", text, flags=re.MULTILINE)
    documented = {kind: int(status) for kind, status in rows if kind in KINDS}
    assert documented == {kind: upstream_status(UpstreamError("", kind)) for kind in KINDS}
    chat = document()["paths"]["/v1/chat/completions"]["post"]
    assert {str(status) for status in documented.values()} <= set(chat["responses"])


def test_a_defect_is_logged_and_not_shown(caplog):
    error = unexpected("chat request", KeyError("sk-secret"))
    assert error.status == 500
    assert "sk-secret" not in error.text
    assert "sk-secret" in caplog.text
