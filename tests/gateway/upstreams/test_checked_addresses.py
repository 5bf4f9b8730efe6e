"""Where models of the run time connect to, after their names were resolved."""

import asyncio
import socket

import pytest
from tests.support.faulty_provider import FaultyProvider

from floorline.gateway.upstreams import UpstreamError, Upstreams, UpstreamSettings

BODY = b'{"model": "m", "messages": [{"role": "user", "content": "?"}]}'


def call(endpoint, *, check=True):
    """Call a model, whose provider is at 127.0.0.1 and the port PORT; the answer's status."""

    async def scene():
        async with FaultyProvider() as provider:
            url = endpoint.replace("PORT", str(provider.port))
            settings = UpstreamSettings(
                model="m", endpoint=url, retries=0, check_addresses=check, timeouts={"connect": 2}
            )
            upstreams = Upstreams({"m": settings})
            await upstreams.start()
            try:
                answer = await upstreams.call("m", BODY, stream=False)
                await answer.aclose()
                return answer.status
            finally:
                await upstreams.close()

    return asyncio.run(scene())


@pytest.fixture
def resolves(monkeypatch):
    """Let every name resolve to some addresses."""
    original = socket.getaddrinfo

    def begin(*addresses):
        def resolve(host, port, *args, **kwargs):
            if not str(host).endswith(".example"):
                return original(host, port, *args, **kwargs)
            found = []
            for address in addresses:
                found += original(address, port, type=socket.SOCK_STREAM)
            return found

        monkeypatch.setattr(socket, "getaddrinfo", resolve)

    return begin


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "fe80::1", "fd00:ec2::254", "100.100.100.200", "0.0.0.0", "::ffff:a9fe:1"],
)
def test_a_name_that_resolves_to_a_metadata_service(resolves, address):
    resolves(address)
    with pytest.raises(UpstreamError, match=r"no connection \(its address .* is a") as caught:
        call("http://allowed.example:PORT/v1")
    assert caught.value.kind == "connect"


def test_a_name_that_resolves_to_this_machine(resolves):
    resolves("127.0.0.1")
    with pytest.raises(UpstreamError, match="its name resolves to this machine"):
        call("http://allowed.example:PORT/v1")
    # A model of the file may have such a name.
    assert call("http://allowed.example:PORT/v1", check=False) == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_by_its_own_name(host):
    assert call(f"http://{host}:PORT/v1") == 200


def test_an_address_that_was_not_resolved_is_checked_too():
    with pytest.raises(UpstreamError, match="is an unspecified address"):
        call("http://0.0.0.0:PORT/v1")
    assert call("http://0.0.0.0:PORT/v1", check=False) == 200
