"""Events for live pages over real sockets."""

import asyncio
import contextlib
import json
import queue
import socket
import threading
import time
from http.client import HTTPConnection, HTTPException

import httpx
import pytest
from tests.support.live_gateway import wait_until, write_settings

from floorline.gateway.dashboard import history, live_feed, summary


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(live_feed, "_TICK_SECONDS", 0.05)
    monkeypatch.setattr(history, "_FOLD_SECONDS", 0.01)


class Stream:
    """A page that listens to the events of a gateway."""

    def __init__(self, url, headers=None):
        self.lines = queue.Queue()
        self.ticks = queue.Queue()
        self.ended = threading.Event()
        self._connection = HTTPConnection(url.removeprefix("http://"), timeout=60)
        self._connection.request("GET", "/dashboard/events", headers=headers or {})
        self._socket = self._connection.sock
        self._answer = self._connection.getresponse()
        self.status, self.headers = self._answer.status, self._answer.headers
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        name = ""
        with contextlib.suppress(OSError, HTTPException):
            while line := self._answer.readline().decode():
                line = line.rstrip()
                self.lines.put(line)
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: ") and name == "tick":
                    self.ticks.put(json.loads(line.removeprefix("data: ")))
        self.ended.set()

    def tick(self):
        return self.ticks.get(timeout=60)

    def close(self):
        # A thread that reads from the socket keeps it open otherwise.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        assert self.ended.wait(60)
        self._connection.close()


@contextlib.contextmanager
def streams(url, *all_headers):
    opened = [Stream(url, headers) for headers in all_headers]
    try:
        yield opened
    finally:
        for stream in opened:
            stream.close()


def feed_of(live):
    """The feed of a gateway, found where its route has it."""
    (feed,) = [one for one in live_feeds if one._dashboard.gateway is live.gateway]
    return feed


live_feeds = []


@pytest.fixture(autouse=True)
def note_feeds(monkeypatch):
    made = live_feed.LiveFeed.__init__

    def init(self, dashboard):
        made(self, dashboard)
        live_feeds.append(self)

    monkeypatch.setattr(live_feed.LiveFeed, "__init__", init)
    yield
    live_feeds.clear()


def test_the_first_event_comes_at_once_and_the_next_one_after_a_change(gateway):
    with streams(gateway.url, None) as (stream,):
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-store"
        assert "content-length" not in stream.headers
        first = stream.tick()
        assert first["slas"]["gold"]["requests"] == first["hour"]["requests"] == 0
        assert first["slas"]["gold"]["verdict"] == "unknown"
        assert {name: model["breaker"] for name, model in first["models"].items()} == dict.fromkeys(
            ["sim-nano", "sim-medium", "sim-titan"], "closed"
        )
        answer = gateway.chat()
        body = {"id": answer.headers["x-floorline-decision"], "satisfied": True}
        gateway.http.post("/v1/feedback", json=body)
        tick = first
        while tick["hour"]["labels"] == 0 or not tick["hour"]["calls"]:
            tick = stream.tick()
        status = gateway.http.get("/v1/slas/gold").json()
        assert tick["hour"]["requests"] == tick["slas"]["gold"]["requests"] == 1
        assert tick["slas"]["gold"]["satisfaction"] == status["satisfaction"] == 1.0
        assert tick["hour"]["spend"] == pytest.approx(status["spent"])
        assert tick["hour"]["latency_p95"] > 0.0


def test_without_a_change_nothing_is_sent_but_heartbeats(gateway, monkeypatch):
    monkeypatch.setattr(live_feed, "_HEARTBEAT_SECONDS", 0.2)
    with streams(gateway.url, None) as (stream,):
        while stream.tick()["ready"] is False:
            pass
        while stream.lines.get(timeout=60) != ": heartbeat":
            pass
        assert stream.ticks.empty()


