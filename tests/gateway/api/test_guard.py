"""What web pages cannot send, and what clients of OpenAI's API can."""

import http.client

import msgspec
import pytest
from tests.support.live_gateway import write_settings

from floorline.config import load_text
from floorline.errors import ConfigError
from floorline.gateway.api.guard import RequestGuard

PAGE = "https://app.example.com"


def ask(gateway, method, path, body=None, **headers):
    """Send exactly these headers; the answer."""
    connection = http.client.HTTPConnection(gateway.url.removeprefix("http://"), timeout=60)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    given = {"host": "localhost", **{n.replace("_", "-"): v for n, v in headers.items()}}
    for name, values in given.items():
        for value in values if isinstance(values, list) else [values]:
            if value is not None:
                connection.putheader(name, value)
    if body is not None:
        connection.putheader("content-length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    answer.content = answer.read()
    connection.close()
    return answer


def post(gateway, path="/v1/chat/completions", **headers):
    body = b'{"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}]}'
    return ask(gateway, "POST", path, body, **{"content_type": "application/json", **headers})


def error(answer):
    return msgspec.json.decode(answer.content)["error"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/route"])
@pytest.mark.parametrize(
    "kind",
    [
        None,
        "",
        "text/plain",
        "text/plain; charset=utf-8, application/json",
        "text/plain;application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
        ["application/json", "text/plain"],
        ["text/plain", "application/json"],
        "\xff",
    ],
)
def test_a_body_that_is_not_said_to_be_json_is_415(kind, path, gateway):
    answer = post(gateway, path, content_type=kind)
    assert answer.status == 415
    assert "send JSON with the header 'Content-Type: application/json'" in error(answer)["message"]


@pytest.mark.parametrize(
    "kind",
    ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON;charset=UTF-8"],
)
def test_json_with_parameters_is_taken(kind, gateway):
    assert post(gateway, content_type=kind).status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example",
     "10.0.0.1", "[::2]", "localhost@evil.example", "localhost/evil", "localhost:x", "", "[::1%x]",
     "evil.example, localhost", "\xff"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_name_that_is_not_this_server_is_refused(host, method, gateway):
    path = "/v1/slas" if method == "GET" else "/v1/zoo/models/x"
    answer = ask(gateway, method, path, host=host, content_type="application/json")
    assert answer.status == 403
    assert error(answer)["code"] == "host_not_allowed"
    assert "server.allowed_hosts" in error(answer)["message"]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.:1", "127.0.0.1:8080", "127.8.8.8", "[::1]", "[::1]:80"]
)
def test_names_of_this_machine_are_taken(host, gateway):
    assert post(gateway, host=host).status == 200


@pytest.mark.parametrize("host", [None, ["localhost", "evil.example"]])
def test_one_host_is_sent(host, gateway):
    assert post(gateway, host=host).status == 400


def test_the_health_of_the_process_needs_no_name(gateway):
    assert ask(gateway, "GET", "/healthz", host="10.1.2.3:8080").status == 200
    assert ask(gateway, "GET", "/readyz", host="10.1.2.3:8080").status == 403


@pytest.mark.parametrize("origin", [PAGE, "null", "http://localhost", "http://127.0.0.1:8080", ""])
def test_requests_of_web_pages_are_refused(origin, gateway):
    for answer in (
        post(gateway, origin=origin),
        ask(gateway, "GET", "/v1/slas", origin=origin),
        ask(gateway, "OPTIONS", "/v1/chat/completions", origin=origin,
            access_control_request_method="POST"),
    ):  # fmt: skip
        assert answer.status == 403
        assert error(answer)["code"] == "origin_not_allowed"
        assert answer.getheader("access-control-allow-origin") is None


@pytest.fixture
def open_to_a_page(start, provider):
    return start(write_settings(provider, server={"cors_origins": [PAGE]}))


def test_a_configured_page_may_send_and_read(open_to_a_page):
    asked = ask(
        open_to_a_page,
        "OPTIONS",
        "/v1/chat/completions",
        origin=PAGE,
        access_control_request_method="POST",
        access_control_request_headers="authorization,content-type,x-stainless-os",
        access_control_request_private_network="true",
    )
    assert (asked.status, asked.content) == (204, b"")
    assert asked.getheader("access-control-allow-origin") == PAGE
    assert "POST" in asked.getheader("access-control-allow-methods")
    assert "x-stainless-os" in asked.getheader("access-control-allow-headers")
    assert asked.getheader("access-control-allow-private-network") == "true"
    assert asked.getheader("access-control-allow-credentials") is None
    for answer in (
        post(open_to_a_page, origin=PAGE),
        post(open_to_a_page, "/v1/route", origin=PAGE),
        post(open_to_a_page, "/v1/nothing", origin=PAGE),
        post(open_to_a_page, origin=PAGE, content_type="text/plain"),
        ask(open_to_a_page, "GET", "/v1/models", origin=PAGE),
    ):
        assert answer.getheader("access-control-allow-origin") == PAGE
        assert answer.getheader("vary") == "Origin"
        assert "x-floorline-decision" in answer.getheader("access-control-expose-headers")
    assert post(open_to_a_page, origin=PAGE).status == 200


@pytest.mark.parametrize(
    "origin",
    [PAGE + ".evil.example", "http://app.example.com", PAGE + ":444", PAGE.upper(), "null"],
)
def test_a_page_that_is_like_a_configured_one_is_refused(origin, open_to_a_page):
    assert post(open_to_a_page, origin=origin).status == 403


def test_two_origins_are_none(open_to_a_page):
    assert post(open_to_a_page, origin=[PAGE, PAGE]).status == 403


def test_a_preflight_repeats_no_header_that_is_none(open_to_a_page):
    asked = ask(
        open_to_a_page,
        "OPTIONS",
        "/v1/chat/completions",
        origin=PAGE,
        access_control_request_method="POST",
        access_control_request_headers="x" * 3000,
    )
    assert asked.getheader("access-control-allow-headers") == "authorization, content-type"


def test_requests_without_an_origin_get_no_cors_headers(open_to_a_page):
    assert post(open_to_a_page).getheader("access-control-allow-origin") is None


def scope(host, path="/v1/slas"):
    return {"path": path, "method": "GET", "headers": [(b"host", host)]}


def allows(name, /, **server):
    auth = server.pop("auth", "keys")
    text = write_settings("http://127.0.0.1:1", auth=auth, server=server)
    settings = load_text(text)
    guard = RequestGuard(lambda: settings)
    return guard.check(scope(name)) is None


def test_behind_keys_a_server_for_other_machines_has_any_name():
    assert allows(b"llm.example.com", host="0.0.0.0")
    assert not allows(b"llm.example.com", host="127.0.0.1")
    assert not allows(b"llm.example.com", auth="none")


def test_a_list_of_names_holds_everywhere():
    for host in ("0.0.0.0", "127.0.0.1"):
        given = {"host": host, "allowed_hosts": ["LLM.example.com", "*.corp.example"]}
        assert allows(b"llm.example.com:443", **given)
        assert allows(b"a.b.corp.example", **given)
        assert not allows(b"corp.example", **given)
        assert not allows(b"llm.example.com.evil.example", **given)
        assert allows(b"localhost", **given)


def test_the_bound_address_is_a_name():
    assert allows(b"10.0.0.7:8080", host="10.0.0.7", allowed_hosts=["llm.example.com"])


def test_remembered_hosts_are_bounded():
    text = write_settings("http://127.0.0.1:1")
    settings = load_text(text)
    guard = RequestGuard(lambda: settings)
    for number in range(3000):
        assert guard.check(scope(b"host-%d" % number)) is not None
    assert len(guard._hosts._known) <= 1024
    guard.check(scope(b"x" * 60_000))
    assert max(map(len, guard._hosts._known)) < 300
    assert guard.check(scope(b"localhost")) is None


def test_a_reload_changes_the_rules():
    first = load_text(write_settings("http://127.0.0.1:1"))
    second = load_text(
        write_settings("http://127.0.0.1:1", server={"allowed_hosts": ["a.example"]})
    )
    settings = [first]
    guard = RequestGuard(lambda: settings[0])
    assert guard.check(scope(b"a.example")) is not None
    settings[0] = second
    assert guard.check(scope(b"a.example")) is None


@pytest.mark.parametrize(
    ("server", "problem"),
    [
        ({"cors_origins": ["*"]}, "give scheme and host of a web page"),
        ({"cors_origins": ["null"]}, "give scheme and host of a web page"),
        ({"cors_origins": ["https://a.example/path"]}, "give scheme and host of a web page"),
        ({"allowed_hosts": ["*"]}, "give a host name without scheme and port"),
        ({"allowed_hosts": ["https://a.example"]}, "give a host name without scheme and port"),
        ({"allowed_hosts": ["a.example:80"]}, "give a host name without scheme and port"),
    ],
)
def test_rules_that_are_too_wide_or_malformed(server, problem):
    with pytest.raises(ConfigError, match=problem):
        load_text(write_settings("http://127.0.0.1:1", server=server))


def test_a_body_that_says_it_is_too_large_is_not_read(gateway):
    answer = ask(
        gateway,
        "POST",
        "/v1/route",
        content_type="application/json",
        content_length=str(10**9),
    )
    assert answer.status == 413
    assert "larger than 20,971,520 bytes (server.max_body)" in error(answer)["message"]
    small = ask(gateway, "POST", "/v1/nothing", b"{}", content_type="application/json")
    assert small.status == 404
