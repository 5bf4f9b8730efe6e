"""Ids of messages at other servers, after a restart, and while the database is away."""

import asyncio
import contextlib

import pytest
from tests.gateway.bridges.test_bridges import BRIDGES, decision_of, results, send, signed
from tests.stores.test_sql import decision
from tests.support.live_gateway import wait_until, write_settings
from tests.support.replica_processes import Processes
from tests.support.tcp_proxy import behind_proxy

from floorline.config.bridges import BridgeSettings
from floorline.errors import StoreUnavailable
from floorline.gateway.bridges.message_aliases import MessageAliases
from floorline.stores.engine import open_engine
from floorline.stores.message_ids import MessageIdStore

LIKED = [{"id": "m", "satisfied": True}]
BRIDGE = BridgeSettings.model_validate({"name": "app", "secret": "s" * 32})


def test_an_id_outlives_the_server(start, provider, tmp_path):
    text = write_settings(provider, bridges=BRIDGES)
    gateway = start(text, tmp_path)
    decision = decision_of(gateway.chat(headers={"x-floorline-message": "m"}))
    gateway.stop()
    gateway = start(text, tmp_path)
    (got,) = results(gateway, "app", LIKED)
    assert (got["decision"], got["changed"]) == (decision, True)


def test_an_id_that_came_before_and_after_a_restart_is_ambiguous(start, provider, tmp_path):
    text = write_settings(provider, bridges=BRIDGES)
    gateway = start(text, tmp_path)
    gateway.chat(headers={"x-floorline-message": "m"})
    gateway.stop()
    gateway = start(text, tmp_path)
    last = decision_of(gateway.chat(headers={"x-floorline-message": "m"}))
    (got,) = send(gateway, "app", LIKED).json()["data"]
    assert got["error"]["code"] == "ambiguous_id"
    assert f"The latest first: {last}" in got["error"]["message"]


@pytest.mark.slow
def test_a_thumb_reaches_another_server_than_the_answer_came_from(
    empty_postgres, provider, tmp_path
):
    replicas = {"enabled": True, "lease": "1s"}
    text = write_settings(
        provider, store={"url": empty_postgres}, replicas=replicas, bridges=BRIDGES
    )
    made = Processes(tmp_path, text, empty_postgres)
    try:
        made.learn()
        a, b = made.serve("a"), made.serve("b")
        body = {"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}]}
        named = {"x-floorline-message": "m"}
        decision = decision_of(a.http.post("/v1/chat/completions", json=body, headers=named))
        sent = b'[{"id": "m", "satisfied": true}]'

        def is_taken():
            answer = b.http.post("/v1/bridges/app", content=sent, headers=signed(sent))
            return answer.status_code == 200 and "decision" in answer.json()["data"][0]

        made.until(is_taken)
        answer = b.http.post("/v1/bridges/app", content=sent, headers=signed(sent))
        assert answer.json()["data"][0]["decision"] == decision
    finally:
        made.stop()


def test_what_is_noted_while_the_database_is_away_is_written_later(empty_postgres):
    proxy, url = behind_proxy(empty_postgres)
    engine, direct = open_engine(url, seconds=2.0), open_engine(empty_postgres)
    stored = MessageIdStore(direct)

    async def scenario():
        aliases = MessageAliases(
            lambda: [BRIDGE], MessageIdStore(engine), lambda: 3600.0, lambda: 0.0
        )
        running = asyncio.create_task(aliases.run())
        aliases.note(decision("d-1"), {"x-floorline-message": "m"})
        await asyncio.to_thread(wait_until, lambda: stored.find("", ["m"]) == {"m": ["d-1"]})
        proxy.cut()
        aliases.note(decision("d-2"), {"x-floorline-message": "n"})
        assert await aliases.decisions("", ["n"]) == {"n": ["d-2"]}
        with pytest.raises(StoreUnavailable):
            await aliases.decisions("", ["n", "of another server"])
        proxy.mend()
        await asyncio.to_thread(wait_until, lambda: stored.find("", ["n"]) == {"n": ["d-2"]})
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    try:
        asyncio.run(scenario())
    finally:
        engine.dispose()
        direct.dispose()
        proxy.close()
