"""Calls through HTTP proxies."""

import asyncio
import json
import shutil
import ssl
import subprocess

import aiohttp.connector
import pytest
from pydantic import SecretStr
from tests.support import faulty_provider as faults
from tests.support.faulty_provider import FaultyProvider
from tests.support.http_proxy import HttpProxy
from tests.support.upstream_scene import UpstreamScene, openai_error, refused

from floorline.config import load_runtime_model, load_text
from floorline.config.models import ModelDefaults
from floorline.config.proxy import bypassed, read_proxy
from floorline.config.runtime_models import RuntimeModelSettings
from floorline.errors import ConfigError, InvalidInput
from floorline.gateway.ping import ping_all
from floorline.gateway.upstream_config import all_upstream_settings
from floorline.gateway.upstreams import Upstreams, UpstreamSettings


@pytest.fixture
def through():
    """Run a scene with a proxy before the provider."""

    def run(scene_of, provider=None, **about):
        async def whole():
            async with provider or FaultyProvider() as served, HttpProxy(**about) as proxy:
                scene = UpstreamScene(served)
                scene.proxy = proxy
                try:
                    await scene_of(scene)
                finally:
                    await scene.calls.close()

        asyncio.run(whole())

    return run


def with_user(url, user="me", password="s%40cret-word"):
    return SecretStr(url.replace("://", f"://{user}:{password}@"))


@pytest.mark.parametrize("stream", [False, True])
def test_a_plain_request_goes_through_the_proxy(through, stream):
    async def scene(s):
        host = f"http://provider.example:{s.provider.port}/v1"
        await s.upstreams(proxy=with_user(s.proxy.url), endpoint=host)
        answer = await s.ask(stream=stream)
        assert await answer.body()
        ((line, headers),) = s.proxy.requests
        assert line == f"POST {host}/chat/completions HTTP/1.1"
        assert headers["proxy-authorization"].startswith("Basic ")
        # The provider does not get what the proxy gets.
        assert "proxy-authorization" not in s.provider.requests[0]["headers"]

    through(scene, user="me", password="s@cret-word", hosts={"provider.example": "127.0.0.1"})


class TlsProvider(FaultyProvider):
    """The provider with a certificate for localhost."""

    def __init__(self, folder):
        super().__init__()
        key, self.certificate = folder / "key.pem", folder / "cert.pem"
        command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
        command += " -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem"
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(self.certificate, key)

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.context)
        self.port = self._server.sockets[0].getsockname()[1]
        self.base_url = f"https://localhost:{self.port}/v1"
        return self


