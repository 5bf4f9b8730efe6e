"""The fold of a log over time: it counts what the router counts, within its bounds."""

import random

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.support.inside import fold_of

from floorline import SLA, Model, Router, Zoo
from floorline.events import DISCONNECTED, NOT_CALLED, REFUSED, RequestContext
from floorline.state import time_buckets, time_series
from floorline.state.time_buckets import OTHERS, TimeCounts, Totals, label_sums_of, time_counts_of
from floorline.state.time_series import HOUR, MINUTE, TimeSeries

ZOO = Zoo([Model("small", call_price=1.0), Model("large", call_price=9.0)])
SLAS = [
    SLA("gold", floor=0.9, latency={"p50": 1.5, "p95": 2.5}, ttft={"p90": 1.0}),
    SLA("silver", floor=0.6, latency={"p50": 1.5}),
]


def router(memory=50_000):
    return Router(ZOO, slas=SLAS, seed=1, memory=memory)


def fold(source):
    series = TimeSeries(source.memory, SLAS)
    for event in source.log.read():
        series.fold(event)
    return series


def whole(level, sla=None, tenant=None):
    found = Totals()
    for bucket in level:
        for totals in bucket.add_to({}, sla, tenant).values():
            found.add(totals)
    return found


def use(made, rng, requests=200, memory=200):
    """Send requests with outcomes, labels, corrections, repeats, fallbacks and changed SLAs."""
    ids = []
    for number in range(requests):
        at = 37.0 * number
        context = RequestContext(tenant=rng.choice(["", "acme", "umbrella"]))
        sla = rng.choice(list(made.slas))
        decision = made.route("hello", sla, at=at, context=context)
        error = rng.choice([None, None, None, "it failed", DISCONNECTED, f"{REFUSED}400"])
        times = {} if error == "it failed" else {"latency": 1.0}
        for _ in range(rng.choice([1, 2])):
            made.outcome(decision.id, cost=rng.random(), error=error, at=at + 1.0, **times)
        if error is not None:
            context = context._replace(after=decision.id)
            decision = made.route("hello", sla, at=at + 1.0, context=context)
            seconds = rng.choice([0.4, 1.4, 2.0])
            made.outcome(
                decision.id,
                cost=rng.random(),
                latency=seconds,
                first_token=seconds / 2.0,
                at=at + 1.0 + seconds,
            )
        ids.append(decision.id)
        labelled = rng.choice(ids[-memory:])
        made.feedback(labelled, score=rng.random(), at=at + 5.0, key=rng.choice(["", "k"]))
        made.feedback(decision.id, satisfied=rng.random() < 0.8, at=at + 5.0)
        if number % 70 == 60 and "silver" in made.slas:
            made.remove_sla("silver", at=at + 6.0)
        if number % 70 == 65:
            made.set_sla(SLAS[1], at=at + 6.0)


def latest_scores(made, sla):
    """Sum of the scores that the router remembers; a certificate weighs them by their senders."""
    records = [made.find(name) for name in made.remembered]
    return sum(sum(r.scores.values()) for r in records if r.decision.sla == sla)


