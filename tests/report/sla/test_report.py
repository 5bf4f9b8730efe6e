"""The numbers of a report on an SLA, each counted a second time from the events of the log."""

import itertools

import msgspec
import numpy as np
import pytest

from floorline.core.snapshots import pack
from floorline.errors import InvalidInput
from floorline.events import Decision, Feedback, Outcome, SlaChange, ZooChange, encode_event
from floorline.report.sla.figures import savings, totals
from floorline.report.sla.incidents import MOST_INCIDENTS, find_incidents
from floorline.report.sla.page import period_page
from floorline.report.sla.report import check_found, make_period_report, source_of
from floorline.report.sla.requests import Call, Expected, PeriodFold, Request, Scope
from floorline.sla import SLA
from floorline.stores.log_source import LogDigest, reading_log
from floorline.stores.sql import SqlStore

START, DAY = 1_790_000_000.0, 86400.0


def reported(folded, **given):
    log = LogDigest(iter(()))
    source = source_of(folded, log, "log.db", verified=True)
    return make_period_report(folded, [], source, **given)


def counted(events, tenant, since, until):
    """Count the requests of a tenant in a period with nothing but the events."""
    decisions = {e.id: e for e in events if isinstance(e, Decision) and e.tenant == tenant}

    def first(decision):
        return first(decisions[decision.after]) if decision.after else decision

    own = {id: first(e).id for id, e in decisions.items() if since <= first(e).at < until}
    outcomes = [e for e in events if isinstance(e, Outcome) and e.decision in own]
    served = {request: id for id, request in own.items()}
    answered = {
        e.decision: e
        for e in outcomes
        if e.error is None
        and e.decision in served.values()
        and e.model == decisions[e.decision].model
    }
    labels = {}
    for event in events:
        if isinstance(event, Feedback) and event.decision in served.values():
            labels[event.decision] = event.score
    paid = sum(e.cost for e in events if isinstance(e, Feedback) and e.decision in own)
    return {
        "requests": len(served),
        "answered": len(answered),
        "spend": sum(e.cost for e in outcomes) + paid,
        "labels": len(labels),
        "mean": float(np.mean(list(labels.values()))),
        "latency": [
            decisions[id].at - first(decisions[id]).at + e.latency for id, e in answered.items()
        ],
        "fallbacks": sum(id != own[id] for id in answered),
        "models": {
            name: sum(decisions[id].model == name for id in answered)
            for name in ("small", "medium", "large")
        },
    }


@pytest.mark.parametrize("tenant", ["acme", "initech"])
@pytest.mark.parametrize(("first", "last"), [(0.0, 10.0), (3.0, 7.5)])
def test_every_number_is_that_of_the_log(live, fold, tenant, first, last):
    events = live()
    since, until = START + first * DAY, START + last * DAY
    (made,) = reported(fold(events, since, until, tenant)).slas
    truth = counted(events, tenant, since, until)
    assert made.totals.requests == truth["requests"]
    assert made.totals.results["answered"] == truth["answered"]
    assert sum(made.totals.results.values()) == truth["requests"]
    assert made.totals.fallbacks == truth["fallbacks"] > 0
    assert made.totals.spend == pytest.approx(truth["spend"])
    assert made.totals.p50 == pytest.approx(np.quantile(truth["latency"], 0.5))
    assert made.totals.p95 == pytest.approx(np.quantile(truth["latency"], 0.95))
    assert made.certificate.labels == truth["labels"]
    assert made.certificate.satisfaction == pytest.approx(truth["mean"])
    assert {row.model: row.answered for row in made.models} == truth["models"]
    # Models and parts of the period add up to the whole.
    assert sum(row.spend for row in made.models) + made.totals.judges == pytest.approx(
        truth["spend"]
    )
    assert sum(row.labels for row in made.models) == truth["labels"]
    assert sum(bucket.requests for bucket in made.buckets) == truth["requests"]
    assert sum(bucket.spend for bucket in made.buckets) == pytest.approx(truth["spend"])
    assert sum(bucket.labels for bucket in made.buckets) == truth["labels"]
    assert made.buckets[0].since == since
    assert made.buckets[-1].until == until
    assert made.series[-1].mean == pytest.approx(truth["mean"])
    assert made.series[-1].lower == pytest.approx(made.certificate.lower)


def test_a_tenant_gets_the_report_that_it_gets_alone(live, fold):
    events = live()
    others = {e.id for e in events if isinstance(e, Decision) and e.tenant != "acme"}

    def is_own(event):
        if isinstance(event, Decision):
            return event.id not in others
        if isinstance(event, SlaChange):
            return event.sla.name == "gold@acme"
        return getattr(event, "decision", "") not in others

    alone = [event for event in events if is_own(event)]
    assert len(alone) < len(events) / 2
    assert reported(fold(events, tenant="acme")) == reported(fold(alone, tenant="acme"))


