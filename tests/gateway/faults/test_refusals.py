"""Models that cannot serve a request: what the client, the breaker and later requests see."""

import json

import openai
import pytest
from tests.support import faulty_provider as fp

from floorline.state.elapsed import elapsed

TOO_LONG = "This model's maximum context length is {} tokens. However, you requested {} tokens."


def too_long(window, requested=9_000):
    error = {"message": TOO_LONG.format(window, requested), "code": "context_length_exceeded"}
    return fp.refusal(400, {"error": error})


def error_of(kind, code, message="no"):
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


RETIRED = fp.refusal(404, error_of("invalid_request_error", "model_not_found"))
NO_MONEY = fp.refusal(429, error_of("insufficient_quota", "insufficient_quota"))
FILTERED = fp.refusal(400, error_of(None, "content_filter"), X_Request_Id="req-7")
WRONG = fp.refusal(400, error_of("invalid_request_error", "invalid_value"))


def called(stage):
    """Models that were called since the last time."""
    new = stage.provider.requests[getattr(stage, "asked", 0) :]
    stage.asked = len(stage.provider.requests)
    return [request["body"]["model"] for request in new]


def breakers(stage):
    return {name: one.breaker for name, one in stage.gateway.upstreams.health().items()}


CLOSED = dict.fromkeys(["small", "medium", "large"], "closed")


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_is_too_long_goes_to_a_model_that_can(three, stream):
    stage = three({"small": too_long(40), "medium": too_long(90)})
    answer = stage.chat("word " * 200, stream=stream)
    assert answer.status_code == 200
    assert answer.headers["x-floorline-model"] == "large"
    assert answer.headers["x-floorline-attempts"] == "3"
    assert called(stage) == ["small", "medium", "large"]
    # Later requests of that size are not sent to models that refused it; shorter ones are.
    assert stage.chat("word " * 200, stream=stream).status_code == 200
    assert called(stage) == ["large"]
    stage.provider.by_model = {}
    assert stage.chat("word").status_code == 200
    assert called(stage) == ["small"]
    assert breakers(stage) == CLOSED
    decisions, outcomes = stage.happened()
    assert [o.cost > 0.0 for o in outcomes] == [False, False, True, True, True]
    assert "context_length_exceeded" in outcomes[0].error
    assert "tokens" not in outcomes[0].error
    assert decisions[2].after == decisions[1].id


def test_the_size_of_the_request_is_learned_if_the_error_has_no_number(three):
    refused = fp.refusal(400, {"error": {"message": "Input is too long for requested model."}})
    stage = three({"small": refused})
    for expected in (["small", "medium"], ["medium"], ["medium"]):
        assert stage.chat("word " * 200).status_code == 200
        assert called(stage) == expected
    stage.provider.by_model = {}
    stage.chat("word")
    assert called(stage) == ["small"]


def test_models_with_a_known_window_that_is_not_larger_are_not_called(three):
    windows = {"small": {"context_window": 8192}, "medium": {"context_window": 8192}}
    # The provider counts more tokens than the gateway estimates.
    stage = three({"small": too_long(8192)}, {"each": windows})
    assert stage.chat().status_code == 200
    assert called(stage) == ["small", "large"]


def test_without_a_model_that_can_the_client_gets_the_providers_error(three):
    stage = three(dict.fromkeys(["small", "medium", "large"], too_long(40)))
    client = openai.OpenAI(base_url=f"{stage.url}/v1", api_key="-", max_retries=0)
    with client, pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model="floorline/gold", messages=[{"role": "user", "content": "word " * 200}]
        )
    assert caught.value.code == "context_length_exceeded"
    assert caught.value.body["message"] == TOO_LONG.format(40, 9000)
    headers = caught.value.response.headers
    decisions, outcomes = stage.happened()
    # The windows that were learned say of no other model that it is larger.
    assert called(stage) == [d.model for d in decisions]
    assert headers["x-floorline-decision"] == decisions[-1].id
    assert headers["x-floorline-model"] == decisions[-1].model
    assert [o.cost for o in outcomes] == [0.0] * len(decisions)
    # No model is late for it, as where one model refuses a request and no other is asked.
    assert [elapsed(o, "latency", began=0.0) for o in outcomes] == [None] * len(decisions)
    # If every model is too small, the provider still decides.
    assert stage.chat("word " * 200).status_code == 400


@pytest.mark.parametrize("fault", [RETIRED, NO_MONEY])
def test_a_model_that_is_gone_opens_its_breaker(three, fault):
    stage = three({"small": fault})
    for expected in (["small", "medium"], ["medium"], ["medium"]):
        assert stage.chat().status_code == 200
        assert called(stage) == expected
    assert breakers(stage) == {**CLOSED, "small": "open"}


def test_a_direct_request_gets_the_providers_error(three):
    stage = three({"small": RETIRED, "medium": too_long(40)})
    answer = stage.chat(model="small")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"
    assert answer.headers["x-floorline-model"] == "small"
    assert stage.chat(model="medium").status_code == 400
    assert called(stage) == ["small", "medium"]


