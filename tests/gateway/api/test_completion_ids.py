"""Providers choose the ids of completions and repeat them; no label goes to the wrong answer."""

import asyncio
import contextlib
import json
import random
import threading
from collections import Counter

import pytest
from tests.support import faulty_provider as fp
from tests.support.live_gateway import InThread, wait_until
from tests.support.stage import Stage, settings_of

from floorline.events import Outcome

CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}


def answer(*ids):
    """An answer with an id, as JSON is written; with none if no id is given."""
    fields = [f'"id": {id}' for id in ids]
    body = "{" + ", ".join([*fields, f'"choices": [{json.dumps(CHOICE)}]']) + "}"
    return fp.whole(body.encode())


@pytest.fixture
def faulty():
    served = InThread(fp.FaultyProvider())
    yield served.value
    served.stop()


@pytest.fixture
def begin(faulty, tmp_path):
    """Start a gateway before the faulty provider."""
    started = []

    def build(**changed):
        started.append(Stage(settings_of(faulty, **changed), faulty, tmp_path))
        return started[-1]

    yield build
    for stage in started:
        wait_until(stage.at_rest)
        with contextlib.suppress(RuntimeError):
            stage.stop()


def secret_of(stage, *scopes, **fields):
    keys = stage.gateway.store.keys
    secret = keys.create("app", scopes or ("chat", "feedback"), **fields)[1]
    stage.call(stage.gateway.auth.set_keys, keys.list())
    return {"authorization": f"Bearer {secret}"}


def judge(stage, headers=None, path="/v1/feedback", **fields):
    return stage.http.post(path, json={"satisfied": True, **fields}, headers=headers)


def decision_of(answer):
    return answer.headers["x-floorline-decision"]


def test_a_repeated_id_is_409_with_the_decisions_it_may_mean(begin):
    stage = begin()
    stage.plan(*[answer('"c-7"')] * 3)
    made = [decision_of(stage.chat()) for _ in range(3)]
    error = judge(stage, id="c-7")
    assert (error.status_code, error.json()["error"]["code"]) == (409, "ambiguous_id")
    assert error.json()["error"]["message"].endswith(", ".join(made[::-1]))
    for decision in made:
        assert judge(stage, id=decision).json()["decision"] == decision
        assert judge(stage, decision=decision).json()["changed"] is False
    batch = stage.http.post(
        "/v1/feedback", json={"feedback": [{"id": "c-7", "satisfied": True}]}
    ).json()
    assert batch["data"][0]["error"]["code"] == "ambiguous_id"


def test_the_first_of_two_tenants_with_one_id_still_finds_its_answer(begin):
    stage = begin(auth="keys")
    who = [secret_of(stage, tenant="acme"), secret_of(stage, tenant="umbrella"), secret_of(stage)]
    stage.plan(*[answer('"c-7"')] * 3)
    made = [decision_of(stage.chat(headers=headers)) for headers in who]
    for headers, decision in zip(who, made, strict=True):
        assert judge(stage, headers, id="c-7").json()["decision"] == decision
        others = [other for other in made if other != decision]
        assert all(judge(stage, headers, id=other).status_code == 404 for other in others)


def test_keys_without_a_tenant_do_not_judge_each_other(begin):
    stage = begin(auth="keys")
    one, two = secret_of(stage), secret_of(stage)
    made = stage.chat(headers=one)
    for id in (decision_of(made), made.json()["id"]):
        assert judge(stage, two, id=id).status_code == 404
        assert judge(stage, two, decision=id).status_code == 404
    assert judge(stage, one, id=decision_of(made)).status_code == 200