def test_a_tenants_page_names_nothing_of_others(live, fold):
    events = live()
    report = reported(fold(events, tenant="acme"))
    texts = [period_page(report), msgspec.json.encode(report).decode()]
    foreign = [e for e in events if isinstance(e, Decision) and e.tenant != "acme"]
    for text in texts:
        assert "acme" in text
        for word in ("globex", "initech", "key-", "log.db"):
            assert word not in text
        assert not any(decision.id in text for decision in foreign)
    assert report.source.first_position is None
    assert report.source.last_position is None


def test_a_shared_budget_and_models_of_others_are_not_told(live, fold, build_router, vector):
    from floorline.sla import Budget
    from floorline.zoo import Model

    events = live(300)
    shared = SLA("gold", floor=0.7, latency={"p90": 4.0}, budget=Budget(total=777123.0))
    zoo = next(e.zoo for e in events if isinstance(e, ZooChange))
    zoo = zoo.with_model(Model("secret-model", call_price=1.0))
    events += [SlaChange(sla=shared, at=START + DAY), ZooChange(zoo=zoo, at=START + DAY)]
    report = reported(fold(events, tenant="initech"))
    for text in (period_page(report), msgspec.json.encode(report).decode()):
        for word in ("777,123", "777123", "secret-model"):
            assert word not in text
    (made,) = report.slas
    assert [bound.model for bound in made.certificate.reachability.models]
    assert [times.model for one in made.certificate.latency for times in one.models]
    assert "secret-model" in period_page(reported(fold(events, sla="gold")))


def test_requests_belong_to_the_period_of_their_first_decision(live, fold):
    events = live(600)
    decisions = {e.id: e for e in events if isinstance(e, Decision)}
    last = next(e for e in decisions.values() if e.after and e.tenant == "acme")
    first = decisions[last.after]
    border = (first.at + last.at) / 2
    before, after = fold(events, until=border, tenant="acme"), fold(events, border, tenant="acme")
    (early,), (late,) = before.slas.values(), after.slas.values()
    assert [call.id for call in early.requests[first.id].calls] == [first.id, last.id]
    assert last.id not in late.requests
    whole = fold(events, tenant="acme").slas["gold@acme"].requests
    assert {**early.requests, **late.requests}.keys() == whole.keys()
    assert before.events + after.events == fold(events, tenant="acme").events


def test_the_certificate_of_a_whole_life_is_the_routers_own(build_router, vector, fold):
    router = build_router()
    rng = np.random.default_rng(1)
    for number in range(400):
        at = START + 100.0 * number
        decision = router.route(features=vector(number % 50), at=at)
        router.outcome(decision.id, cost=1.0, latency=1.0, at=at)
        if rng.random() < 0.5:
            router.feedback(decision.id, satisfied=rng.random() < 0.9, at=at + 1.0)
    (made,) = reported(fold(list(router.log.read()), sla="gold")).slas
    own = router.certificate("gold")
    for given in (made.certificate, made.whole):
        for field in ("requests", "labels", "verdict", "floor"):
            assert getattr(given, field) == getattr(own, field)
        assert given.lower == pytest.approx(own.lower)
        assert given.upper == pytest.approx(own.upper)
    status = router.status("gold")
    assert made.totals.spend == pytest.approx(status.spent)
    best = made.savings[0]
    assert list(best.shares) == [status.best_fixed]
    assert best.saved == pytest.approx(status.savings, abs=1e-6)
    assert made.totals.open_cost == pytest.approx(status.reserved)


def test_savings_are_against_what_was_expected_of_the_same_requests(live, fold):
    events = live()
    (made,) = reported(fold(events, tenant="acme")).slas
    firsts = [e for e in events if isinstance(e, Decision) and e.tenant == "acme" and not e.after]
    quality = np.mean([list(e.quality.values()) for e in firsts], axis=0)
    cost = np.sum([list(e.cost.values()) for e in firsts], axis=0)
    best, mix = made.savings
    assert best.reference == "best fixed model"
    assert best.expected_cost == pytest.approx(cost[quality.argmax()])
    assert best.saved == pytest.approx(
        1.0 - (made.totals.spend + made.totals.open_cost) / best.expected_cost
    )
    names = list(firsts[0].models)
    shares = np.array([mix.shares.get(name, 0.0) for name in names])
    assert shares.sum() == pytest.approx(1.0)
    assert mix.expected_quality == pytest.approx(float(shares @ quality))
    assert mix.expected_cost == pytest.approx(float(shares @ cost))
    assert mix.expected_cost <= best.expected_cost


