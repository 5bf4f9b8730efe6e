import msgspec
import pytest
from tests.support.live_gateway import wait_until, write_settings

from floorline.errors import InvalidInput
from floorline.gateway.auth import Auth, Caller
from floorline.gateway.errors import ApiError
from floorline.stores.keys import ApiKey, KeyStore
from floorline.stores.sql import SqlStore


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def keys(tmp_path):
    store = SqlStore(f"sqlite:///{tmp_path}/keys.db")
    yield store.keys
    store.close()


@pytest.fixture
def clock():
    return Clock()


def bearer(secret):
    return {"authorization": f"Bearer {secret}"}


def build(keys: KeyStore, clock, costs=lambda key: ()):
    return Auth(keys.list(), costs, monotonic=clock, clock=clock)


def refused(auth, secret, scope="chat"):
    with pytest.raises(ApiError) as caught:
        auth.caller(bearer(secret), scope)
    return caught.value


def test_a_key_identifies_its_tenant(keys, clock):
    key, secret = keys.create("app", tenant="acme", slas=["gold"])
    caller = build(keys, clock).caller(bearer(secret), "chat")
    assert (caller.key, caller.tenant, caller.slas) == (key.id, "acme", ("gold",))
    assert caller.may_use("gold")
    assert not caller.may_use("silver")


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer sk-1234"},
        {"authorization": "Bearer fl-00000000-guess"},
        {"authorization": "Basic fl-00000000-guess"},
    ],
)
def test_a_request_without_a_valid_key_is_refused(header, keys, clock):
    keys.create("app")
    with pytest.raises(ApiError, match="no valid API key: send 'Authorization: Bearer") as caught:
        build(keys, clock).caller(header, "chat")
    assert caught.value.status == 401
    assert caught.value.headers["www-authenticate"] == "Bearer"


def test_the_secret_of_another_key_is_refused(keys, clock):
    one, _ = keys.create("one")
    _, secret = keys.create("two")
    forged = f"fl-{one.id}-" + secret.split("-", 2)[2]
    assert refused(build(keys, clock), forged).status == 401


def test_a_key_is_valid_for_its_scopes_only(keys, clock):
    _, secret = keys.create("app", ["chat"])
    auth = build(keys, clock)
    auth.caller(bearer(secret), "chat")
    error = refused(auth, secret, "admin")
    assert (error.status, error.code) == (403, "missing_scope")


def test_a_revoked_key_is_refused(keys, clock):
    key, secret = keys.create("app")
    auth = build(keys, clock)
    auth.caller(bearer(secret), "chat")
    keys.revoke(key.id)
    auth.set_keys(keys.list())
    assert refused(auth, secret).status == 401


def test_the_rate_is_kept_and_refills(keys, clock):
    _, secret = keys.create("app", rate=3)
    auth = build(keys, clock)
    for _ in range(3):
        auth.caller(bearer(secret), "chat")
    error = refused(auth, secret)
    assert (error.status, error.headers["retry-after"]) == (429, "20")
    # CallbackCollector the keys anew is no reason to forget what was used.
    auth.set_keys(keys.list())
    assert refused(auth, secret).status == 429
    clock.now += 20.0
    auth.caller(bearer(secret), "chat")
    assert refused(auth, secret).status == 429


def test_the_budget_is_kept_through_restarts_and_renews(keys, clock):
    key, secret = keys.create("app", budget=1.0, period=100.0)
    # A call of the period before, and two of this one.
    paid = {key.id: [(999.0, 0.9), (1000.0, 0.4), (1010.0, 0.3)]}
    clock.now = 1020.0
    auth = build(keys, clock, paid.get)
    auth.caller(bearer(secret), "chat")
    auth.charge(key.id, "d1", 0.3)
    assert auth.left(key.id) == pytest.approx(0.0)
    error = auth.out_of_budget(key.id)
    assert (error.status, error.code) == (429, "insufficient_quota")
    assert error.headers["retry-after"] == "80"
    clock.now += 80.0
    assert auth.left(key.id) == 1.0


