"""Replicas never spend more together than a budget holds, and nothing of it is lost for long."""

import copy
import math
import threading

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from floorline.replication import tables
from floorline.replication.escrow import Escrow, forget_ended, holders_gone
from floorline.replication.members import Membership
from floorline.replication.shares import Account, Shares, Wanted
from floorline.stores.engine import open_engine

GOLD = Account("sla:gold", amount=100.0, period=60.0)


def rows(engine, table):
    with engine.connect() as connection:
        return connection.execute(sa.select(table)).all()


class Replica:
    def __init__(self, engine, name, accounts=(GOLD,)):
        self.escrow = Escrow(engine, name)
        self.shares = Shares()
        self.shares.watch(accounts)

    def refill(self, at, members=2):
        for (name, start), granted in self.escrow.grant(self.shares.wanted(at), members).items():
            self.shares.set_granted(name, start, granted)


def test_grants_are_parts_of_what_is_left(engine):
    a, b = Replica(engine, "a"), Replica(engine, "b")
    a.refill(0.0)
    assert a.shares.left("sla:gold", 0.0) == 12.5
    b.refill(0.0)
    assert b.shares.left("sla:gold", 0.0) == 87.5 / 8
    # There is enough: nothing is asked for.
    assert a.shares.wanted(0.0) == []
    a.shares.hold("sla:gold", "1", 10.0, 0.0)
    (wanted,) = a.shares.wanted(0.0)
    assert wanted.least == 20.0
    a.refill(0.0)
    assert a.shares.left("sla:gold", 0.0) == 22.5
    assert rows(engine, tables.escrow)[0].granted == 12.5 + 87.5 / 8 + 20.0


def test_the_next_period_is_granted_before_it_begins(engine):
    a = Replica(engine, "a")
    a.refill(30.0)
    assert a.shares.left("sla:gold", 60.0) == 0.0
    a.refill(56.0)
    assert a.shares.left("sla:gold", 60.0) == 12.5


def test_what_is_not_needed_goes_back(engine):
    a, b = Replica(engine, "a"), Replica(engine, "b")
    a.refill(0.0, members=1)
    a.shares.set_granted("sla:gold", 0.0, 25.0)
    a.shares.hold("sla:gold", "1", 2.0, 0.0)
    a.shares.settle("1", 0.5)
    a.shares._shares["sla:gold", 0.0].last_grant = 4.0
    parts = a.shares.take_back(1.0)
    assert parts == [("sla:gold", 0.0, 16.5)]
    a.escrow.give_back(parts)
    assert rows(engine, tables.shares)[0].granted == 8.5
    # After the end of the period the rest is of no use to anyone, and is forgotten here.
    assert a.shares.take_back(61.0) == [("sla:gold", 0.0, 8.0)]
    assert a.shares.used() == {}
    b.refill(0.0)
    b.shares.hold("sla:gold", "2", 3.0, 1.0)
    b.escrow.give_back(b.shares.close())
    assert [row.granted for row in rows(engine, tables.shares) if row.replica == "b"] == [3.0]


def test_a_call_that_does_not_fit_gets_room_by_the_next_grant(engine):
    """A part for one of many replicas may be too small for any call, and would never be spent."""
    a = Replica(engine, "a")
    a.refill(0.0, members=64)
    assert a.shares.left("sla:gold", 0.0) == 100.0 / 256
    a.shares.need("sla:gold", 3.0)
    a.shares.need("sla:gold", 101.0)
    a.shares.need("sla:silver", 3.0)
    a.refill(0.0, members=64)
    assert a.shares.left("sla:gold", 0.0) == 100.0 / 256 + 3.0
    assert a.shares.wanted(0.0) == []