def test_a_refused_content_falls_back_only_if_the_setting_says_so(three):
    stage = three({"small": FILTERED})
    answer = stage.chat()
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "content_filter")
    assert answer.headers["x-request-id"] == "req-7"
    assert called(stage) == ["small"]
    assert breakers(stage) == CLOSED


def test_a_refused_content_can_go_to_another_model(three):
    stage = three({"small": FILTERED}, fallback_on=["content_filter"])
    for _ in range(6):
        assert stage.chat().status_code == 200
    assert called(stage) == ["small", "medium"] * 6
    assert breakers(stage) == CLOSED


def test_an_error_in_the_request_is_the_clients_and_never_counts(three):
    stage = three({"small": WRONG})
    for _ in range(8):
        answer = stage.chat()
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_value")
    assert called(stage) == ["small"] * 8
    assert breakers(stage) == CLOSED


def test_a_stream_whose_first_event_is_an_error_is_read_by_the_same_table(three):
    gone = fp.event({"error": {"message": "The model `small` does not exist", "code": 404}})
    full = fp.event(
        {"error": {"message": TOO_LONG.format(40, 99), "type": "BadRequestError", "code": 400}}
    )
    stage = three({"small": fp.stream([gone]), "medium": fp.stream([full])})
    assert stage.chat(stream=True).status_code == 200
    assert called(stage) == ["small", "medium", "large"]
    assert breakers(stage) == {**CLOSED, "small": "open"}
    assert stage.chat(stream=True).status_code == 200
    assert called(stage) == ["large"]


def test_models_that_cannot_serve_do_not_count_as_failures(three):
    names = ["a", "b", "c", "d", "e"]
    no_tools = fp.refusal(400, {"error": {"message": "a does not support tools"}})
    prices = {name: 1.0 + number for number, name in enumerate(names)}
    stage = three(dict.fromkeys(names[:4], no_tools), {"prices": prices})
    assert stage.chat().headers["x-floorline-model"] == "e"
    assert called(stage) == names


def test_two_failing_requests_leave_the_breakers_closed(three):
    stage = three({}, retries=2)
    stage.plan(*[fp.reset] * 18)
    for _ in range(2):
        answer = stage.chat()
        assert answer.status_code == 502
        assert answer.headers["x-floorline-attempts"] == "9"
        assert answer.headers["x-floorline-model"] in CLOSED
    assert breakers(stage) == CLOSED
    assert stage.chat().status_code == 200


def test_errors_name_the_last_decision(three):
    stage = three({})
    stage.plan(*[fp.error(500)] * 3)
    answer = stage.chat()
    decisions, _ = stage.happened()
    assert answer.status_code == 502
    assert answer.headers["x-floorline-decision"] == decisions[-1].id
    assert answer.headers["x-floorline-model"] == decisions[-1].model
    # Before a decision there is nothing to name.
    assert "x-floorline-decision" not in stage.http.post("/v1/chat/completions", json=[]).headers


def test_a_client_cannot_open_a_breaker_by_what_it_says(three):
    async def echo(connection):
        said = connection.request["body"]["messages"][0]["content"]
        body = {"error": {"message": f"cannot read {said}", "type": "invalid_request_error"}}
        await fp.refusal(400, body)(connection)

    stage = three({"small": echo})
    assert stage.chat("The model `small` does not exist.").status_code == 200
    assert stage.chat(TOO_LONG.format(2, 3)).status_code == 200
    assert breakers(stage) == CLOSED
    assert called(stage) == ["small", "medium"] * 2


USAGE_REFUSALS = {
    "by name": fp.refusal(
        422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"]}]}
    ),
    "in words": fp.refusal(400, {"error": {"message": "Unknown name 'stream_options'"}}),
    "without words": fp.refusal(400, {"error": {"message": "bad request"}}),
}


@pytest.mark.parametrize("name", USAGE_REFUSALS)
def test_a_field_that_the_gateway_added_is_left_out_where_it_is_refused(three, name):
    async def strict(connection):
        if "stream_options" in connection.request["body"]:
            await USAGE_REFUSALS[name](connection)
        else:
            await fp.stream()(connection)

    stage = three({"small": strict}, ask_usage=True)
    for _ in range(3):
        answer = stage.chat(stream=True)
        assert answer.content == b"".join(fp.events())
    # Refused once, and not asked again.
    assert called(stage) == ["small"] * 4
    assert breakers(stage) == CLOSED
    _, outcomes = stage.happened()
    assert [(o.error, o.estimated) for o in outcomes] == [(None, True)] * 3


def test_a_field_that_the_client_sent_is_the_clients(three):
    stage = three({"small": USAGE_REFUSALS["by name"]}, ask_usage=True)
    answer = stage.chat(stream=True, stream_options={"include_usage": True})
    assert answer.status_code == 422
    assert json.loads(answer.content)["detail"][0]["loc"] == ["body", "stream_options"]
    assert called(stage) == ["small"]


def test_a_model_that_takes_the_field_is_not_asked_twice_for_a_wrong_request(three):
    stage = three({}, ask_usage=True)
    assert stage.chat(stream=True).status_code == 200
    stage.provider.by_model = {"small": USAGE_REFUSALS["without words"]}
    assert stage.chat(stream=True).status_code == 400
    assert called(stage) == ["small"] * 2
