"""Headers of proxies are believed if the proxy is trusted, and only then."""

import json
import logging

import pytest
from tests.support.live_gateway import write_settings

from floorline.gateway.api.forwarded import TrustedProxies
from floorline.gateway.api.guard import RequestGuard

CHAT = {"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}]}


def read(networks, client, **headers):
    """What is known of a request after its headers were read, if they were."""
    pairs = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    scope = {"client": client, "scheme": "http", "headers": pairs}
    proxies = TrustedProxies(networks)
    host = proxies.read(scope) if proxies.trust(scope) else None
    address = None if scope["client"] is None else scope["client"][0]
    return address, scope["scheme"], host, scope.get("app_root_path")


@pytest.mark.parametrize(
    ("networks", "client", "trusted"),
    [
        (["10.0.0.0/8"], ("10.1.2.3", 1), True),
        (["10.0.0.0/8"], ("11.1.2.3", 1), False),
        (["10.0.0.7"], ("10.0.0.7", 1), True),
        (["10.0.0.0/8"], ("::ffff:10.1.2.3", 1), True),
        (["fd00::/8"], ("fd00::1", 1), True),
        (["fe80::/10"], ("fe80::1%eth0", 1), True),
        (["fd00::/8"], ("10.1.2.3", 1), False),
        (["10.0.0.0/8"], None, False),
        (["unix"], None, True),
        (["unix"], ("127.0.0.1", 1), False),
        (["10.0.0.0/8"], ("testclient", 1), False),
        (["0.0.0.0/0", "::/0"], ("8.8.8.8", 1), True),
    ],
)
def test_which_proxy_is_trusted(networks, client, trusted):
    proxies = TrustedProxies(networks)
    assert [proxies.trust({"client": client}) for _ in range(2)] == [trusted] * 2


PROXY = ("10.0.0.1", 5)


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        # What is before the first untrusted hop, anyone can have written.
        ("1.1.1.1, 203.0.113.9", "203.0.113.9"),
        ("1.1.1.1, 203.0.113.9, 10.0.0.2,10.9.9.9", "203.0.113.9"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("203.0.113.9, unknown", "10.0.0.1"),
        ("unknown, 10.0.0.2", "10.0.0.2"),
        ("", "10.0.0.1"),
        ("x" * 9000, "10.0.0.1"),
        (", ".join(["203.0.113.9"] + ["10.0.0.2"] * 500), "10.0.0.2"),
    ],
)
def test_the_address_of_the_client(written, address):
    assert read(["10.0.0.0/8"], PROXY, x_forwarded_for=written)[0] == address
    for proxy in (("11.0.0.1", 5), None):
        assert read(["10.0.0.0/8"], proxy, x_forwarded_for=written)[0] in ("11.0.0.1", None)


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"x_forwarded_proto": "https"}, ("https", None, None)),
        ({"x_forwarded_proto": "HTTPS, http"}, ("https", None, None)),
        ({"x_forwarded_proto": "wss"}, ("http", None, None)),
        ({"x_forwarded_host": "a.example, b"}, ("http", b"a.example", None)),
        ({"x_forwarded_prefix": "/llm/"}, ("http", None, "/llm")),
        ({"x_forwarded_prefix": "//evil.example"}, ("http", None, None)),
        ({"x_forwarded_prefix": "/a b"}, ("http", None, None)),
        (
            {"forwarded": 'for="[2001:db8::1]:4711";proto=https;host=a.example'},
            ("https", b"a.example", None),
        ),
        ({"forwarded": "For=1.1.1.1, for=2.2.2.2; Proto=https"}, ("https", None, None)),
        ({"forwarded": 'host="a.example:8443"'}, ("http", b"a.example:8443", None)),
        ({"forwarded": "by=x;;=,"}, ("http", None, None)),
    ],
)
def test_scheme_host_and_prefix(headers, found):
    assert read(["10.0.0.0/8"], PROXY, **headers)[1:] == found
    assert read(["10.0.0.0/8"], ("8.8.8.8", 1), **headers)[1:] == ("http", None, None)