def test_a_grant_beyond_one_call_leaves_as_much_for_each_of_the_others(engine):
    a, b = Replica(engine, "a"), Replica(engine, "b")
    a.escrow.grant([Wanted(GOLD, 0.0, 90.0)], 1)
    wanted = Wanted(GOLD, 0.0, least=8.0, call=4.0)
    # Of the 10 that are left, half is for each; then one call, although it is more than that.
    assert b.escrow.grant([wanted], 2) == {("sla:gold", 0.0): 5.0}
    assert b.escrow.grant([wanted], 2) == {("sla:gold", 0.0): 9.0}
    assert b.escrow.grant([wanted], 2) == {("sla:gold", 0.0): 10.0}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_looking_at_changed_accounts_only_is_as_good_as_at_all(data):
    accounts = [
        Account("gold", 100.0, 60.0),
        Account("silver", 50.0, None),
        Account("rate", 30.0, 10.0),
    ]
    shares, at, calls = Shares(), 0.0, []
    shares.watch(accounts)
    for number in range(data.draw(st.integers(1, 60))):
        name = data.draw(st.sampled_from(["gold", "silver", "rate"]))
        action = data.draw(st.sampled_from(_SHARE_ACTIONS))
        if action == "hold":
            shares.hold(name, str(number), data.draw(st.sampled_from([0.5, 2.0, 9.0])), at)
            calls.append(str(number))
        elif action == "settle" and calls:
            shares.settle(calls.pop(0), data.draw(st.sampled_from([0.0, 1.0, 20.0])))
        elif action == "need":
            shares.need(name, 4.0)
        elif action == "watch":
            changed = [one._replace(amount=one.amount + number) for one in accounts]
            shares.watch(data.draw(st.sampled_from([accounts, accounts[1:], changed])))
        elif action == "all":
            shares.set_all({("gold", 0.0): 3.0})
        elif action == "later":
            at += data.draw(st.sampled_from([0.1, 4.0, 9.0, 61.0]))
        elif action == "earlier":
            at -= 5.0
        elif action == "granted":
            for wanted in shares.wanted(at):
                before = shares.granted(wanted.account.name, wanted.start)
                granted = before + data.draw(st.sampled_from([0.0, 1.0, 30.0]))
                shares.set_granted(wanted.account.name, wanted.start, granted)
        every = sorted(shares._accounts)
        expected = [one for n in every for one in shares._wanted(shares._accounts[n], at)]
        assert shares.wanted(at) == expected
        if action == "back":
            twin = copy.deepcopy(shares)
            twin._spare = set(twin._shares)
            assert shares.take_back(at) == twin.take_back(at)
            assert shares.used() == twin.used()


_SHARE_ACTIONS = (
    "hold", "hold", "settle", "settle", "need", "watch", "all", "later", "later", "earlier",
    "granted", "granted", "granted", "back", "back",
)  # fmt: skip


def test_shares_of_a_replica_that_is_gone_return(engine):
    gone, other = Replica(engine, "gone"), Replica(engine, "other")
    gone.refill(0.0, members=1)
    gone.shares.hold("sla:gold", "1", 10.0, 0.0)
    gone.shares.settle("1", 4.0)
    gone.shares.hold("sla:gold", "2", 5.0, 0.0)
    assert gone.escrow.reclaim(gone.shares.used()) == 16.0
    assert rows(engine, tables.escrow)[0].granted == 9.0
    other.refill(0.0, members=1)
    assert other.shares.left("sla:gold", 0.0) == 91.0 / 4


def test_a_smaller_budget_grants_nothing_more(engine):
    a = Replica(engine, "a")
    a.refill(0.0, members=1)
    a.shares.watch([GOLD._replace(amount=20.0)])
    a.shares.hold("sla:gold", "1", 24.0, 0.0)
    a.refill(0.0, members=1)
    assert a.shares.left("sla:gold", 0.0) == 1.0


def test_accounts_that_no_one_watches_hold_nothing():
    shares = Shares()
    shares.hold("sla:gold", "1", 5.0, 0.0)
    shares.settle("1", 5.0)
    assert not shares.knows("sla:gold")
    assert shares.used() == {}