def test_failures_that_follow_each_other_are_one_incident(live, fold):
    events = live(2400, days=1)
    (made,) = reported(fold(events, tenant="acme")).slas
    large = max(made.incidents.listed, key=lambda incident: incident.count)
    assert large.subject == "large"
    ids = {e.id for e in events if isinstance(e, Decision) and e.tenant == "acme"}
    failed = [
        e
        for e in events
        if isinstance(e, Outcome)
        and e.decision in ids
        and e.error
        and e.model == "large"
        and large.since <= e.at - 1.0 <= large.until
    ]
    assert large.count == len(failed) >= 5
    assert (large.first, large.last) == (failed[0].decision, failed[-1].decision)
    assert START + 0.5 * DAY <= large.since < large.until < START + 0.6 * DAY
    assert large.reasons[0][0] == "the provider of 'large' answered with status 503"
    assert large.answered <= large.requests == large.count
    assert made.incidents.count >= len(made.incidents.listed)


def test_a_broken_floor_is_an_incident_with_its_times(live, fold):
    (made,) = reported(fold(live(satisfied=0.3), tenant="acme")).slas
    assert made.certificate.verdict in ("broken", "unreachable")
    broken = made.broken[-1]
    assert broken.until is None
    point = next(p for p in made.series if p.at == broken.since)
    assert point.upper < made.certificate.floor
    page = period_page(reported(fold(live(satisfied=0.3), tenant="acme")))
    assert "the floor was broken" in page


def test_changes_of_the_period_are_told(live, fold):
    events = live(300)
    zoo = next(e.zoo for e in events if isinstance(e, ZooChange))
    floor = next(e.sla for e in events if isinstance(e, SlaChange) and e.sla.name == "gold@acme")
    cheaper = zoo.without("small").with_model(
        msgspec.structs.replace(zoo.models[0], call_price=0.5)
    )
    events += [
        SlaChange(sla=msgspec.structs.replace(floor, floor=0.75), at=START + 2 * DAY),
        ZooChange(zoo=cheaper, at=START + 3 * DAY),
    ]
    (made,) = reported(fold(events, START + DAY, tenant="acme")).slas
    assert [line.text for line in made.changes] == [
        "SLA gold changed: floor: 0.8 → 0.75.",
        "Models that changed their price: small.",
    ]
    assert made.floor == 0.75


def test_a_label_is_paid_once_however_often_it_is_sent():
    request = Request("d", START, False)
    label = Feedback(decision="d", model="m", score=1.0, cost=0.25, key="k")
    for event in (label, label, msgspec.structs.replace(label, key="other")):
        request.label(event)
    assert request.judge_cost == 0.25
    request.label(msgspec.structs.replace(label, score=0.0, key=""))
    assert request.judge_cost == 0.5


@pytest.mark.parametrize(
    ("hours", "parts"), [(1, 12), (24, 24), (7 * 24, 7), (30 * 24, 30), (365 * 24, 14)]
)
def test_periods_have_parts_that_fit_on_a_page(hours, parts):
    from floorline.report.sla.figures import buckets

    since = 1_790_035_200.0
    assert since % DAY == 0
    found = buckets([], [], since, since + hours * 3600.0)
    assert len(found) == parts
    assert found[0].since == since
    assert all(a.until == b.since for a, b in itertools.pairwise(found))
    assert found[-1].until == since + hours * 3600.0


def test_a_report_on_nothing_says_what_to_name(live, fold):
    events = live(60)
    for given, words in (
        ({"sla": "golt"}, "sla is 'golt': did you mean 'gold'.*gold, gold@acme"),
        ({"tenant": "acma"}, "tenant is 'acma'"),
        ({"since": START + 20 * DAY, "until": START + 21 * DAY}, "since is .*period with requests"),
        ({"tenant": "acme", "sla": "gold@globex"}, "sla is 'gold@globex'"),
    ):
        with pytest.raises(InvalidInput, match=words) as caught:
            check_found(fold(events, **given))
        if "tenant" in given:
            assert "initech" not in str(caught.value)
    check_found(fold(events, tenant="acme", sla="gold"))


def test_what_is_logged_twice_counts_once(live, fold):
    events = live(120)
    twice = [event for one in events for event in (one, one)]
    once, again = (reported(fold(given, tenant="acme")).slas[0] for given in (events, twice))
    assert again.totals == once.totals
    assert again.savings == once.savings
    assert again.certificate == once.certificate


