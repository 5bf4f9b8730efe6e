import re
import typing
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from floorline import SLA, Budget, Model, Router, Status, Zoo
from floorline.gateway.observability.metrics import Metrics
from floorline.gateway.upstreams import Health
from floorline.replication.survey import LearnerSeen, Survey
from floorline.state.verdicts import VERDICTS

CALL = {
    "first_byte": 0.2,
    "total": 0.4,
    "input_tokens": 10,
    "output_tokens": 20,
    "cached_tokens": 6,
    "cache_write_tokens": 3,
    "cost": 0.5,
}


class Store:
    durable = 7
    failure = "disk full"
    refused = 2

    def __len__(self):
        return 10


class Reloaded:
    error = "floorline.yaml:3: …"
    restart = ("seed",)
    loaded_at = 1e9
    reloads = 2
    failures = 1


class Admission:
    in_flight = 5
    refused = 2


class Upstreams:
    def health(self):
        return {"small": Health("half_open", calls=4, waiting=3)}


OTHER_PARTS = {
    "store": Store(),
    "upstreams": Upstreams(),
    "admission": Admission(),
    "reloader": Reloaded(),
    "follower": SimpleNamespace(
        staleness=0.5,
        learner_age=0.25,
        replicas=3,
        seen=Survey([], LearnerSeen("learner", 7, 4.0, 100, 0.1), 12, 5),
    ),
    "spooling": SimpleNamespace(
        spooling_seconds=4.0, spool=SimpleNamespace(events=30, size=4096, max_bytes=8192)
    ),
}


@pytest.fixture
def router():
    zoo = Zoo([Model("small", output_price=0.4), Model("large", output_price=12.0)])
    return Router(zoo, "sla_router", [SLA("gold", floor=0.9), SLA("gold@acme", floor=0.9)], seed=1)


@pytest.fixture
def metrics(router):
    return Metrics(router=router)


def value(metrics, sample, **labels):
    """Value of a sample in what a scraper would read; None if it is not there."""
    text, kind = metrics.render()
    assert kind.startswith("text/plain")
    for family in text_string_to_metric_families(text.decode()):
        for found in family.samples:
            if found.name == sample and found.labels == labels:
                return found.value
    return None


def test_requests_and_calls_are_counted(metrics):
    metrics.request("small", "gold", "ok")
    metrics.request("small", "gold", "ok")
    metrics.call("small", "gold", **CALL)
    metrics.decided(0.0004)
    where = {"model": "small", "sla": "gold"}
    assert value(metrics, "floorline_requests_total", **where, outcome="ok") == 2
    assert value(metrics, "floorline_tokens_total", **where, token_type="input") == 10
    assert value(metrics, "floorline_tokens_total", **where, token_type="output") == 20
    assert value(metrics, "floorline_cost_usd_total", **where) == 0.5
    assert value(metrics, "floorline_upstream_first_byte_seconds_sum", model="small") == 0.2
    assert value(metrics, "floorline_upstream_seconds_sum", model="small") == 0.4
    assert value(metrics, "floorline_decision_seconds_bucket", le="0.0005") == 1


def test_costs_are_named_by_their_unit():
    metrics = Metrics("J")
    metrics.call("small", "", **CALL)
    assert value(metrics, "floorline_cost_joules_total", model="small", sla="") == 0.5


def test_fallbacks_retries_and_feedback(metrics):
    metrics.fallback("large")
    metrics.retried("small", 2)
    metrics.retried("small", 0)
    metrics.feedback("user", True)
    metrics.feedback("user", False)
    metrics.feedback_refused("judge")
    assert value(metrics, "floorline_fallbacks_total", model="large") == 1
    assert value(metrics, "floorline_retries_total", model="small") == 2
    for source, result in [("user", "changed"), ("user", "repeated"), ("judge", "refused")]:
        assert value(metrics, "floorline_feedback_total", source=source, result=result) == 1


def test_names_that_clients_choose_make_no_series(metrics):
    for number in range(200):
        metrics.request(f"evil{number}", f"sla{number}", "ok")
        metrics.call(f"evil{number}", "gold", **CALL)
        metrics.feedback(f"source{number}", True)
        metrics.fallback(f"evil{number}")
    text, _ = metrics.render()
    assert b"evil" not in text
    assert b"source1" not in text
    assert len(text.splitlines()) < 300
    other = {"model": "other", "sla": "other", "outcome": "ok"}
    assert value(metrics, "floorline_requests_total", **other) == 200


def test_tenants_share_the_series_of_their_sla(metrics):
    metrics.request("small", "gold", "ok")
    metrics.request("small", "gold@acme", "ok")
    where = {"model": "small", "sla": "gold", "outcome": "ok"}
    assert value(metrics, "floorline_requests_total", **where) == 2