def routed(stage, headers):
    body = {"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}]}
    return stage.http.post("/v1/route", json=body, headers=headers).json()


def test_a_tenant_cannot_claim_the_id_of_another_by_an_outcome(begin):
    stage = begin(auth="keys")
    acme, umbrella = secret_of(stage, tenant="acme"), secret_of(stage, tenant="umbrella")
    stage.plan(answer('"c-7"'))
    decision = decision_of(stage.chat(headers=acme))
    for claimed in ("c-7", decision):
        mine = routed(stage, umbrella)
        took = {"id": mine["id"], "cost": 1e-5, "completion": claimed}
        assert stage.http.post("/v1/outcomes", json=took, headers=umbrella).status_code == 200
    for id in ("c-7", decision):
        assert judge(stage, acme, id=id).json()["decision"] == decision
    assert judge(stage, umbrella, id="c-7").json()["decision"] != decision


def test_an_id_that_equals_another_decisions_is_ambiguous_and_decision_names_it(begin):
    stage = begin()
    first = decision_of(stage.chat())
    stage.plan(answer(f'"{first}"'))
    second = decision_of(stage.chat())
    error = judge(stage, id=first)
    assert error.status_code == 409
    assert error.json()["error"]["message"].endswith(f"{second}, {first}")
    assert judge(stage, decision=first).json()["decision"] == first


@pytest.mark.parametrize(
    ("written", "given"),
    [
        (json.dumps("x" * 9000), "x" * 9000),
        ("17", 17),
        ("17", "17"),
        ("12345678901234567890123", 12345678901234567890123),
        ("1.5", 1.5),
        (json.dumps("a\0b"), "a\0b"),
        (json.dumps("größe 🦜"), "größe 🦜"),
        ("9" * 400, int("9" * 400)),
    ],
    ids=["long", "number", "its text", "large number", "fraction", "NUL", "no ASCII", "digits"],
)
def test_feedback_finds_ids_of_any_kind(written, given, begin):
    stage = begin()
    stage.plan(answer(written))
    decision = decision_of(stage.chat())
    for _ in range(2):
        assert judge(stage, id=given).json()["decision"] == decision
        # Now from the log.
        stage.gateway.decisions._completions.__init__()


@pytest.mark.parametrize("ids", [(), ("null",), ('""',), ("[1]",)])
def test_an_answer_without_an_id_is_judged_by_the_decision(ids, begin):
    stage = begin()
    stage.plan(answer(*ids))
    made = stage.chat()
    assert made.status_code == 200
    assert judge(stage, id=decision_of(made)).status_code == 200


def chunk(id, text="Hi", finish=None):
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return fp.event({"id": id, "choices": [choice]})


class Gate:
    """Holds a stream after its first chunk until it is opened."""

    def __init__(self):
        self.opened = threading.Event()

    async def __call__(self, connection):
        await asyncio.to_thread(self.opened.wait, 20)
        await connection.piece(chunk("c-7", "", "stop"))
        await connection.piece(b"data: [DONE]\n\n")
        await connection.piece(b"")


def open_stream(stage):
    """Begin a streamed request; a context manager of its answer."""
    messages = [{"role": "user", "content": "Why?"}]
    body = {"model": "floorline/gold", "messages": messages, "stream": True}
    return stage.http.stream("POST", "/v1/chat/completions", json=body)


def test_feedback_during_a_stream_is_not_credited_to_an_older_answer(begin):
    stage = begin()
    gate = Gate()
    stage.plan(answer('"c-7"'), fp.stream([chunk("c-7")], then=gate))
    older = decision_of(stage.chat())
    with open_stream(stage) as stream:
        parts = stream.iter_bytes()
        assert b"c-7" in next(parts)
        newer = decision_of(stream)
        error = judge(stage, id="c-7")
        gate.opened.set()
        assert error.status_code == 409
        assert error.json()["error"]["message"].endswith(f"{newer}, {older}")
        list(parts)


def test_feedback_during_a_stream_finds_its_decision_by_the_id_in_the_first_chunk(begin):
    stage = begin()
    gate = Gate()
    stage.plan(fp.stream([chunk("c-7")], then=gate))
    with open_stream(stage) as stream:
        parts = stream.iter_bytes()
        assert b"c-7" in next(parts)
        receipt = judge(stage, id="c-7")
        gate.opened.set()
        assert receipt.json()["decision"] == decision_of(stream)
        list(parts)


def test_our_own_id_takes_the_place_of_the_providers(begin):
    stage = begin(completion_ids="own")
    made = stage.chat()
    assert made.json()["id"] == decision_of(made)
    assert made.json()["choices"][0]["message"]["content"] == "".join(fp.TEXT)
    assert judge(stage, id=made.json()["id"]).json()["decision"] == decision_of(made)
    streamed = stage.chat(stream=True)
    chunks = [json.loads(line[6:]) for line in streamed.text.split("\n\n")[:-2]]
    assert {one["id"] for one in chunks} == {decision_of(streamed)}
    assert "".join(one["choices"][0]["delta"].get("content", "") for one in chunks) == "".join(
        fp.TEXT
    )
    assert streamed.text.endswith("data: [DONE]\n\n")
    # The provider's id is no name of the answer any more.
    assert judge(stage, id="chatcmpl-1").status_code == 404
    assert [o.completion for o in stage.happened()[1]] == [None, None]


def test_with_ids_of_our_own_a_provider_cannot_shadow_a_decision(begin):
    stage = begin(completion_ids="own")
    first = decision_of(stage.chat())
    stage.plan(answer(f'"{first}"'), answer())
    second, third = stage.chat(), stage.chat()
    assert second.json()["id"] == decision_of(second)
    assert third.json()["id"] == decision_of(third)
    assert judge(stage, id=first).json()["decision"] == first


def test_ids_are_found_after_a_restart(begin):
    stage = begin()
    stage.plan(answer('"c-7"'), answer('"c-8"'), answer('"c-8"'))
    made = [decision_of(stage.chat()) for _ in range(3)]
    wait_until(lambda: len(stage.happened()[1]) == 3)
    stage.stop()
    again = begin()
    assert judge(again, id="c-7").json()["decision"] == made[0]
    assert judge(again, id="c-8").status_code == 409
    events = list(again.gateway.store.read())
    assert [e.completion for e in events if isinstance(e, Outcome)] == ["c-7", "c-8", "c-8"]


@pytest.mark.parametrize("ids", ["provider", "own"])
def test_no_label_is_credited_to_another_answer_however_often_ids_repeat(ids, begin):
    stage = begin(memory=5, completion_ids=ids)
    draw = random.Random(7)
    answers, taken, ambiguous = [], 0, 0
    for _ in range(60):
        stage.plan(answer(f'"c-{draw.randrange(40)}"'))
        answers.append(stage.chat())
    for made in answers:
        given = judge(stage, id=made.json()["id"])
        if given.status_code == 200:
            assert given.json()["decision"] == decision_of(made)
            taken += 1
        else:
            assert given.json()["error"]["code"] == "ambiguous_id"
            ambiguous += 1
            assert judge(stage, id=decision_of(made)).status_code == 200
    repeated = Counter(made.json()["id"] for made in answers)
    assert taken == sum(1 for made in answers if repeated[made.json()["id"]] == 1)
    assert (ambiguous == 0) == (ids == "own")