def test_what_a_call_can_cost_is_held_until_its_cost_is_known(keys, clock):
    key, _ = keys.create("app", budget=1.0, period=100.0)
    auth = build(keys, clock)
    auth.hold(key.id, "d1", 0.7)
    auth.hold(key.id, "d2", 0.2)
    assert auth.left(key.id) == pytest.approx(0.1)
    # A refused request may fit once an open call has ended.
    assert auth.out_of_budget(key.id).headers["retry-after"] == "5"
    auth.charge(key.id, "d1", 0.05)
    assert auth.left(key.id) == pytest.approx(0.75)
    auth.charge(key.id, "d2", 0.0)
    assert auth.left(key.id) == 0.95
    # A call that goes on into the next period stays held, and is charged there.
    auth.hold(key.id, "d3", 0.4)
    clock.now += 100.0
    assert auth.left(key.id) == pytest.approx(0.6)
    auth.charge(key.id, "d3", 0.3)
    assert auth.left(key.id) == pytest.approx(0.7)


def test_open_calls_stay_held_when_the_key_changes(keys, clock):
    key, _ = keys.create("app", budget=1.0, period=100.0)
    auth = build(keys, clock, lambda key: [(clock.now, 0.25)])
    auth.hold(key.id, "d1", 0.5)
    auth.set_keys([msgspec.structs.replace(key, budget=2.0)])
    assert auth.left(key.id) == 1.25


def test_without_keys_every_request_may_do_everything_but_administer():
    auth = Auth(None, lambda key: ())
    assert auth.open
    assert auth.caller({}, "chat").scopes == {"chat", "feedback", "metrics", "view"}
    with pytest.raises(ApiError, match="set auth: keys in ") as caught:
        auth.caller({}, "admin")
    assert caught.value.status == 403
    auth.hold("", "d1", 5.0)
    auth.charge("", "d1", 5.0)
    assert auth.left("") == float("inf")


def test_with_keys_the_gateway_is_not_open(keys, clock):
    first = ApiKey(id="a", digest=b"", name="a", scopes=("chat",), rate=5, created=0.0)
    auth = Auth([first], lambda key: (), monotonic=clock, clock=clock)
    assert not auth.open


@pytest.fixture
def locked(start, provider, tmp_path):
    """A gateway that asks for keys, one of each scope and of two tenants."""
    own = [{"name": "gold", "floor": 0.8, "per_tenant": True}, {"name": "silver", "floor": 0.5}]
    gateway = start(write_settings(provider, auth="keys", slas=own), tmp_path)
    make = gateway.gateway.store.keys.create
    secrets = {
        "acme": make("acme", tenant="acme")[1],
        "umbrella": make("umbrella", tenant="umbrella")[1],
        "admin": make("admin", ["admin", "chat"])[1],
        "silver": make("silver", slas=["silver"])[1],
    }
    wait_until(lambda: gateway.chat(headers=bearer(secrets["silver"])).status_code != 401)
    return gateway, {name: bearer(secret) for name, secret in secrets.items()}


def test_tenants_have_queues_and_feedback_of_their_own(locked):
    gateway, keys = locked
    answer = gateway.chat(headers=keys["acme"])
    message = {"id": answer.json()["id"], "satisfied": True}
    foreign = gateway.http.post("/v1/feedback", json=message, headers=keys["umbrella"])
    assert foreign.status_code == 404
    assert gateway.http.post("/v1/feedback", json=message, headers=keys["acme"]).status_code == 200
    seen = gateway.http.get("/v1/slas", headers=keys["acme"]).json()["data"]
    assert [(s["name"], s["labels"]) for s in seen] == [
        ("gold", 0),
        ("silver", 0),
        ("gold@acme", 1),
    ]
    seen = gateway.http.get("/v1/slas", headers=keys["umbrella"]).json()["data"]
    assert [s["name"] for s in seen] == ["gold", "silver"]
    assert gateway.http.get("/v1/slas/gold@acme", headers=keys["umbrella"]).status_code == 404
    assert gateway.http.get("/v1/slas/gold@acme", headers=keys["admin"]).status_code == 200