def test_a_model_that_is_gone_is_shown_once_more(metrics, router):
    metrics.request("small", "gold", "ok")
    metrics.call("small", "gold", **CALL)
    router.remove_model("small")
    where = {"model": "small", "sla": "gold", "outcome": "ok"}
    assert value(metrics, "floorline_requests_total", **where) == 1
    assert value(metrics, "floorline_requests_total", **where) is None
    assert b'model="small"' not in metrics.render()[0]
    router.add_model(Model("small"))
    metrics.request("small", "gold", "ok")
    assert value(metrics, "floorline_requests_total", **where) == 1


def test_the_status_of_an_sla(metrics, router):
    decision = router.route("Hello", sla="gold")
    router.outcome(decision.id, cost=0.25)
    router.feedback(decision.id, satisfied=True)
    gold = {"sla": "gold", "tenant": ""}
    status = router.status("gold")
    assert value(metrics, "floorline_sla_floor", **gold) == 0.9
    assert value(metrics, "floorline_sla_satisfaction", **gold) == 1.0
    assert value(metrics, "floorline_sla_lower", **gold) == pytest.approx(status.lower)
    assert value(metrics, "floorline_sla_upper", **gold) == pytest.approx(status.upper)
    assert value(metrics, "floorline_sla_queue", **gold) == router.policy.queue("gold")
    assert value(metrics, "floorline_sla_spend_total", **gold) == 0.25
    assert value(metrics, "floorline_sla_labels_total", **gold) == 1
    assert value(metrics, "floorline_sla_requests_total", **gold) == 1
    acme = {"sla": "gold", "tenant": "acme"}
    assert value(metrics, "floorline_sla_requests_total", **acme) == 0
    assert value(metrics, "floorline_sla_satisfaction", **acme) is None
    verdicts = {
        word: value(metrics, "floorline_sla_verdict", floorline_sla_verdict=word, **gold)
        for word in VERDICTS
    }
    assert verdicts == {word: float(word == status.verdict) for word in VERDICTS}


def test_every_verdict_is_known():
    assert typing.get_args(typing.get_type_hints(Status)["verdict"]) == VERDICTS


def test_a_policy_without_queue_has_no_queue_metric():
    router = Router(Zoo([Model("small")]), "cheapest", [SLA("gold", floor=0.9)])
    metrics = Metrics(router=router)
    assert value(metrics, "floorline_sla_queue", sla="gold", tenant="") is None


def test_the_state_of_the_other_parts():
    metrics = Metrics(**OTHER_PARTS)
    assert value(metrics, "floorline_store_pending_events") == 3
    assert value(metrics, "floorline_store_failing") == 1
    assert value(metrics, "floorline_store_refused_total") == 2
    assert value(metrics, "floorline_config_in_force") == 0
    assert value(metrics, "floorline_config_restart_needed") == 1
    assert value(metrics, "floorline_config_failures_total") == 1
    assert value(metrics, "floorline_requests_in_flight") == 5
    assert value(metrics, "floorline_state_age_seconds") == 0.5
    assert value(metrics, "floorline_learner_age_seconds") == 0.25
    assert value(metrics, "floorline_replicas") == 3
    assert value(metrics, "floorline_inbox_events") == 12
    assert value(metrics, "floorline_damaged_events") == 5
    assert value(metrics, "floorline_lease_epoch") == 7
    assert value(metrics, "floorline_spooled_events") == 30
    assert value(metrics, "floorline_spooled_bytes") == 4096
    assert value(metrics, "floorline_spool_max_bytes") == 8192
    assert value(metrics, "floorline_spool_seconds") == 4
    assert value(metrics, "floorline_requests_shed_total") == 2
    assert value(metrics, "floorline_upstream_waiting", model="small") == 3
    for state in ("closed", "half_open", "open"):
        labels = {"model": "small", "floorline_breaker_state": state}
        assert value(metrics, "floorline_breaker_state", **labels) == float(state == "half_open")


def test_two_gateways_in_one_process_count_apart():
    one, other = Metrics(), Metrics()
    one.fallback("small")
    assert value(one, "floorline_fallbacks_total", model="small") == 1
    assert value(other, "floorline_fallbacks_total", model="small") is None


