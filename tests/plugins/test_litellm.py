"""LiteLLM's own Router with Floorline as its strategy."""

import asyncio
import gc
from importlib.util import find_spec

import pytest
from tests.support.gateway_fixtures import gateway, provider, start
from tests.support.live_gateway import MODELS, wait_until

pytestmark = [
    pytest.mark.skipif(find_spec("litellm") is None, reason="needs the extra 'litellm'"),
    # LiteLLM and what it imports warn of each other.
    pytest.mark.filterwarnings("default"),
]

__all__ = ["gateway", "provider", "start"]

ASK = [{"role": "user", "content": "Why is the sky blue?"}]


def reported(gateway, decisions):
    found = timelines(gateway)
    return len(found) == decisions and all(len(one["timeline"]) > 1 for one in found)


@pytest.fixture
def build(gateway, provider):
    """Build routers whose deployments are the models of the gateway."""
    import litellm

    from floorline.plugins.litellm import use_floorline

    hooks = []

    def begin(endpoints=None, url=None, fallback=None, **given):
        parameters = {
            name: {
                "model": f"openai/{name}",
                "api_base": f"{(endpoints or {}).get(name, provider)}/v1",
                "api_key": "none",
                "input_cost_per_token": 1e-6,
                "output_cost_per_token": 2e-6,
            }
            for name in MODELS
        }
        router = litellm.Router(
            [{"model_name": n, "litellm_params": one} for n, one in parameters.items()], **given
        )
        hooks.append(use_floorline(router, url or gateway.url, fallback=fallback))
        return router, hooks[-1]

    yield begin
    litellm.logging_callback_manager._reset_all_callbacks()
    for hook in hooks:
        hook.client.close()
    # LiteLLM keeps connections of loops that have ended; here their warnings are no errors.
    litellm.in_memory_llm_clients_cache.flush_cache()
    gc.collect()


def timelines(gateway):
    """The decisions with their steps, the first one first."""
    from floorline.events import Decision

    gateway.call(gateway.gateway.store.flush)
    ids = [e.id for e in gateway.gateway.store.read() if isinstance(e, Decision)]
    return [gateway.http.get(f"/v1/decisions/{id}").json() for id in ids]


def test_the_router_serves_what_the_gateway_chose_and_reports_it(build, gateway):
    router, hook = build()

    async def scene():
        answer = await router.acompletion(model="floorline/gold", messages=ASK)
        plain = await router.acompletion(model=MODELS[0], messages=ASK)
        parts = await router.acompletion(model="floorline/gold", messages=ASK, stream=True)
        text = "".join([part.choices[0].delta.content or "" async for part in parts])
        # LiteLLM reports after the answer.
        await asyncio.to_thread(wait_until, lambda: reported(gateway, 2))
        return answer, plain, text

    answer, plain, text = asyncio.run(scene())
    assert text
    assert plain.choices
    first, second = timelines(gateway)
    assert answer.model.endswith(first["model"])
    assert [step["kind"] for step in second["timeline"]] == ["decision", "outcome"]
    outcome = first["timeline"][1]
    usage = answer.usage
    assert outcome["input_tokens"] == usage.prompt_tokens
    assert outcome["cost"] == pytest.approx(
        1e-6 * usage.prompt_tokens + 2e-6 * usage.completion_tokens
    )
    hook.client.feedback(answer.id, satisfied=True)
    assert gateway.http.get("/v1/slas/gold").json()["labels"] == 1


def test_a_try_after_a_failure_excludes_the_failed_model(build, gateway, provider):
    dead = "http://127.0.0.1:9"
    good = MODELS[0]
    endpoints = {name: provider if name == good else dead for name in MODELS}
    # The Router tries again only if it knows deployments by the name that the request gives.
    names = {"floorline/gold": good}
    router, _ = build(endpoints, num_retries=len(MODELS), model_group_alias=names)

    async def scene():
        exclude = {"floorline": {"exclude": [MODELS[2]]}}
        answer = await router.acompletion(model="floorline/gold", messages=ASK, metadata=exclude)
        tries = gateway.http.get("/v1/slas/gold").json()["requests"]
        await asyncio.to_thread(wait_until, lambda: reported(gateway, tries))
        return answer.model

    assert asyncio.run(scene()).endswith(good)
    found = timelines(gateway)
    models = [one["model"] for one in found]
    assert len(set(models)) == len(models)
    assert MODELS[2] not in models
    assert models[-1] == good
    assert all(one["timeline"][1]["error"] for one in found[:-1])
    assert found[-1]["timeline"][1]["error"] is None


def test_without_asyncio_the_same(build, gateway):
    router, _ = build()
    answer = router.completion(model="floorline/gold", messages=ASK)
    wait_until(lambda: reported(gateway, 1))
    (made,) = timelines(gateway)
    assert answer.model.endswith(made["model"])
    assert made["timeline"][1]["output_tokens"] == answer.usage.completion_tokens


def test_what_the_gateway_refuses_is_an_error_of_litellm(build):
    import litellm

    router, _ = build(num_retries=0)
    with pytest.raises(litellm.BadRequestError, match="bronze"):
        asyncio.run(router.acompletion(model="floorline/bronze", messages=ASK))


def test_a_fallback_serves_while_no_gateway_answers(build):
    import litellm

    router, _ = build(url="http://127.0.0.1:9", fallback=MODELS[1])
    answer = asyncio.run(router.acompletion(model="floorline/gold", messages=ASK))
    assert answer.model.endswith(MODELS[1])
    router, _ = build(url="http://127.0.0.1:9", num_retries=0)
    with pytest.raises(litellm.ServiceUnavailableError, match="no gateway of Floorline answers"):
        asyncio.run(router.acompletion(model="floorline/gold", messages=ASK))
