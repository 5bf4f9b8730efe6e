"""Spellings of a path that mean the same, and what is said of wrong ones."""

import http.client
import json
from types import SimpleNamespace

import httpx2 as httpx
import openai
import pytest
from tests.support.live_gateway import Live, write_settings

from floorline.gateway.api.openapi import document
from floorline.gateway.api.paths import base_url, explain_missing, unify

CHAT = {"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}]}


@pytest.fixture(scope="module")
def gateway(provider, tmp_path_factory):
    """One gateway for all requests, which leave nothing behind."""
    started = Live(write_settings(provider), tmp_path_factory.mktemp("shared"))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def served(tmp_path_factory, provider):
    """A gateway below /llm."""
    text = write_settings(provider, server={"root_path": "/llm"})
    gateway = Live(text, tmp_path_factory.mktemp("served"))
    yield gateway
    gateway.stop()


def ask(gateway, path, method="POST"):
    """Send a path as it is written, which clients tidy up; follow no redirect."""
    connection = http.client.HTTPConnection(gateway.url.removeprefix("http://"), timeout=60)
    body = json.dumps(CHAT) if method == "POST" else None
    connection.request(method, path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return SimpleNamespace(
        status=answer.status, headers=answer.headers, value=json.loads(data) if data else None
    )


@pytest.mark.parametrize("prefix", ["", "/llm"])
@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/v1/chat/completions/",
        "/v1//chat/completions",
        "//v1/chat///completions//",
        "/v1/chat/completions?api-version=2024-10-21",
        "/v1/chat/completions/?api-version=2024-10-21&x=/v2/",
        "/v1/%63hat/completions",
        "/v1/chat%2Fcompletions",
    ],
)
def test_a_post_reaches_its_endpoint(served, prefix, path):
    answer = ask(served, prefix + path)
    assert answer.status == 200, answer.value
    assert answer.value["choices"]


@pytest.mark.parametrize("prefix", ["", "/llm"])
@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/models/", "data"),
        ("//v1/models", "data"),
        ("/v1/models/floorline/gold/", "id"),
        ("/v1/models/floorline%2Fgold", "id"),
        ("/v1/slas/gold/", "name"),
        ("/healthz/", "status"),
        ("/readyz/", "status"),
        ("/openapi.json/", "paths"),
    ],
)
def test_a_get_reaches_its_endpoint(served, prefix, path, field):
    answer = ask(served, prefix + path, "GET")
    assert answer.status == 200, answer.value
    assert field in answer.value
    assert ask(served, prefix + path, "HEAD").status == 200


def test_the_document_names_the_path_of_the_proxy(served, gateway):
    assert ask(served, "/llm/openapi.json", "GET").value["servers"] == [{"url": "/llm"}]
    assert "servers" not in ask(gateway, "/openapi.json", "GET").value


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("/chat/completions", "/v1/chat/completions"),
        ("/v1/v1/chat/completions", "/v1/chat/completions"),
        ("/api/chat/completions", "/v1/chat/completions"),
        ("/api/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/chat/completions/chat/completions", "/v1/chat/completions"),
        ("/feedback", "/v1/feedback"),
        ("/v2/route", "/v1/route"),
        ("/zoo/models", "/v1/zoo/models"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/llm"])
def test_a_wrong_base_url_is_told_the_right_one(served, prefix, path, right):
    answer = ask(served, prefix + path)
    assert answer.status == 404
    host = served.url.removeprefix("http://")
    message = answer.value["error"]["message"]
    assert message.startswith(f"there is no path {path}, but {right}: ")
    assert message.endswith(f"to http://{host}/llm/v1")
    assert answer.value["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("/models", "/v1/models"),
        ("/v1/v1/models/floorline/gold", "/v1/models/floorline/gold"),
        ("/slas/gold", "/v1/slas/gold"),
    ],
)
def test_a_wrong_base_url_of_a_get(served, path, right):
    message = ask(served, path, "GET").value["error"]["message"]
    assert message.startswith(f"there is no path {path}, but {right}: ")


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/images/generations", "/v1/files"])
def test_what_the_gateway_does_not_serve(served, path):
    answer = ask(served, path)
    assert answer.status == 404
    assert "use chat completions (POST /v1/chat/completions)" in answer.value["error"]["message"]


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/favicon.ico", "/v1/chat", "/%00", "/%ff"])
def test_any_other_path(served, path):
    answer = ask(served, path, "GET")
    assert answer.status == 404
    assert "see /openapi.json; the base URL of clients is " in answer.value["error"]["message"]