def test_the_standard_header_names_the_client():
    asked = {"forwarded": 'for=1.1.1.1, for="[2001:db8::1]:47"; proto=https, for=10.0.0.2'}
    assert read(["10.0.0.0/8"], PROXY, **asked)[0] == "2001:db8::1"
    assert read(["10.0.0.0/8"], PROXY, forwarded="for=_hidden")[0] == "10.0.0.1"


@pytest.fixture
def behind(start, provider, tmp_path):
    """Start a gateway that trusts a proxy on this machine, or another one."""

    def begin(proxy="127.0.0.1", **server):
        server = {"trusted_proxies": [proxy], "allowed_hosts": ["llm.example.com"], **server}
        folder = tmp_path / proxy.replace("/", "-")
        folder.mkdir()
        return start(write_settings(provider, server=server), folder)

    return begin


FORWARDED = {
    "x-forwarded-for": "203.0.113.9",
    "x-forwarded-proto": "https",
    "x-forwarded-host": "llm.example.com",
    "x-forwarded-prefix": "/llm",
}


def test_messages_name_the_address_that_the_client_knows(behind):
    gateway = behind()
    answer = gateway.http.post("/chat/completions", json=CHAT, headers=FORWARDED)
    assert "https://llm.example.com/llm/v1" in answer.json()["error"]["message"]
    untrusted = behind("10.0.0.0/8")
    answer = untrusted.http.post("/chat/completions", json=CHAT, headers=FORWARDED)
    assert f"{untrusted.url}/v1" in answer.json()["error"]["message"]


def test_a_forwarded_host_has_to_be_allowed(behind):
    gateway = behind()
    for header in ({"x-forwarded-host": "evil.example"}, {"forwarded": "host=evil.example"}):
        answer = gateway.http.get("/v1/models", headers=header)
        assert answer.status_code == 403
        assert "the X-Forwarded-Host header is 'evil.example'" in answer.json()["error"]["message"]
    assert gateway.http.get("/healthz", headers={"x-forwarded-host": "evil"}).status_code == 200
    # The Host itself is checked as before: a proxy may pass on what its client wrote.
    both = {"host": "evil.example", "x-forwarded-host": "llm.example.com"}
    assert gateway.http.get("/v1/models", headers=both).status_code == 403
    # From others it means nothing.
    answer = behind("10.0.0.0/8").http.get("/v1/models", headers={"x-forwarded-host": "evil"})
    assert answer.status_code == 200


def test_the_origin_of_a_page_is_checked_behind_a_proxy(behind):
    gateway = behind(cors_origins=["https://app.example.com"])
    page = {**FORWARDED, "origin": "https://evil.example"}
    assert gateway.http.get("/v1/models", headers=page).status_code == 403
    page["origin"] = "https://app.example.com"
    assert gateway.http.get("/v1/models", headers=page).status_code == 200


def test_a_defect_is_logged_with_the_clients_address(behind, caplog, monkeypatch):
    gateway = behind()

    def fails():
        raise ZeroDivisionError

    monkeypatch.setattr("floorline.gateway.api.app.document", fails)
    with caplog.at_level(logging.ERROR, "floorline.gateway"):
        assert gateway.http.get("/openapi.json", headers=FORWARDED).status_code == 500
    assert "of 203.0.113.9 failed" in caplog.text


def test_a_proxy_that_is_trusted_after_a_reload(behind):
    gateway = behind("10.0.0.0/8")
    guard = RequestGuard(lambda: gateway.gateway.config.settings)
    asked = {
        "client": ("127.0.0.1", 1),
        "scheme": "http",
        "http_version": "1.1",
        "path": "/v1/models",
        "method": "GET",
        "headers": [(b"host", b"localhost"), (b"x-forwarded-proto", b"https")],
    }
    assert guard.check(asked) is None
    assert asked["scheme"] == "http"
    settings = gateway.gateway.config.settings
    server = settings.server.model_copy(update={"trusted_proxies": ["127.0.0.0/8"]})
    changed = settings.model_copy(update={"server": server})
    gateway.call(gateway.gateway.config.apply, changed)
    assert guard.check(asked) is None
    assert asked["scheme"] == "https"


def test_a_chat_through_a_proxy(behind):
    answer = behind().http.post(
        "/v1/chat/completions",
        content=json.dumps(CHAT),
        headers=FORWARDED | {"content-type": "application/json"},
    )
    assert answer.status_code == 200
