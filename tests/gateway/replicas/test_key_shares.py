"""Budgets and rates of keys are the same, however many replicas share them."""

import pytest

from floorline.gateway.auth import Auth
from floorline.gateway.errors import ApiError
from floorline.gateway.replicas.key_shares import KeyShares
from floorline.gateway.token_bucket import TokenBucket
from floorline.replication import tables
from floorline.replication.escrow import Escrow
from floorline.replication.shares import Shares
from floorline.stores.engine import open_engine
from floorline.stores.sql import SqlStore


@pytest.fixture
def engine(tmp_path):
    made = open_engine(f"sqlite:///{tmp_path / 'log.db'}")
    tables.create(made)
    yield made
    made.dispose()


class Replica:
    def __init__(self, engine, name, keys=(), at=0.0):
        self.at = at
        self.shares = Shares()
        self.keys = KeyShares(self.shares, lambda: 2, lambda: self.at)
        self.escrow = Escrow(engine, name)
        self.auth = Auth(
            keys, lambda id: (), monotonic=lambda: self.at, clock=lambda: self.at, shared=self.keys
        )

    def fill(self):
        self.shares.watch(self.keys.accounts(self.auth.charged_keys))
        granted = self.escrow.grant(self.shares.wanted(self.at), 2)
        for (name, start), amount in granted.items():
            self.shares.set_granted(name, start, amount)


@pytest.fixture
def key(tmp_path):
    store = SqlStore(f"sqlite:///{tmp_path / 'keys.db'}")
    made, _ = store.keys.create("k", ["chat"], budget=10.0, period=60.0, rate=40.0)
    store.close()
    return made


def test_calls_of_a_key_at_all_replicas_keep_its_budget(engine, key):
    a, b = Replica(engine, "a", [key]), Replica(engine, "b", [key])
    spent, calls = 0.0, 0
    for turn in range(200):
        one = (a, b)[turn % 2]
        one.fill()
        if one.auth.left(key.id) >= 0.5:
            calls += 1
            one.auth.hold(key.id, f"d{calls}", 0.5)
            one.auth.charge(key.id, f"d{calls}", 0.4)
            spent += 0.4
    assert 9.0 < spent <= 10.0
    refusal = a.auth.out_of_budget(key.id)
    assert refusal.status == 429
    assert "shared by several servers" in refusal.text
    # Each tells what it spent itself.
    told = [one.auth.spending()[key.id].spent for one in (a, b)]
    assert sum(told) == pytest.approx(spent)


def test_a_new_period_has_a_new_budget(engine, key):
    a = Replica(engine, "a", [key])
    a.fill()
    a.at = 58.0
    a.fill()
    a.at = 61.0
    assert a.auth.left(key.id) > 0.0
    assert a.auth.spending()[key.id].ends == 120.0


def test_an_unknown_share_is_nothing(engine, key):
    a = Replica(engine, "a", [key])
    assert a.auth.left(key.id) == 0.0


def taken(replicas, key, rate, tries, *, only=None):
    """Number of events that replicas let pass at one time."""
    buckets = {one: TokenBucket(rate / 4.0, 0.0) for one in replicas}
    passed = 0
    for turn in range(tries):
        one = replicas[turn % len(replicas)] if only is None else only
        one.fill()
        passed += one.keys.take("chat", key, rate, buckets[one], 0.0) == 0.0
    return passed


def test_a_rate_holds_for_all_replicas_together(engine):
    replicas = [Replica(engine, "a"), Replica(engine, "b")]
    assert 35 <= taken(replicas, "k", 40.0, 200) <= 40


def test_a_client_of_one_replica_gets_most_of_its_rate(engine):
    one, other = Replica(engine, "a"), Replica(engine, "b")
    assert 25 <= taken([one, other], "k", 40.0, 200, only=one) <= 30


def test_a_refused_request_is_told_when_to_come_again(engine, key):
    a = Replica(engine, "a", [key])
    waits = []
    for _ in range(60):
        try:
            a.auth.caller_of_login(key.id, "chat")
        except ApiError as error:
            waits.append(error.headers["retry-after"] if error.headers else None)
    assert waits
    assert a.keys.take("chat", key.id, None, TokenBucket(None, 0.0), 0.0) == 0.0