def test_an_error_repeats_no_more_than_it_has_to(served):
    message = ask(served, "/" + "x" * 5000, "GET").value["error"]["message"]
    assert len(message) < 500


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        ("/v1/chat/completions", "GET", "POST"),
        ("/v1/chat/completions", "PUT", "POST"),
        ("/v1/models", "POST", "GET, HEAD"),
        ("/llm/v1/feedback/", "DELETE", "POST"),
        ("/v1/zoo/models/x", "GET", "DELETE"),
    ],
)
def test_a_wrong_method(served, path, method, allowed):
    answer = ask(served, path, method)
    assert (answer.status, answer.headers["allow"]) == (405, allowed)
    right = path.removeprefix("/llm").rstrip("/")
    assert answer.value["error"]["message"] == f"{right} does not take {method}: use {allowed}"


def test_options_lists_the_methods(served):
    answer = ask(served, "/v1/chat/completions", "OPTIONS")
    assert (answer.status, answer.headers["allow"], answer.value) == (204, "POST", None)


@pytest.mark.parametrize("path", ["", "/v1/v1", "/api/v1"])
def test_the_openai_client_says_what_to_correct(gateway, path):
    right = f"{gateway.url}/v1"
    with openai.OpenAI(base_url=gateway.url + path, api_key="unused", max_retries=0) as client:
        with pytest.raises(openai.NotFoundError, match="set the base URL") as caught:
            client.chat.completions.create(**CHAT)
        assert right in caught.value.message
        with pytest.raises(openai.NotFoundError, match=right):
            list(client.models.list())


@pytest.mark.parametrize("path", ["/v1/", "/v1//", "//v1"])
def test_the_openai_client_with_too_many_slashes(gateway, path):
    with openai.OpenAI(base_url=gateway.url + path, api_key="unused", max_retries=0) as client:
        assert client.chat.completions.create(**CHAT).choices
        assert list(client.models.list())


def scope(path, root="", **more):
    return {
        "path": path,
        "scheme": "http",
        "headers": [(b"host", b"h:1")],
        "root_path": root,
        **more,
    }


@pytest.mark.parametrize(
    ("path", "root", "unified"),
    [
        ("/llm/v1/models", "/llm", "/v1/models"),
        ("/v1/models", "/llm", "/v1/models"),
        ("/llm", "/llm", "/"),
        ("/llmx/v1", "/llm", "/llmx/v1"),
        ("/a/b/v1//x/", "/a/b", "/v1/x"),
        ("/", "", "/"),
        ("///", "", "/"),
    ],
)
def test_paths_are_unified(path, root, unified):
    asked = scope(path)
    unify(asked, root)
    assert asked["path"] == unified


def test_the_base_url_of_a_request_without_a_host():
    asked = scope("/x") | {"headers": []}
    assert base_url(asked) == "http://HOST:PORT/v1"
    assert "http://HOST:PORT/v1" in explain_missing(asked, document()["paths"])


def test_requests_of_a_browser_to_a_wrong_path_are_checked_first(gateway):
    with httpx.Client(base_url=gateway.url, timeout=60) as client:
        assert client.post("/chat/completions/", data={"a": "b"}).status_code == 415
        assert client.get("/healthz/", headers={"host": "any.example"}).status_code == 200
        assert client.get("/models/", headers={"host": "any.example"}).status_code == 403
