"""Headers of clients to providers, and ids of providers' requests to clients."""

import asyncio

import openai
import pytest
from tests.support import faulty_provider as fp
from tests.support.faulty_provider import FaultyProvider
from tests.support.live_gateway import InThread, Live
from tests.support.stage import settings_of

from floorline.config import load_text
from floorline.config.passed_headers import passed_on
from floorline.errors import ConfigError

IDS = ["request-id", "x-amzn-requestid", "apim-request-id", "x-ms-request-id", "cf-ray"]


@pytest.fixture
def before_provider(tmp_path):
    """Start a gateway before a provider that notes what it gets."""
    served = InThread(FaultyProvider())
    started = []

    def begin(**model):
        started.append(Live(settings_of(served.value, model=model), tmp_path))
        return started[-1], served.value

    yield begin
    for one in started:
        one.stop()
    served.stop()


@pytest.mark.parametrize("stream", [False, True])
def test_headers_that_the_file_names_are_passed_on(before_provider, stream):
    names = ["X-User-Id", "openai-organization", "x-team"]
    gateway, provider = before_provider(pass_headers=names, headers={"X-Team": "ours"})
    client = openai.OpenAI(
        base_url=f"{gateway.url}/v1", api_key="sk-client", organization="org-7", max_retries=0
    )
    given = {"X-User-Id": "u-1", "X-Other": "no", "Cookie": "c=1", "X-Team": "theirs"}
    with client:
        answer = client.chat.completions.create(
            model="floorline/gold",
            messages=[{"role": "user", "content": "Hi"}],
            stream=stream,
            extra_headers=given,
        )
        if stream:
            list(answer)
    sent = provider.requests[-1]["headers"]
    assert (sent["x-user-id"], sent["openai-organization"]) == ("u-1", "org-7")
    assert sent["x-team"] == "ours"
    assert not {"x-other", "cookie", "authorization"} & set(sent)


def test_without_the_setting_nothing_is_passed_on(before_provider):
    gateway, provider = before_provider()
    assert gateway.chat(headers={"X-User-Id": "u-1"}).status_code == 200
    assert "x-user-id" not in provider.requests[-1]["headers"]


@pytest.mark.parametrize(
    "name",
    ["Authorization", "cookie", "X-Api-Key", "Connection", "Host", "X-Floorline-Floor", "a b", ""],
)
def test_headers_that_are_never_passed_on(name):
    written = (
        "models: [{name: m, endpoint: 'http://h/v1', pass_headers: ['%s']}]\n"
        "slas: [{name: gold, floor: 0.5}]\n"
    )
    with pytest.raises(ConfigError, match=r"models\[0\]\.pass_headers"):
        load_text(written % name, environ={})


def test_what_is_passed_on_is_bounded():
    names = [f"x-{number}" for number in range(32)]
    long = dict.fromkeys(names, "v" * 1_000)
    assert len(passed_on(names, long)) == 8
    odd = {"x-0": "a\nb", "x-1": "ü", "x-2": "", "x-3": "fine"}
    assert passed_on(names, odd) == {"x-3": "fine"}


@pytest.mark.parametrize(
    "fault",
    [fp.whole(**dict.fromkeys(IDS, "id-1")), fp.refusal(400, {}, **dict.fromkeys(IDS, "id-1"))],
    ids=["answer", "error of the client"],
)
def test_request_ids_of_providers_reach_the_client(before_provider, fault):
    gateway, provider = before_provider()
    provider.plan(fault)
    answer = gateway.chat()
    assert {name: answer.headers.get(name) for name in IDS} == dict.fromkeys(IDS, "id-1")


def test_request_ids_reach_the_client_with_errors_of_the_gateway(before_provider):
    gateway, provider = before_provider()
    provider.plan(
        *[fp.error(500, X_Request_Id=f"id-{number}", Set_Cookie="a=1") for number in "123"]
    )
    answer = gateway.chat()
    assert answer.status_code == 502
    assert answer.headers["x-request-id"] == "id-3"
    assert "set-cookie" not in answer.headers


def test_headers_are_not_mixed_between_requests(before_provider):
    gateway, provider = before_provider(pass_headers=["x-user-id"])

    def ask(number):
        return gateway.chat(headers={"X-User-Id": f"u-{number}"} if number % 2 else None)

    async def all_at_once():
        await asyncio.gather(*[asyncio.to_thread(ask, number) for number in range(16)])

    asyncio.run(all_at_once())
    got = sorted(request["headers"].get("x-user-id", "-") for request in provider.requests)
    assert got == sorted(["-"] * 8 + [f"u-{number}" for number in range(1, 16, 2)])
