import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floorline.core.snapshots import pack, unpack
from floorline.events import RequestContext
from floorline.state.senders import MAX_SENDERS, OTHERS, SenderAccounts, weighted_median


def play(accounts, senders, rates, count, seed=0):
    """Requests of senders with these shares, each labelled at its sender's rate."""
    rng = np.random.default_rng(seed)
    names, shares = list(senders), np.array(list(senders.values()))
    for name in rng.choice(names, size=count, p=shares / shares.sum()).tolist():
        accounts.request(name)
        if rng.random() < rates[name]:
            accounts.label(name, 1.0, accounts.credit(name))
    return {row.sender: row for row in accounts.rows(MAX_SENDERS)}


def weight_share(rows, name):
    return rows[name].weight / sum(row.weight for row in rows.values())


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
def test_a_sender_that_labels_everything_weighs_as_much_as_its_requests(share):
    senders = {f"t{n}": (1.0 - share) / 10 for n in range(10)} | {"loud": share}
    rates = dict.fromkeys(senders, 0.1) | {"loud": 1.0}
    rows = play(SenderAccounts(), senders, rates, 6000)
    assert rows["loud"].labels > 0.9 * share * 6000
    assert weight_share(rows, "loud") < 1.3 * share
    # Nine in ten labels of the others count: half of them are above the median rate by chance.
    others = [row for row in rows.values() if row.sender != "loud"]
    assert sum(row.weight for row in others) > 0.85 * sum(row.labels for row in others)


def test_of_equal_senders_with_all_labels_every_one_counts():
    senders = {f"t{n}": 1.0 for n in range(5)}
    rows = play(SenderAccounts(), senders, dict.fromkeys(senders, 1.0), 500)
    assert all(row.weight == pytest.approx(row.labels, rel=0.02) for row in rows.values())


def test_a_sender_with_the_most_requests_is_bounded_by_the_others_too():
    rows = play(
        SenderAccounts(), {"big": 0.4, "a": 0.3, "b": 0.3}, {"big": 1, "a": 0.1, "b": 0.1}, 4000
    )
    assert weight_share(rows, "big") < 0.5


@settings(max_examples=30, deadline=None)
@given(
    shares=st.lists(st.floats(0.05, 1.0), min_size=2, max_size=6),
    rates=st.lists(st.floats(0.05, 1.0), min_size=6, max_size=6),
    seed=st.integers(0, 1000),
)
def test_no_sender_weighs_more_than_twice_its_share_of_the_requests(shares, rates, seed):
    """But for chance: rates of few labels scatter around the median."""
    names = [f"t{n}" for n in range(len(shares))]
    accounts = SenderAccounts()
    rows = play(
        accounts,
        dict(zip(names, shares, strict=True)),
        dict(zip(names, rates, strict=False)),
        3000,
        seed,
    )
    total = sum(row.weight for row in rows.values())
    requests = sum(row.requests for row in rows.values())
    if total > 300:
        assert all(
            row.weight / total < 2.0 * row.requests / requests + 0.1 for row in rows.values()
        )


def test_a_label_never_weighs_more_than_what_requests_earned():
    accounts, earned, spent = SenderAccounts(), 0.0, 0.0
    rng = np.random.default_rng(0)
    for _ in range(2000):
        accounts.request("other")
        if rng.random() < 0.1:
            accounts.label("other", 1.0, accounts.credit("other"))
        if rng.random() < 0.2:
            earned += accounts.reference_
            accounts.request("silent, then loud")
    # It has labelled nothing so far, and now labels all of its responses at once.
    for _ in range(400):
        spent += accounts.credit("silent, then loud")
        accounts.label("silent, then loud", 0.0, accounts.credit("silent, then loud"))
    assert spent == pytest.approx(earned)
    assert accounts.credit("silent, then loud") == 0.0


def test_many_small_senders_never_displace_large_ones():
    accounts = SenderAccounts()
    for number in range(20_000):
        accounts.request(f"large {number % 20}" if number % 2 else f"small {number}")
    rows = {row.sender: row for row in accounts.rows(MAX_SENDERS)}
    assert len(accounts.accounts_) == MAX_SENDERS
    assert all(rows[f"large {n}"].requests == 1000 for n in range(1, 20, 2))
    assert sum(row.requests for row in rows.values()) == 20_000
    assert len(accounts.rows(5)) == 6
    assert accounts.rows(5)[-1].sender == OTHERS


def test_senders_without_an_account_share_what_their_requests_earned():
    accounts = SenderAccounts()
    for number in range(5000):
        for turn in range(2):
            accounts.request("steady")
            if (2 * number + turn) % 10 == 0:
                accounts.label("steady", 1.0, 1.0)
        name = f"small {number}"
        accounts.request(name)
        accounts.label(name, 0.0, accounts.credit(name))
    rows = {row.sender: row for row in accounts.rows(1)}
    assert rows["steady"].weight == 1000
    assert rows[OTHERS].labels == 5000
    assert rows[OTHERS].weight < 1.2 * 500


def test_a_restored_account_goes_on_as_before():
    accounts, copy = SenderAccounts(), SenderAccounts()
    play(accounts, {"a": 1, "b": 1, "c": 2}, {"a": 0.3, "b": 0.1, "c": 0.5}, 700)
    copy.restore(unpack(pack(accounts.snapshot())))
    for each in (accounts, copy):
        play(each, {"a": 1, "b": 1, "d": 2}, {"a": 0.3, "b": 0.1, "d": 0.5}, 700, seed=1)
    assert accounts.snapshot() == copy.snapshot()


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 5)), min_size=1, max_size=20))
def test_half_of_the_weight_is_on_either_side_of_the_median(pairs):
    middle = weighted_median(pairs)
    total = sum(weight for _, weight in pairs)
    assert sum(weight for value, weight in pairs if value <= middle) >= 0.5 * total - 1e-9
    assert sum(weight for value, weight in pairs if value >= middle) >= 0.5 * total - 1e-9


def test_with_one_sender_every_label_has_weight_1(build_router, vector):
    router = build_router()
    for number in range(50):
        decision = router.route(features=vector(number), context=RequestContext(tenant="only"))
        router.feedback(decision.id, satisfied=number % 3 > 0)
    given = [event for event in router.log.read() if hasattr(event, "influence")]
    assert {(event.weight, event.influence) for event in given} == {(1.0, 1.0)}
