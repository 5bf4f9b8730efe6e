"""``/v1/completions``, ``/v1/embeddings`` and Azure's paths, through OpenAI's SDK."""

import json

import httpx2 as httpx
import openai
import pytest
from tests.support import faulty_provider as fp
from tests.support.scripted_server import EVENTS, JSON, ScriptedServer
from tests.support.stage import Stage, settings_of

EMBEDDING = {
    "object": "list",
    "model": "text-embedding-3-small",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}],
    "usage": {"prompt_tokens": 2_000, "total_tokens": 2_000},
}
TEXT = "Because of the air."


def completion(text=TEXT, **fields):
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": "stop", **fields}
    return {"id": "cmpl-1", "object": "text_completion", "created": 1, "choices": [choice]}


USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}


class Provider:
    """A server of embeddings, completions and chat; keeps what it was asked."""

    def __init__(self):
        self.ignores_streams = False

    def answer(self, path, body):
        path = path.partition("?")[0]
        if path.endswith("/embeddings"):
            if "nonsense" in str(body["input"]):
                return 200, JSON, [b'{"object": "list"}']
            return 200, JSON, [json.dumps(EMBEDDING).encode()]
        if path.endswith("/chat/completions"):
            return 200, JSON, [fp.completion()]
        assert path.endswith("/completions"), path
        if not body.get("stream") or self.ignores_streams:
            return 200, JSON, [json.dumps(completion() | {"usage": USAGE}).encode()]
        words = [fp.event(completion(word, finish_reason=None)) for word in TEXT.split(" ")]
        end = [fp.event(completion("")), fp.event({**completion(), "choices": [], "usage": USAGE})]
        return 200, EVENTS, [*words, *end, b"data: [DONE]\n\n"]


class Url:
    def __init__(self, url):
        self.base_url = f"{url}/v1"


@pytest.fixture
def answers():
    return Provider()


@pytest.fixture
def server(answers):
    with ScriptedServer(answers.answer) as server:
        yield server


@pytest.fixture
def stage(server, tmp_path):
    each = {
        "medium": {
            "kind": "azure",
            "endpoint": f"{server.url}?api-version=2024-10-21",
            "api_key": "az-secret",
        },
        "large": {"kind": "anthropic"},
    }
    model = {"input_price": 1.0, "capabilities": ["tools", "json"]}
    text = settings_of(Url(server.url), each=each, model=model)
    stage = Stage(text, None, tmp_path)
    yield stage
    stage.live.stop()