def test_openmetrics_on_request(metrics):
    text, kind = metrics.render("application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


def test_the_docs_name_every_metric_and_no_other(router):
    metrics = Metrics(router=router, **OTHER_PARTS)
    families = text_string_to_metric_families(metrics.render()[0].decode())
    exposed = {
        f.name + ("_total" if f.type == "counter" else "")
        for f in families
        if f.name.startswith("floorline_") and not f.name.endswith("_created")
    }
    docs = Path(__file__).parents[3] / "docs"
    text = (docs / "metrics.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(floorline_[a-z_]+[a-z])`", text))
    assert named == exposed | {"floorline_cost_joules_total"}
    text = (docs / "observability.md").read_text(encoding="utf-8")
    used = {re.sub("_bucket$", "", name) for name in re.findall(r"\bfloorline_[a-z_]+[a-z]", text)}
    assert used - {"floorline_sla"} <= named


def test_promises_of_latency_have_their_own_metrics():
    zoo = Zoo([Model("small", output_price=0.4), Model("large", output_price=12.0)])
    router = Router(zoo, "cheapest", [SLA("gold", floor=0.9, ttft={"p95": 2.0})], seed=1)
    for _ in range(3):
        router.outcome(router.route("hi").id, cost=0.0, latency=1.0, first_token=0.1)
    text = Metrics(router=router).render()[0].decode()
    labels = '{measure="ttft",quantile="p95",sla="gold",tenant=""}'
    assert f"floorline_sla_latency_within_ratio{labels} 1.0" in text
    assert f"floorline_sla_latency_limit_seconds{labels} 2.0" in text
    assert 'floorline_sla_latency_verdict="unknown"' in text


def test_a_budget_shows_its_amount_its_costs_and_how_much_of_its_period_is_over():
    zoo = Zoo([Model("small", output_price=0.4), Model("large", output_price=12.0)])
    budget = Budget(total=10.0, per_model={"large": 4.0}, period=100.0)
    slas = [SLA("gold", floor=0.5, budget=budget), SLA("bronze", floor=0.5)]
    router = Router(zoo, "cheapest", slas, seed=1, clock=lambda: 1025.0)
    router.outcome(router.route("hi", "gold").id, cost=2.5, latency=1.0)
    metrics = Metrics(router=router)
    where = {"sla": "gold", "tenant": "", "model": ""}
    assert value(metrics, "floorline_sla_budget", **where) == 10.0
    assert value(metrics, "floorline_sla_budget_spent", **where) == 2.5
    assert value(metrics, "floorline_sla_budget_elapsed_ratio", **where) == 0.25
    assert value(metrics, "floorline_sla_budget", **{**where, "model": "large"}) == 4.0
    assert value(metrics, "floorline_sla_budget", **{**where, "sla": "bronze"}) is None


def test_a_budget_that_is_never_renewed_has_no_elapsed_share():
    zoo = Zoo([Model("small", output_price=0.4)])
    router = Router(zoo, "cheapest", [SLA("gold", floor=0.5, budget=Budget(total=10.0))], seed=1)
    metrics = Metrics(router=router)
    where = {"sla": "gold", "tenant": "", "model": ""}
    assert value(metrics, "floorline_sla_budget", **where) == 10.0
    assert value(metrics, "floorline_sla_budget_elapsed_ratio", **where) is None


def test_every_scrape_has_all_that_was_counted():
    metrics = Metrics()
    for number in range(1, 4):
        metrics.decided(0.0003)
        metrics.request("small", "gold", "ok")
        metrics.call("small", "gold", **CALL)
        values = {
            (sample.name, sample.labels.get("le"), sample.labels.get("token_type")): sample.value
            for family in text_string_to_metric_families(metrics.render()[0].decode())
            for sample in family.samples
        }
        assert values["floorline_requests_total", None, None] == number
        assert values["floorline_tokens_total", None, "input"] == 10 * number
        assert values["floorline_cost_usd_total", None, None] == 0.5 * number
        assert values["floorline_decision_seconds_bucket", "0.00025", None] == 0
        assert values["floorline_decision_seconds_bucket", "0.0005", None] == number
        assert values["floorline_upstream_seconds_bucket", "0.5", None] == number
        assert values["floorline_upstream_seconds_count", None, None] == number
        assert values["floorline_upstream_seconds_sum", None, None] == pytest.approx(0.4 * number)


def test_what_comes_during_a_scrape_is_counted_although_a_model_left():
    zoo = Zoo([Model("small", call_price=1.0), Model("large", call_price=9.0)])
    router = Router(zoo, slas=[SLA("gold", floor=0.5)])
    metrics = Metrics(router=router)
    metrics.call("small", "gold", **CALL)
    metrics.call("large", "gold", **CALL)
    router.change_zoo(Zoo([Model("small", call_price=1.0)]))
    metrics.render()
    metrics.call("small", "gold", **CALL)
    metrics._forget()
    text = metrics.render()[0].decode()
    assert 'floorline_cost_usd_total{model="small",sla="gold"} 1.0' in text
    assert 'model="large"' not in text