def test_a_summary_is_made_once_for_all_with_equal_rights(gateway, monkeypatch):
    # A new minute is a change.
    now = 600.0 * (time.time() // 600.0)
    monkeypatch.setattr(gateway.gateway.router, "clock", lambda: now)
    monkeypatch.setattr(gateway.gateway.history, "_clock", lambda: now)
    wait_until(lambda: gateway.gateway.history.ready)
    made, real = [], summary.summary

    async def counted(dashboard, viewer):
        made.append(viewer)
        return await real(dashboard, viewer)

    monkeypatch.setattr(live_feed, "summary", counted)
    with streams(gateway.url, *[None] * 5) as opened:
        for stream in opened:
            stream.tick()
        # For the first page, and once more if the feed looked since then.
        assert len(made) in (1, 2)
        gateway.chat()
        for stream in opened:
            while stream.tick()["hour"]["requests"] == 0:
                pass
        assert 1 < len(made) < 8


def test_viewers_who_leave_are_forgotten(gateway):
    with streams(gateway.url, *[None] * 3) as opened:
        assert len(feed_of(gateway)) == 3
        opened[0].close()
        wait_until(lambda: len(feed_of(gateway)) == 2)
    wait_until(lambda: len(feed_of(gateway)) == 0)
    wait_until(lambda: feed_of(gateway)._task.done())
    assert feed_of(gateway)._last == {}
    with streams(gateway.url, None) as (stream,):
        assert stream.tick()


def test_the_number_of_viewers_is_bounded(start, provider):
    gateway = start(write_settings(provider, dashboard={"max_viewers": 2}))
    with streams(gateway.url, None, None) as opened:
        for stream in opened:
            stream.tick()
        answer = gateway.http.get("/dashboard/events")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "30"
        assert "dashboard.max_viewers" in answer.json()["error"]["message"]
        opened[0].close()
        wait_until(lambda: len(feed_of(gateway)) == 1)
        with streams(gateway.url, None) as (again,):
            assert again.tick()


def test_a_stop_ends_the_streams(gateway):
    with streams(gateway.url, None) as (stream,):
        stream.tick()
        gateway.call(gateway.gateway.readiness.stop)
        assert stream.ended.wait(60)


def test_streams_end_when_the_dashboard_is_turned_off(start, provider, tmp_path):
    path = tmp_path / "floorline.yaml"
    text = write_settings(provider)
    path.write_text(text)
    gateway = start(text, path=path)
    with streams(gateway.url, None) as (stream,):
        stream.tick()
        path.write_text(write_settings(provider, dashboard={"enabled": False}))
        assert stream.ended.wait(60)
    assert gateway.http.get("/dashboard/events").status_code == 404


def test_a_failing_summary_leaves_pages_open(gateway, monkeypatch):
    with streams(gateway.url, None) as (stream,):
        stream.tick()
        real = summary.summary

        async def failing(dashboard, viewer):
            raise RuntimeError("a fault")

        monkeypatch.setattr(live_feed, "summary", failing)
        gateway.chat()
        wait_until(lambda: gateway.gateway.history.series(3600.0).whole().requests == 1)
        monkeypatch.setattr(live_feed, "summary", real)
        gateway.chat()
        while stream.tick()["hour"]["requests"] < 2:
            pass


def bearer(secret):
    return {"authorization": f"Bearer {secret}"}


def test_a_revoked_key_gets_no_further_events(keyed):
    key, secret = keyed.key("watch", ["view"])
    with streams(keyed.url, bearer(secret)) as (stream,):
        stream.tick()
        keyed.gateway.store.keys.revoke(key.id)
        keyed.live.call(keyed.gateway.auth.set_keys, keyed.gateway.store.keys.list())
        assert stream.ended.wait(60)
        answer = httpx.get(f"{keyed.url}/dashboard/events", headers=bearer(secret), timeout=60)
        assert answer.status_code == 401


def test_without_a_key_there_are_no_events(keyed):
    assert httpx.get(f"{keyed.url}/dashboard/events", timeout=60).status_code == 401


def test_a_tenant_sees_nothing_of_others(keyed):
    secrets = {
        tenant: keyed.key(tenant, ["chat", "feedback", "view"], tenant=tenant)[1]
        for tenant in ("acme", "umbrella")
    }
    _, admin = keyed.key("boss", ["admin"])
    for model in ("floorline/gold", "floorline/own"):
        for _ in range(3):
            assert keyed.chat(secrets["umbrella"], model=model).status_code == 200
    assert keyed.chat(secrets["acme"], model="floorline/gold").status_code == 200
    wait_until(lambda: keyed.gateway.history.series(3600.0).whole().requests == 7)
    headers = [bearer(secrets["acme"]), bearer(secrets["umbrella"]), bearer(admin)]
    with streams(keyed.url, *headers) as opened:
        acme, umbrella, everyone = [stream.tick() for stream in opened]
    assert acme["hour"]["requests"] == 1
    assert umbrella["hour"]["requests"] == 6
    assert everyone["hour"]["requests"] == 7
    assert "umbrella" not in json.dumps(acme)
    assert "acme" not in json.dumps(umbrella)
    assert "calls" in everyone["models"]["sim-nano"]
    assert "calls" not in acme["models"]["sim-nano"]
    assert set(everyone["slas"]) == {"gold", "own", "own@umbrella"}

    def read(secret, name, **query):
        answer = httpx.get(
            f"{keyed.url}/dashboard/data/{name}.json",
            headers=bearer(secret),
            params=query,
            timeout=60,
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    for name in ("traffic", "spend", "latency", "models", "model_share", "promises"):
        assert "umbrella" not in json.dumps(read(secrets["acme"], name))
    traffic = read(secrets["acme"], "traffic", sla="gold")
    assert sum(row[traffic["columns"].index("requests")] for row in traffic["rows"]) == 1
    promises = read(secrets["acme"], "promises", sla="gold")
    assert {row[promises["columns"].index("labels")] for row in promises["rows"]} == {None}
    answer = httpx.get(
        f"{keyed.url}/dashboard/data/traffic.json",
        timeout=60,
        headers=bearer(secrets["acme"]),
        params={"tenant": "umbrella"},
    )
    assert answer.status_code == 400


def test_a_key_limited_to_an_sla_follows_that_one_only(keyed):
    _, secret = keyed.key("narrow", ["view", "chat"], slas=["own"])
    _, other = keyed.key("other", ["chat"])
    assert keyed.chat(secret, model="floorline/own").status_code == 200
    for _ in range(3):
        assert keyed.chat(other, model="floorline/gold").status_code == 200
    wait_until(lambda: keyed.gateway.history.series(3600.0).whole().requests == 4)
    with streams(keyed.url, bearer(secret)) as (stream,):
        seen = stream.tick()
    assert set(seen["slas"]) == {"own"}
    assert seen["hour"]["requests"] == 1


def test_a_new_minute_is_told_at_once_and_not_with_the_next_request_of_another_tenant(
    keyed, monkeypatch
):
    gateway, now = keyed.gateway, [600.0 * (time.time() // 600.0)]
    monkeypatch.setattr(gateway.router, "clock", lambda: now[0])
    monkeypatch.setattr(gateway.history, "_clock", lambda: now[0])
    secrets = {
        name: keyed.key(name, ["chat", "view"], tenant=name)[1] for name in ("acme", "rival")
    }
    assert keyed.chat(secrets["acme"], model="floorline/own").status_code == 200
    wait_until(lambda: gateway.history.series(3600.0).whole().requests == 1)
    with streams(keyed.url, bearer(secrets["acme"])) as (stream,):
        while stream.tick()["hour"]["calls"] == 0:
            pass
        # An hour later nothing is left of it, although no request has come.
        now[0] += 3600.0
        while stream.tick()["hour"]["requests"]:
            pass
        assert keyed.chat(secrets["rival"], model="floorline/own").status_code == 200
        wait_until(lambda: gateway.history.series(3600.0).whole().calls == 1)
        time.sleep(0.3)
        assert stream.ticks.empty()


def test_a_viewer_who_comes_during_a_change_gets_the_newest_event(gateway, monkeypatch):
    wait_until(lambda: gateway.gateway.history.ready)
    real, slow = summary.summary, asyncio.Event()

    async def first_is_slow(dashboard, viewer):
        found = await real(dashboard, viewer)
        if not slow.is_set():
            slow.set()
            await asyncio.sleep(1.0)
        return found

    monkeypatch.setattr(live_feed, "summary", first_is_slow)
    opened = []

    def come():
        opened.append(Stream(gateway.url))

    coming = threading.Thread(target=come)
    coming.start()
    wait_until(slow.is_set)
    gateway.chat()
    coming.join()
    (stream,) = opened
    try:
        while stream.tick()["hour"]["calls"] == 0:
            pass
    finally:
        stream.close()