def test_a_tenant_sees_what_its_own_labels_weigh_and_no_other_tenant(locked):
    gateway, keys = locked
    for name in ("acme", "umbrella", "umbrella"):
        answer = gateway.chat(model="floorline/silver", headers=keys[name])
        message = {"id": answer.json()["id"], "satisfied": True}
        gateway.http.post("/v1/feedback", json=message, headers=keys[name])

    def senders(name):
        return gateway.http.get("/v1/slas/silver", headers=keys[name]).json()["senders"]

    assert [(row["sender"], row["requests"]) for row in senders("umbrella")] == [
        ("tenant:umbrella", 2)
    ]
    assert senders("acme")[0]["labels"] == 1
    assert {row["sender"] for row in senders("admin")} >= {"tenant:acme", "tenant:umbrella"}


def test_a_key_names_only_the_slas_on_its_list(locked):
    gateway, keys = locked
    refused = gateway.chat(headers=keys["silver"])
    assert refused.status_code == 404
    assert "use one of floorline/silver, floorline/auto" in refused.json()["error"]["message"]
    answer = gateway.chat(model="floorline/auto", headers=keys["silver"])
    record = gateway.gateway.router.find(answer.headers["x-floorline-decision"])
    assert record.decision.sla == "silver"


def test_only_admins_change_the_zoo(locked):
    gateway, keys = locked
    path = "/v1/zoo/models/sim-nano"
    assert gateway.http.delete(path).status_code == 401
    assert gateway.http.delete(path, headers=keys["acme"]).status_code == 403
    assert gateway.http.delete(path, headers=keys["admin"]).status_code == 200


def test_health_needs_no_key(locked):
    gateway, _ = locked
    for path in ("/healthz", "/readyz", "/openapi.json"):
        assert gateway.http.get(path).status_code == 200


def test_tokens_of_feedback_come_back_with_time(keys, clock):
    _, secret = keys.create("app", feedback_rate=60.0)
    auth = build(keys, clock)
    caller = auth.caller(bearer(secret), "feedback")
    for _ in range(60):
        auth.take_feedback(caller)
    with pytest.raises(ApiError, match="60 feedback messages a minute") as caught:
        auth.take_feedback(caller)
    assert (caught.value.status, caught.value.headers["retry-after"]) == (429, "1")
    clock.now += 1.0
    auth.take_feedback(caller)
    with pytest.raises(ApiError):
        auth.take_feedback(caller)


def test_a_rate_below_one_a_minute_still_permits_one(keys, clock):
    _, secret = keys.create("app", feedback_rate=0.5, rate=0.5)
    auth = build(keys, clock)
    caller = auth.caller(bearer(secret), "feedback")
    auth.take_feedback(caller)
    clock.now += 119.0
    with pytest.raises(ApiError):
        auth.take_feedback(caller)
    clock.now += 1.0
    auth.take_feedback(caller)


def test_without_keys_feedback_has_no_rate(clock):
    auth = Auth(None, lambda key: (), feedback_rate=lambda: 1.0)
    for _ in range(10):
        auth.take_feedback(Caller())


@pytest.mark.parametrize("tenant", ["x" * 129, "a\0b", "new\nline", "\ud800"])
def test_a_tenant_out_of_bounds_is_refused(tenant, keys):
    with pytest.raises(InvalidInput, match=r"key\.tenant is .*: give a text of at most 128"):
        keys.create("app", tenant=tenant)


def test_a_stored_key_whose_tenant_is_out_of_bounds_is_not_accepted(keys, clock, monkeypatch):
    monkeypatch.setattr("floorline.stores.keys.check_name", lambda *given, **options: None)
    _, secret = keys.create("app", tenant="x" * 100_000)
    _, other = keys.create("other", tenant="acme")
    auth = build(keys, clock)
    assert refused(auth, secret).status == 401
    assert auth.caller(bearer(other), "chat").tenant == "acme"
