"""What ``/v1/replicas``, the metrics and the dashboard say of all servers and their learner."""

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.live_gateway import MODELS, Live, write_settings
from tests.support.replica_processes import Processes, ask
from tests.support.tcp_proxy import behind_proxy

from floorline.errors import StoreUnavailable
from floorline.gateway.replicas import overview
from floorline.gateway.replicas.overview import ReplicaOverview
from floorline.replication import tables
from floorline.replication.members import Membership
from floorline.replication.replica_store import ReplicaStore
from floorline.stores.engine import open_engine
from floorline.stores.keys import KeyStore
from floorline.stores.upgrade import upgrade


@pytest.fixture
def store(tmp_path):
    url = f"sqlite:///{tmp_path / 'log.db'}"
    engine = open_engine(url)
    upgrade(engine)
    tables.create(engine)
    engine.dispose()
    made = ReplicaStore(url, "a")
    yield made
    made.close()


def read(store):
    return asyncio.run(ReplicaOverview(store).read())


def test_before_anything_happened(store):
    view = read(store)
    assert (view.servers, view.learner, view.inbox_events) == ([], None, 0)
    assert view.database_failure is None


_ANY = st.none() | st.booleans() | st.integers() | st.text(max_size=300) | st.lists(st.integers())
_FIELDS = ("host", "process", "version", "state", "state_age", "spooled", "spooled_bytes")


@given(status=st.fixed_dictionaries(dict.fromkeys(_FIELDS, _ANY)))
def test_what_another_version_says_breaks_nothing(status):
    from floorline.replication.members import Member

    class Store:
        replica = "a"

    server = ReplicaOverview(Store())._server(Member("b", -0.5, status))
    assert len(server.host) <= 200 >= len(server.version)
    assert server.seen_seconds == 0.0
    assert server.spooled_events >= 0 <= server.spooled_bytes
    assert server.state_age_seconds is None or math.isfinite(server.state_age_seconds)


def test_a_server_that_gives_no_sign_of_life_is_shown_as_gone(store, monkeypatch):
    members = Membership(store.engine)
    for name in ("a", "b"):
        members.beat(name, {"host": f"web-{name}", "process": 7, "state_age": 0.5})
    view = read(store)
    assert [(one.id, one.is_this, one.is_serving) for one in view.servers] == [
        ("a", True, True),
        ("b", False, True),
    ]
    monkeypatch.setattr("floorline.gateway.replicas.overview._GONE_SECONDS", -1.0)
    assert not any(one.is_serving for one in read(store).servers)


def test_a_database_that_cannot_be_read_is_not_asked_by_each_viewer(store, monkeypatch):
    asked = []

    def fail(engine):
        asked.append(engine)
        raise StoreUnavailable("the database is away")

    monkeypatch.setattr(overview, "survey", fail)

    async def look():
        one = ReplicaOverview(store)
        views = [await one.read() for _ in range(3)]
        monkeypatch.setattr(overview, "_FRESH_SECONDS", 0.0)
        return [*views, await one.read()]

    views = asyncio.run(look())
    assert [view.database_failure for view in views] == ["the database is away"] * 4
    assert len(asked) == 2


def test_one_server_has_no_replicas(provider, tmp_path):
    gateway = Live(write_settings(provider), tmp_path)
    try:
        assert gateway.http.get("/v1/replicas").json()["error"]["code"] == "no_replicas"
        assert gateway.http.get("/dashboard/replicas").status_code == 404
        assert "/dashboard/replicas" not in gateway.http.get("/dashboard").text
    finally:
        gateway.stop()


@pytest.mark.slow
def test_servers_and_learner_are_shown(empty_postgres, provider, tmp_path):
    proxy, url = behind_proxy(empty_postgres)
    replicas = {"enabled": True, "lease": "1s", "spool": {"folder": str(tmp_path / "spool")}}
    text = write_settings(provider, store={"url": url}, replicas=replicas, auth="keys")
    made = Processes(tmp_path, text, empty_postgres)
    made.path.write_text(text.replace(url, empty_postgres))
    engine = open_engine(empty_postgres)
    keys = KeyStore(engine)
    scopes = ["chat", "metrics", "view"]
    operator, tenants, limited = (
        {"authorization": f"Bearer {keys.create(name, scopes, **limits)[1]}"}
        for name, limits in [("o", {}), ("t", {"tenant": "acme"}), ("m", {"models": MODELS[:1]})]
    )
    _, chat = keys.create("chat", ["chat"])
    engine.dispose()
    try:
        made.learn()
        a, b = made.serve("a"), made.serve("b")

        def view(replica=a):
            return replica.http.get("/v1/replicas", headers=operator).json()

        made.until(lambda: len([one for one in view()["servers"] if one["is_serving"]]) == 2)
        shown = view()
        assert sum(one["is_this"] for one in shown["servers"]) == 1
        assert [one["breakers"] for one in shown["servers"]] == [[], []]
        assert shown["learner"]["epoch"] == 1
        assert shown["learner"]["lease_seconds"] > 0.0
        assert shown["database_failure"] is None
        refused = a.http.get("/v1/replicas", headers={"authorization": f"Bearer {chat}"})
        assert refused.status_code == 403
        for headers, status in [(operator, 200), (tenants, 403), (limited, 403)]:
            page = a.http.get("/dashboard/replicas", headers=headers)
            assert page.status_code == status, page.text
            home = a.http.get("/dashboard", headers=headers)
            assert ("/dashboard/replicas" in home.text) == (status == 200)
        metrics = a.http.get("/metrics", headers=operator).text
        assert "floorline_lease_epoch 1.0" in metrics
        assert "floorline_spooled_events 0.0" in metrics
        # The proxy goes: this server shows what it read last, and what waits on its disk.
        proxy.cut()
        a.http.headers.update(operator)
        for _ in range(3):
            assert ask(a).status_code == 200
        made.until(lambda: view()["database_failure"] is not None)
        cut = view()
        assert len(cut["servers"]) == 2
        page = a.http.get("/dashboard/replicas", headers=operator)
        assert "The database cannot be read" in page.text

        def spooled():
            lines = a.http.get("/metrics", headers=operator).text.splitlines()
            return next(line for line in lines if line.startswith("floorline_spooled_events "))

        made.until(lambda: float(spooled().split()[1]) >= 6)
        proxy.mend()
        made.until(lambda: view()["database_failure"] is None)
        made.until(lambda: float(spooled().split()[1]) == 0)
        assert view(b)["inbox_events"] >= 0
    finally:
        proxy.mend()
        made.stop()
        proxy.close()