_ACTIONS = (
    "spend", "spend", "spend", "settle", "settle", "refill", "refill", "lost refill",
    "back", "lost back", "crash", "later",
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_interleaving_spends_more_than_the_budget(data, tmp_path_factory):
    """Spending, grants whose answer is lost, returns, crashes and periods, in any order."""
    engine = open_engine(f"sqlite:///{tmp_path_factory.mktemp('escrow') / 'log.db'}")
    tables.create(engine)
    silver = Account("sla:silver", amount=7.0, period=None)
    made = 0

    def new():
        nonlocal made
        made += 1
        return Replica(engine, f"r{made}", (GOLD, silver))

    replicas = [new() for _ in range(3)]
    buried = {}
    at, calls = 0.0, 0
    try:
        for _ in range(data.draw(st.integers(10, 60))):
            place = data.draw(st.integers(0, 2))
            one = replicas[place]
            name = data.draw(st.sampled_from(["sla:gold", "sla:silver"]))
            action = data.draw(st.sampled_from(_ACTIONS))
            if action == "spend":
                amount = data.draw(st.sampled_from([0.1, 1.0, 3.0]))
                if amount <= one.shares.left(name, at):
                    calls += 1
                    one.shares.hold(name, f"{place}:{calls}", amount, at)
            elif action == "settle" and one.shares._calls:
                call = data.draw(st.sampled_from(sorted(one.shares._calls)))
                ((account, start),) = one.shares._calls[call]
                held = one.shares._shares[account, start].holds[call]
                one.shares.settle(call, held * data.draw(st.sampled_from([0.0, 0.3, 1.0])))
            elif action == "refill":
                one.refill(at, members=3)
            elif action == "lost refill":
                one.escrow.grant(one.shares.wanted(at), 3)
            elif action in ("back", "lost back"):
                ended = one.shares.used()
                parts = one.shares.take_back(at)
                for key in ended.keys() - one.shares.used().keys():
                    buried[key] = buried.get(key, 0.0) + ended[key]
                if action == "back":
                    one.escrow.give_back(parts)
            elif action == "crash":
                used = one.shares.used()
                for key, amount in used.items():
                    buried[key] = buried.get(key, 0.0) + amount
                one.escrow.reclaim(used)
                replicas[place] = new()
            elif action == "later":
                at += data.draw(st.sampled_from([1.0, 30.0]))
            total = dict(buried)
            for replica in replicas:
                for key, amount in replica.shares.used().items():
                    total[key] = total.get(key, 0.0) + amount
            amounts = {"sla:gold": 100.0, "sla:silver": 7.0}
            for (account, _), amount in total.items():
                assert amount <= amounts[account] + 1e-9
        granted = {}
        for row in rows(engine, tables.shares):
            key = row.account, row.start
            granted[key] = granted.get(key, 0.0) + row.granted
        for row in rows(engine, tables.escrow):
            assert row.granted <= {"sla:gold": 100.0, "sla:silver": 7.0}[row.account] + 1e-9
            used_by_the_gone = row.granted - granted.get((row.account, row.start), 0.0)
            assert used_by_the_gone >= -1e-9
            assert math.isfinite(row.granted)
    finally:
        engine.dispose()


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_grants_at_the_same_time_keep_the_amount(engine):
    replicas = [Replica(engine, f"r{n}") for n in range(6)]
    begin = threading.Barrier(len(replicas))

    def spend(one):
        begin.wait()
        for call in range(30):
            one.refill(0.0, members=len(replicas))
            if one.shares.left("sla:gold", 0.0) >= 2.0:
                one.shares.hold("sla:gold", str(call), 2.0, 0.0)

    threads = [threading.Thread(target=spend, args=[one]) for one in replicas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    used = sum(sum(one.shares.used().values()) for one in replicas)
    # What each of the six has left may be too little for a call.
    assert 100.0 - 6 * 2.0 <= used <= 100.0
    assert rows(engine, tables.escrow)[0].granted <= 100.0 + 1e-9


def test_a_replica_that_comes_back_has_what_it_used_and_no_more(engine):
    away, other = Replica(engine, "away"), Replica(engine, "other")
    away.refill(0.0, members=1)
    away.shares.hold("sla:gold", "1", 10.0, 0.0)
    assert away.shares.left("sla:gold", 0.0) == 15.0
    assert away.escrow.reclaim(away.shares.used()) == 15.0
    other.escrow.grant([Wanted(GOLD, 0.0, 90.0)], 1)
    away.shares.set_all(away.escrow.granted())
    assert away.shares.left("sla:gold", 0.0) == 0.0
    away.refill(0.0)
    assert away.shares.left("sla:gold", 0.0) == 0.0
    assert rows(engine, tables.escrow)[0].granted == 100.0


def test_shares_of_a_replica_that_was_seen_stay(engine):
    seen = Replica(engine, "seen")
    seen.refill(0.0)
    assert holders_gone(engine) == {"seen"}
    Membership(engine).beat("seen", {})
    assert holders_gone(engine) == set()
    assert seen.escrow.reclaim({}, 10.0) is None
    assert seen.escrow.granted() == {("sla:gold", 0.0): 12.5}
    assert seen.escrow.reclaim({}, -1.0) == 12.5
    assert Membership(engine).all() == []


def test_a_replica_that_ends_leaves_what_it_spent(engine):
    one = Replica(engine, "one")
    one.refill(0.0)
    one.shares.hold("sla:gold", "1", 4.0, 0.0)
    one.shares.settle("1", 3.0)
    one.escrow.leave(one.shares.close())
    assert rows(engine, tables.shares) == []
    assert rows(engine, tables.escrow)[0].granted == 3.0


def test_periods_that_ended_are_forgotten(engine):
    rate = Account("rate:chat:k1", 30.0, 60.0)
    whole = Account("sla:whole", 9.0, None)
    one = Replica(engine, "one", (GOLD, rate, whole))
    for at in (0.0, 60.0, 120.0):
        one.refill(at)
    forget_ended(engine, [GOLD, whole, Account("rate:*", 0.0, 60.0)], 121.0)
    for table in (tables.escrow, tables.shares):
        left = sorted((row.account, row.start) for row in rows(engine, table))
        periods = [(name, at) for name in ("rate:chat:k1", "sla:gold") for at in (60.0, 120.0)]
        assert left == [*periods, ("sla:whole", 0.0)]