def test_an_sla_that_served_nothing_is_reported_too(live, fold, build_router, vector):
    """As with a budget that is used up from the beginning on: its floor is that of its requests."""
    events = live(60)
    made = next(e for e in events if isinstance(e, Decision) and e.tenant == "initech")
    refused = msgspec.structs.replace(
        made, id="refused", sla="trial", model="", index=-1, called=(), floor=0.35
    )
    report = reported(fold([*events, refused]))
    trial = report.slas[-1]
    assert trial.incidents.single_requests == 1
    assert (trial.sla, trial.floor, trial.totals.requests) == ("trial", 0.35, 1)
    assert trial.totals.results["declined"] == 1
    assert trial.certificate.verdict == "unknown"
    assert "no model was left within the budget" in period_page(report)


def test_what_a_store_begins_with_defines_the_slas(tmp_path, build_router, vector):
    router = build_router()
    sla = SLA("gold", floor=0.8, latency={"p90": 2.0})
    store = SqlStore(f"sqlite:///{tmp_path}/log.db")
    changes = [ZooChange(zoo=router.zoo, at=START), SlaChange(sla=sla, at=START)]
    zoo, first = map(encode_event, changes)
    store.begin(pack({"zoo": zoo, "slas": [first], "encoder": "x", "seed": 1}))
    router.log = store
    for number in range(30):
        at = START + 10.0 * number
        made = router.route(features=vector(number), at=at)
        for name in made.called:
            router.outcome(made.id, model=name, cost=1.0, latency=1.0, at=at)
    store.close()
    with reading_log(str(tmp_path / "log.db")) as log:
        folded = PeriodFold(Scope(START, START + DAY)).fold_all(log)
    assert log.beginning == tuple(changes)
    (made,) = reported(folded).slas
    assert made.floor == 0.8
    assert [one.promise for one in made.certificate.latency] == [
        "whole answer within 2 s for 90 % of the requests"
    ]
    assert [line.text for line in made.changes] == ["SLA gold began, with the floor 0.8."]


def failing(number, error="the provider is down", *, at, calls=1):
    """A request whose calls all failed."""
    made = [
        Call(f"d{number}-{n}", "large", at + n, {}, ended=True, error=error) for n in range(calls)
    ]
    return Request(f"d{number}", at, False, calls=made)


def test_every_request_without_an_answer_is_in_an_incident_or_counted():
    close = [failing(n, at=START + 60.0 * n) for n in range(6)]
    apart = [failing(10 + n, at=START + 3 * DAY + 3600.0 * n) for n in range(3)]
    declined = [Request(f"r{n}", START + 5 * DAY + n, False, declined=True) for n in range(7)]
    found = find_incidents([*close, *apart, *declined])
    assert [(one.kind, one.count) for one in found.listed] == [
        ("calls failed", 6),
        ("no answer", 6),
        ("no model left", 7),
    ]
    assert (found.count, found.single_requests, found.single_calls) == (3, 3, 3)
    assert found.listed[0].first == "d0-0"
    assert found.listed[0].reasons == (("the provider is down", 6),)


def test_incidents_end_after_ten_minutes_without_another_failure():
    first = [failing(n, at=START + 599.0 * n) for n in range(5)]
    second = [failing(10 + n, at=first[-1].at + 601.0 + n) for n in range(5)]
    found = find_incidents([*first, *second])
    assert [one.count for one in found.listed if one.kind == "no answer"] == [5, 5]


def test_what_is_the_clients_own_fault_is_no_incident():
    errors = ("the client disconnected", "the provider answered 400: no such parameter")
    for error in errors:
        found = find_incidents([failing(n, error, at=START + n) for n in range(20)])
        assert (found.count, found.single_requests, found.single_calls) == (0, 0, 0)


def test_the_largest_incidents_are_listed():
    requests = [
        failing(100 * group + n, at=START + 3600.0 * group + n)
        for group in range(40)
        for n in range(5 + group)
    ]
    found = find_incidents(requests)
    assert found.count == 80
    assert len(found.listed) == MOST_INCIDENTS
    assert min(one.count for one in found.listed) == 30
    assert [one.since for one in found.listed] == sorted(one.since for one in found.listed)


def test_a_clock_that_was_set_back_makes_no_negative_latency():
    calls = [Call("a", "small", 100.0, {}), Call("b", "large", 40.0, {})]
    calls[1].ended, calls[1].latency, calls[1].first_token = True, 2.0, 0.5
    request = Request("a", 100.0, explored=False, calls=calls)
    assert request.latency == 2.0
    assert totals([request]).first_p50 == 0.5


def test_of_equally_good_models_the_cheapest_is_the_best_fixed_one():
    expected = {
        "dear": Expected(count=1, quality=0.9, cost=5.0, possible=True),
        "cheap": Expected(count=1, quality=0.9, cost=2.0, possible=True),
    }
    request = Request("a", 0.0, explored=False)
    best, _ = savings(expected, 0.5, totals([request]))
    assert best.shares == {"cheap": 1.0}
    assert best.expected_cost == 2.0