@pytest.fixture
def client(stage):
    with openai.OpenAI(base_url=f"{stage.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def test_embeddings(client, stage, server):
    raw = client.embeddings.with_raw_response.create(
        model="small", input="Why is the sky blue? " * 300, encoding_format="float"
    )
    answer = raw.parse()
    assert answer.data[0].embedding == [0.25, -0.5]
    (decision,), (outcome,) = stage.happened()
    assert (decision.model, decision.policy) == ("small", "direct")
    assert (outcome.input_tokens, outcome.output_tokens, outcome.error) == (2_000, 0, None)
    assert outcome.cost == pytest.approx(0.002)
    assert float(raw.headers["x-floorline-cost"]) == pytest.approx(0.002)
    path, _, body = server.requests[-1]
    assert (path, body["encoding_format"]) == ("/v1/embeddings", "float")


@pytest.mark.parametrize(
    "given", [["a" * 4_000, "b" * 4_000], list(range(2_000)), [list(range(1_000))] * 2]
)
def test_many_inputs_and_tokens_are_counted(client, stage, given):
    client.embeddings.create(model="small", input=given)
    _, (outcome,) = stage.happened()
    assert (outcome.input_tokens, outcome.estimated) == (2_000, False)


def test_an_answer_without_embeddings_is_a_failure(client, stage):
    with pytest.raises(openai.InternalServerError, match="no list of embeddings"):
        client.embeddings.create(model="small", input="nonsense")
    assert stage.happened()[1][0].cost == 0


def test_completions(client, stage):
    answer = client.completions.create(model="small", prompt="Why is the sky blue?", max_tokens=9)
    assert answer.choices[0].text == TEXT
    (decision,), (outcome,) = stage.happened()
    assert (decision.model, decision.policy) == ("small", "direct")
    assert (outcome.input_tokens, outcome.output_tokens) == (5, 7)
    assert outcome.completion == "cmpl-1"


@pytest.mark.parametrize("ignores_streams", [False, True])
def test_completions_stream(client, stage, answers, ignores_streams):
    answers.ignores_streams = ignores_streams
    stream = client.completions.create(
        model="small", prompt="Why?", stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    said = "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
    assert said == (TEXT if ignores_streams else TEXT.replace(" ", ""))
    assert chunks[-1].usage.completion_tokens == 7
    _, (outcome,) = stage.happened()
    assert (outcome.input_tokens, outcome.output_tokens) == (5, 7)


def test_the_usage_of_a_stream_is_asked_for(client, stage, server):
    stream = client.completions.create(model="small", prompt="Why?", stream=True)
    assert all(chunk.choices for chunk in stream)
    assert server.requests[-1][2]["stream_options"] == {"include_usage": True}
    assert stage.happened()[1][0].output_tokens == 7


def test_an_echoed_prompt_is_no_answer(client, stage):
    client.completions.create(model="small", prompt="Why? " * 4, echo=True)
    assert stage.happened()[1][0].output_tokens == 7


def test_the_budget_of_a_key_holds(server, tmp_path):
    model = {"input_price": 1.0}
    stage = Stage(settings_of(Url(server.url), model=model, auth="keys"), None, tmp_path)
    gateway = stage.live.gateway
    secret = gateway.store.keys.create("app", budget=0.01, period=3_600.0)[1]
    stage.live.call(gateway.auth.set_keys, gateway.store.keys.list())
    text = "Why is the sky blue? " * 380
    with openai.OpenAI(base_url=f"{stage.url}/v1", api_key=secret, max_retries=0) as client:
        client.embeddings.create(model="small", input=text)
        with pytest.raises(openai.RateLimitError, match="budget"):
            client.embeddings.create(model="small", input=text)
        client.embeddings.create(model="small", input="short")
    stage.live.stop()


def test_these_endpoints_need_the_name_of_a_model(client, stage):
    with pytest.raises(openai.BadRequestError, match="takes only the name of a model") as caught:
        client.embeddings.create(model="floorline/gold", input="a")
    assert caught.value.param == "model"
    with pytest.raises(openai.BadRequestError, match="takes only the name of a model"):
        client.completions.create(model="floorline/auto", prompt="a")
    with pytest.raises(openai.BadRequestError, match="provider of kind anthropic is not called"):
        client.embeddings.create(model="large", input="a")
    with pytest.raises(openai.NotFoundError, match="there is no model"):
        client.embeddings.create(model="huge", input="a")
    assert stage.happened() == ([], [])


def test_azures_provider_gets_its_own_paths(client, server):
    client.embeddings.create(model="medium", input="a")
    path, headers, _ = server.requests[-1]
    assert path == "/openai/deployments/medium/embeddings?api-version=2024-10-21"
    assert headers["api-key"] == "az-secret"
    client.completions.create(model="medium", prompt="a")
    assert "/deployments/medium/completions" in server.requests[-1][0]


@pytest.fixture
def azure(stage):
    with openai.AzureOpenAI(
        azure_endpoint=stage.url, api_key="unused", api_version="2024-02-01", max_retries=0
    ) as client:
        yield client


WHY = [{"role": "user", "content": "Why is the sky blue?"}]


@pytest.mark.parametrize("model", ["small", "floorline/gold"])
def test_clients_of_azure_chat(azure, stage, server, model):
    raw = azure.chat.completions.with_raw_response.create(model=model, messages=WHY)
    assert raw.parse().choices[0].message.content == "".join(fp.TEXT)
    decisions, _ = stage.happened()
    assert decisions[-1].model == raw.headers["x-floorline-model"]
    # The client's version is not the provider's.
    assert "api-version=2024-02-01" not in server.requests[-1][0]


def test_clients_of_azure_get_responses(azure):
    assert azure.responses.create(model="small", input="Why?").output_text == "".join(fp.TEXT)


def test_clients_of_azure_embed_and_complete(azure):
    assert azure.embeddings.create(model="small", input="a").data
    assert azure.completions.create(model="small", prompt="a").choices[0].text == TEXT


def test_the_path_of_azure_names_the_model(stage, server):
    url = f"{stage.url}/openai/deployments/floorline%2Fgold/chat/completions?api-version=1"
    assert httpx.post(url, json={"messages": WHY}, timeout=60).status_code == 200
    url = f"{stage.url}/openai/deployments/small/chat/completions"
    body = {"model": "gpt-4o", "messages": WHY}
    assert httpx.post(url, json=body, timeout=60).headers["x-floorline-model"] == "small"
    assert server.requests[-1][2]["model"] == "small"


def test_azures_newer_paths_are_openais(stage):
    with openai.OpenAI(base_url=f"{stage.url}/openai/v1/", api_key="unused") as client:
        assert client.chat.completions.create(model="small", messages=WHY).choices
        assert "small" in [model.id for model in client.models.list()]
    assert httpx.get(f"{stage.url}/openai/models?api-version=1", timeout=60).status_code == 200


def test_azures_key_is_a_key(administered):
    secret = administered.http.headers["authorization"].removeprefix("Bearer ")
    about = {"azure_endpoint": administered.url, "api_version": "1", "max_retries": 0}
    with openai.AzureOpenAI(api_key=secret, **about) as client:
        assert client.chat.completions.create(model="floorline/gold", messages=WHY).choices
    with (
        openai.AzureOpenAI(api_key="wrong", **about) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.chat.completions.create(model="floorline/gold", messages=WHY)


def test_other_paths_of_azure_are_unknown(stage):
    answer = httpx.get(f"{stage.url}/openai/deployments/a/b", timeout=60)
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "invalid_request_error"