@settings(max_examples=10, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
def test_it_counts_what_the_router_counts(seed):
    made = router()
    use(made, random.Random(seed))
    series = fold(made)
    for name, ledger in fold_of(made).ledgers_.items():
        counted, expected = series.labels.get(name, time_buckets.LabelSums()), label_sums_of(ledger)
        for field, value in msgspec.structs.asdict(expected).items():
            assert getattr(counted, field) == pytest.approx(value)
        for promise, counts in time_counts_of(ledger).items():
            found = series.latency.get((name, promise), TimeCounts())
            assert found == counts
            for level in (series.minutes, series.hours):
                added = [bucket.latency.get((name, promise), TimeCounts()) for bucket in level]
                assert sum(one.known for one in added) == counts.known
                assert sum(one.within for one in added) == counts.within
        if name == "gold":
            for level in (series.minutes, series.hours):
                totals = whole(level, name)
                assert totals.requests == ledger.requests_
                assert totals.explored == ledger.explored_
                assert totals.labels == ledger.labels_
                assert totals.label_sum == pytest.approx(latest_scores(made, name))
                assert totals.spend == pytest.approx(ledger.lifetime_spend_)


def test_the_sums_of_labels_in_the_buckets_are_those_of_the_certificate():
    made = router()
    use(made, random.Random(3))
    series = fold(made)
    for level in (series.minutes, series.hours):
        for name, sums in series.labels.items():
            added = time_buckets.LabelSums()
            for bucket in level:
                if name in bucket.promises:
                    added.add(bucket.promises[name])
            assert added.labels == sums.labels
            assert added.satisfied == pytest.approx(sums.satisfied)


def test_tenants_are_counted_apart_and_add_up():
    made = router()
    use(made, random.Random(4))
    series = fold(made)
    apart = [whole(series.minutes, None, tenant).requests for tenant in ("", "acme", "umbrella")]
    assert sum(apart) == whole(series.minutes).requests
    assert all(apart)
    assert series.tenants == {"", "acme", "umbrella"}


def test_errors_refusals_and_calls_that_were_not_made_are_told_apart():
    made, series = router(), TimeSeries()
    for error in (None, "it failed", f"{REFUSED}400: no", NOT_CALLED):
        decision = made.route("hello", at=0.0)
        made.outcome(decision.id, cost=1.0, latency=1.0, error=error, at=1.0)
    for event in made.log.read():
        series.fold(event)
    totals = whole(series.minutes)
    assert (totals.calls, totals.errors, totals.refused) == (3, 1, 1)
    assert sum(totals.latency.values()) == 1


def test_a_correction_counts_for_the_time_of_the_first_label():
    made = router()
    decision = made.route("hello", at=0.0)
    made.outcome(decision.id, cost=1.0, at=1.0)
    made.feedback(decision.id, satisfied=True, at=10.0)
    made.feedback(decision.id, satisfied=False, at=1000.0)
    (minute,) = [bucket for bucket in fold(made).minutes if bucket.promises]
    assert minute.start == 0.0
    assert msgspec.structs.asdict(minute.promises["gold"]) == {
        "labels": 1, "positive": 0, "weight": 1.0, "satisfied": 0.0, "floor_sum": 0.9,
    }  # fmt: skip


def test_labels_of_an_sla_that_was_removed_count_no_more():
    made = router()
    decision = made.route("hello", "silver", at=0.0)
    made.outcome(decision.id, cost=1.0, at=1.0)
    made.feedback(decision.id, satisfied=True, at=2.0)
    made.remove_sla("silver", at=3.0)
    made.set_sla(SLAS[1], at=4.0)
    made.feedback(decision.id, satisfied=False, at=5.0)
    series = fold(made)
    assert "silver" not in series.labels
    assert not any(bucket.promises for bucket in series.minutes)
    assert whole(series.minutes, "silver").requests == 1


def test_a_promise_of_latency_that_comes_later_starts_at_zero():
    made = router()
    for number in range(3):
        decision = made.route("hello", "gold", at=float(number))
        made.outcome(decision.id, cost=1.0, latency=1.0, at=1.0 + number)
    changed = SLA("gold", floor=0.9, latency={"p50": 1.5, "p99": 9.0})
    made.set_sla(changed, at=5.0)
    decision = made.route("hello", "gold", at=6.0)
    made.outcome(decision.id, cost=1.0, latency=2.0, at=8.0)
    series = fold(made)
    assert {key[1]: counts.known for key, counts in series.latency.items()} == {
        "latency p50 1.5 s": 4,
        "latency p99 9 s": 1,
    }
    assert {key for bucket in series.hours for key in bucket.latency} == set(series.latency)


def test_events_about_forgotten_decisions_change_nothing():
    made = router()
    first = made.route("hello", at=0.0)
    for number in range(5):
        made.route("hello", at=float(number))
    made.outcome(first.id, cost=1.0, at=6.0)
    made.feedback(first.id, satisfied=True, at=7.0)
    series = TimeSeries(memory=3)
    for event in made.log.read():
        series.fold(event)
    totals = whole(series.minutes)
    assert (totals.requests, totals.calls, totals.labels) == (6, 0, 0)


def test_the_oldest_buckets_make_room_for_new_ones(monkeypatch):
    monkeypatch.setattr(time_series, "MINUTES_KEPT", 10)
    monkeypatch.setattr(time_series, "HOURS_KEPT", 3)
    made = router()
    for number in range(20):
        made.route("hello", at=number * 1800.0)
    made.route("hello", at=0.0)
    series = fold(made)
    assert len(series.minutes) == 10
    assert [bucket.start / HOUR for bucket in series.hours] == [7.0, 8.0, 9.0]
    assert whole(series.hours).requests == 6


def test_the_number_of_cells_is_bounded(monkeypatch):
    monkeypatch.setattr(time_series, "MAX_CELLS", 20)
    monkeypatch.setattr(time_buckets, "MAX_CELLS_PER_BUCKET", 8)
    made, rng = router(), random.Random(1)
    for number in range(300):
        context = RequestContext(tenant=f"t{rng.randrange(40)}")
        made.route("hello", at=number * MINUTE / 10, context=context)
    series = fold(made)
    assert series.minutes.cells == sum(len(bucket.cells) for bucket in series.minutes) <= 20
    assert max(len(bucket.cells) for bucket in series.minutes) <= 9
    newest = list(series.minutes)[-1]
    assert sum(cell.requests for cell in newest.cells.values()) == 10


def test_names_beyond_the_bound_are_counted_together(monkeypatch):
    monkeypatch.setattr(time_series, "MAX_NAMES", 3)
    made = router()
    for number in range(10):
        made.route("hello", at=0.0, context=RequestContext(tenant=f"t{number}"))
    series = fold(made)
    assert whole(series.minutes, None, OTHERS).requests == 7
    assert whole(series.minutes).requests == 10


def test_names_that_are_used_no_more_make_room(monkeypatch):
    monkeypatch.setattr(time_series, "MAX_NAMES", 3)
    monkeypatch.setattr(time_series, "HOURS_KEPT", 2)
    monkeypatch.setattr(time_series, "MINUTES_KEPT", 2)
    made = router()
    for number in range(10):
        made.route("hello", at=number * HOUR, context=RequestContext(tenant=f"t{number}"))
    series = fold(made)
    assert whole(series.minutes, None, OTHERS).requests == 0
    assert whole(series.minutes, None, "t9").requests == 1


def test_no_name_of_a_tenant_can_be_that_of_the_others():
    with pytest.raises(Exception, match="without control characters"):
        router().route("hello", context=RequestContext(tenant=OTHERS))


def test_labels_are_counted_by_the_origin_of_the_first_one(monkeypatch):
    monkeypatch.setattr(time_series, "MAX_SOURCES", 2)
    made = router()
    for number, source in enumerate(["user", "user", "judge", "third", "fourth"]):
        at = 1000.0 + number
        decision = made.route("hello", sla="gold", at=at)
        made.outcome(decision.id, cost=1.0, at=at)
        made.feedback(decision.id, satisfied=True, source=source, at=at)
        # A correction by another one is no further label.
        made.feedback(decision.id, satisfied=False, source="judge", at=at)
    sources = {"user": 2, "judge": 1, OTHERS: 2}
    assert whole(fold(made).hours, "gold").sources == sources
    assert whole(fold(made).minutes).sources == sources