@pytest.fixture
def tls_provider(tmp_path, monkeypatch):
    """A provider with TLS that calls trust."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    provider = TlsProvider(tmp_path)
    trusting = ssl.create_default_context(cafile=provider.certificate)
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", trusting)
    return provider


def test_tls_goes_through_a_tunnel(through, tls_provider):
    async def scene(s):
        secret = SecretStr("sk-very-secret")
        await s.upstreams(proxy=with_user(s.proxy.url), api_key=secret)
        for _ in range(3):
            assert (await s.ask()).status == 200
        # One tunnel is kept; the proxy sees no more than where it leads.
        ((line, headers),) = s.proxy.requests
        assert line == f"CONNECT localhost:{s.provider.port} HTTP/1.1"
        assert "authorization" not in headers
        assert s.provider.requests[0]["headers"]["authorization"] == "Bearer sk-very-secret"
        assert "proxy-authorization" not in s.provider.requests[0]["headers"]

    through(scene, tls_provider, user="me", password="s@cret-word")


@pytest.mark.parametrize("tls", [False, True])
def test_a_proxy_with_tls(through, tls_provider, tls):
    async def scene(s):
        await s.upstreams(proxy=with_user(s.proxy.url))
        for stream in (False, True):
            answer = await s.ask(stream=stream)
            assert await answer.body()
        assert s.proxy.requests[0][0].startswith("CONNECT" if tls else "POST")

    provider = tls_provider if tls else FaultyProvider()
    through(scene, provider, user="me", password="s@cret-word", context=tls_provider.context)


@pytest.mark.parametrize("tls", [False, True])
def test_a_wrong_password_of_the_proxy(through, tls, request):
    provider = request.getfixturevalue("tls_provider") if tls else None

    async def scene(s):
        await s.upstreams(proxy=with_user(s.proxy.url, password="wrong-word"), retries=2)
        error = await refused(s)
        assert (error.kind, error.fallback) == ("connect", True)
        assert f"the proxy 127.0.0.1:{s.proxy.port} answered 407" in str(error)
        assert "wrong-word" not in str(error) + str(openai_error(error)) + repr(s.calls._models)
        assert len(s.proxy.requests) == 1
        assert s.provider.requests == []

    through(scene, provider, user="me", password="right-word")


def test_a_proxy_that_does_not_run(through):
    async def scene(s):
        await s.upstreams(proxy=SecretStr("http://me:secret-word@127.0.0.1:9"))
        error = await refused(s)
        assert error.kind == "connect"
        assert "no connection to the proxy 127.0.0.1:9" in str(error)
        assert "secret-word" not in str(error)

    through(scene)


def test_what_a_proxy_repeats_of_its_password_is_masked(through):
    async def scene(s):
        await s.upstreams(proxy=with_user(s.proxy.url))
        s.provider.plan(faults.error(400, "me:s@cret-word and s@cret-word are wrong"))
        body = json.loads(await (await s.ask()).body())
        assert body["error"]["message"] == "*** and *** are wrong"

    through(scene, user="me", password="s@cret-word")


def test_hosts_without_the_proxy(through):
    async def scene(s):
        await s.upstreams(proxy=SecretStr(s.proxy.url), no_proxy=["127.0.0.0/8"])
        assert (await s.ask()).status == 200
        assert s.proxy.requests == []

    through(scene)


def test_the_environment_counts_only_if_the_setting_says_so(through, monkeypatch):
    async def scene(s):
        monkeypatch.setenv("HTTP_PROXY", s.proxy.url)
        monkeypatch.setenv("http_proxy", s.proxy.url)
        monkeypatch.setenv("NO_PROXY", "other.example")
        await s.upstreams()
        assert (await s.ask()).status == 200
        assert s.proxy.requests == []
        s.calls.configure({"m": s.settings(proxy=SecretStr("environment"))})
        assert (await s.ask()).status == 200
        assert len(s.proxy.requests) == 1
        s.calls.configure({"m": s.settings(proxy=SecretStr("none"))})
        assert (await s.ask()).status == 200
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        s.calls.configure({"m": s.settings(proxy=SecretStr("environment"), retries=1)})
        assert (await s.ask()).status == 200
        assert len(s.proxy.requests) == 1

    through(scene)


def test_a_proxy_of_the_environment_that_is_no_http_proxy(monkeypatch):
    async def scene():
        monkeypatch.setenv("HTTPS_PROXY", "socks5://me:secret-word@127.0.0.1:1")
        monkeypatch.delenv("https_proxy", raising=False)
        settings = UpstreamSettings(
            model="m", endpoint="https://a.example/v1", proxy=SecretStr("environment")
        )
        calls = Upstreams({"m": settings})
        try:
            with pytest.raises(InvalidInput, match="HTTPS_PROXY") as caught:
                await calls.start()
            assert "secret-word" not in str(caught.value)
        finally:
            await calls.close()

    asyncio.run(scene())


def test_a_model_that_was_added_over_http_has_no_proxy(through):
    async def scene(s):
        await s.upstreams(proxy=SecretStr(s.proxy.url), check_addresses=True)
        assert (await s.ask()).status == 200
        assert s.proxy.requests == []

    through(scene)


@pytest.mark.parametrize(
    ("host", "exceptions", "found"),
    [
        ("api.example.com", ["example.com"], True),
        ("api.example.com", ["*.example.com"], True),
        ("example.com", [".example.com"], True),
        ("notexample.com", ["example.com"], False),
        ("example.com.", ["EXAMPLE.com"], True),
        ("example.com", ["example.com:443"], True),
        ("example.com", ["example.com:8443"], False),
        ("10.1.2.3", ["10.0.0.0/8"], True),
        ("::1", ["[::1]:443"], True),
        ("fd00::7", ["fd00::/8"], True),
        ("a", ["*"], True),
        ("a", ["", " ", "."], False),
        ("10.1.2.3", ["10.1"], False),
    ],
)
def test_exceptions(host, exceptions, found):
    assert bypassed(host, 443, exceptions) is found


@pytest.mark.parametrize("url", ["http://p:3128", "https://p", "p:3128", "http://u@p:1/"])
def test_urls_of_proxies(url):
    assert read_proxy(url)[0].startswith("http")


@pytest.mark.parametrize(
    "proxy", ["socks5://p:1", "http://", "http://p/path", "http://p:99999", "ftp://p", "http://a b"]
)
def test_what_is_no_proxy(proxy):
    written = {"models": [{"name": "m", "endpoint": "http://h/v1", "proxy": f"{proxy}?pass-word"}]}
    with pytest.raises(ConfigError, match=r"models\[0\].proxy") as caught:
        load_text(json.dumps(written | {"slas": [{"name": "a", "floor": 0.5}]}), environ={})
    assert "pass-word" not in str(caught.value)


def test_the_check_of_providers_goes_through_the_proxy():
    async def scene():
        async with FaultyProvider() as provider, HttpProxy("me", "secret-word") as proxy:
            settings = UpstreamSettings(
                model="m",
                endpoint=provider.base_url,
                proxy=with_user(proxy.url, password="secret-word"),
            )
            (found,) = await ping_all({"m": settings}, call=True)
            assert (found.reachable, found.problem) == (True, None)
            lines = [line.split()[0] for line, _ in proxy.requests]
            assert lines == ["GET", "POST"]
            wrong = settings.model_copy(
                update={"proxy": with_user(proxy.url, password="wrong-word")}
            )
            (found,) = await ping_all({"m": wrong}, call=True)
            assert "the proxy" in found.problem
            assert "wrong-word" not in found.problem

    asyncio.run(scene())


def test_a_model_of_the_run_time_takes_no_proxy_and_no_headers_of_clients():
    rules = RuntimeModelSettings(endpoints=[{"url": "https://*.example.com"}])
    given = {"name": "m", "endpoint": "https://eu.example.com/v1"}
    model = load_runtime_model(json.dumps(given).encode(), rules)
    defaults = ModelDefaults(proxy="http://p:1", no_proxy=["a"], pass_headers=["x-user-id"])
    completed = model.completed(defaults)
    assert (completed.proxy, completed.no_proxy, completed.pass_headers) == (None, [], [])
    with pytest.raises(ConfigError, match="proxy"):
        load_runtime_model(json.dumps(given | {"proxy": "http://p:1"}).encode(), rules)


def test_litellm_has_no_proxy_of_its_own():
    models = [{"name": "m", "kind": "litellm", "proxy": "http://p:1"}]
    settings = load_text(
        json.dumps({"models": models, "slas": [{"name": "a", "floor": 0.5}]}), environ={}
    )
    with pytest.raises(ConfigError, match="write proxy: none"):
        all_upstream_settings(settings)
