"""Turns of one conversation at two servers, of which the second has no state with the first."""

import signal

import pytest
from tests.support.dialect_provider import models, speaking
from tests.support.live_gateway import MODELS, write_settings
from tests.support.replica_processes import Processes
from tests.support.tcp_proxy import behind_proxy

from floorline.state.sessions import SESSION
from floorline.stores.engine import open_engine
from floorline.stores.keys import KeyStore

pytestmark = pytest.mark.slow

TALK = [
    {"role": "user", "content": "Why is the sky blue?"},
    {"role": "assistant", "content": "Because of scattering."},
    {"role": "user", "content": "And at night?"},
]


def turn(replica, session, messages, **options):
    body = {
        "model": "floorline/gold",
        "messages": messages,
        "floorline": {"session": session, **options},
    }
    answer = replica.http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-floorline-model"], answer.headers["x-floorline-decision"]


def test_the_next_turn_at_another_server_keeps_the_model(empty_postgres, provider, tmp_path):
    proxy, url = behind_proxy(empty_postgres)
    replicas = {"enabled": True, "lease": "1s", "spool": {"folder": str(tmp_path / "spool")}}
    made = Processes(
        tmp_path, write_settings(provider, store={"url": url}, replicas=replicas), empty_postgres
    )
    try:
        learner = made.learn()
        a, b = made.serve("a"), made.serve("b")
        # No state comes any more that could have the first turn.
        learner.send_signal(signal.SIGSTOP)
        tried = []

        def second_turn_is_known():
            # On a busy machine the look-up may take longer than a request waits for it.
            session = f"talk-{len(tried)}"
            tried.append(session)
            first, _ = turn(a, session, TALK[:1], exclude=MODELS[:2])
            assert first == MODELS[2]
            second, id = turn(b, session, TALK)
            shown = b.http.get(f"/v1/decisions/{id}").json()
            return (second, shown["rule"]) == (first, SESSION)

        made.until(second_turn_is_known)
        # Without the database, another turn is decided as a first one, and answered.
        turn(a, "cut", TALK[:1], exclude=MODELS[:2])
        proxy.cut()
        for number in range(5):
            turn(b, "cut", [*TALK, *TALK[1:] * number])
        learner.send_signal(signal.SIGCONT)
    finally:
        proxy.mend()
        made.stop()
        proxy.close()


def test_a_response_is_continued_at_another_server(empty_postgres, tmp_path):
    with speaking() as speaker:
        base = speaker.base_url.removesuffix("/v1")
        replicas = {"enabled": True, "lease": "1s"}
        text = write_settings(
            base,
            models=models(base),
            auth="keys",
            store={"url": empty_postgres},
            replicas=replicas,
        )
        made = Processes(tmp_path, text, empty_postgres)
        engine = open_engine(empty_postgres)
        keys = KeyStore(engine)
        secret, other = (keys.create(name, ["chat"], tenant=name)[1] for name in ("acme", "bolt"))
        engine.dispose()
        try:
            learner = made.learn()
            a, b = made.serve("a"), made.serve("b")
            learner.send_signal(signal.SIGSTOP)

            def respond(replica, key, **fields):
                body = {"model": "responses-words", "input": "Why?", **fields}
                headers = {"authorization": f"Bearer {key}"}
                return replica.http.post("/v1/responses", json=body, headers=headers)

            assert respond(a, secret).status_code == 200
            continued = respond(b, secret, previous_response_id="resp_1")
            assert continued.status_code == 200, continued.text
            refused = respond(b, other, previous_response_id="resp_1")
            assert refused.status_code == 404, refused.text
            learner.send_signal(signal.SIGCONT)
        finally:
            made.stop()
