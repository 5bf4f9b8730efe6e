"""Names that others choose cannot make the metrics grow without bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from floorline.gateway.observability.budget_metrics import budget_metrics
from floorline.gateway.observability.collectors import sla_metrics, upstream_metrics
from floorline.gateway.observability.labels import MAX_PAIRS, MAX_VALUES, OTHER, LabelValues
from floorline.gateway.observability.metrics import Metrics
from floorline.gateway.tenants import tenant_sla
from floorline.gateway.upstreams import Health
from floorline.router import Router
from floorline.sla import SLA, Budget
from floorline.zoo import Model, Zoo

LONGEST = 64


@given(st.lists(st.text(max_size=150), max_size=20))
def test_values_are_short_and_names_that_differ_have_values_that_differ(names):
    labels = LabelValues()
    values = {name: labels.of(name) for name in names}
    assert all(len(value) <= LONGEST for value in values.values())
    assert len(set(values.values())) == len(values)
    assert values == {name: labels.of(name) for name in names}


def test_names_above_the_bound_share_a_value_until_one_is_forgotten():
    labels = LabelValues()
    values = [labels.of(f"m{n}") for n in range(3 * MAX_VALUES)]
    assert values[:MAX_VALUES] == [f"m{n}" for n in range(MAX_VALUES)]
    assert set(values[MAX_VALUES:]) == {OTHER}
    labels.forget("m0")
    assert labels.of("new") == "new"


@pytest.fixture
def crowded():
    """A router with more tenants than a label has values."""
    zoo = Zoo([Model("small", output_price=1.0)])
    gold = SLA("gold", floor=0.5)
    router = Router(zoo, "cheapest", [gold], seed=1)
    for n in range(MAX_VALUES + 50):
        router.set_sla(tenant_sla(gold, f"t{n}"))
    for n in (0, MAX_VALUES + 10, MAX_VALUES + 20):
        router.route("Why?", f"gold@t{n}")
    return router


def samples(text, name):
    families = text_string_to_metric_families(text.decode())
    return [sample for family in families for sample in family.samples if sample.name == name]


def test_tenants_above_the_bound_are_one_and_their_counters_are_summed(crowded):
    text, _ = Metrics(router=crowded).render()
    requests = samples(text, "floorline_sla_requests_total")
    by_tenant = {sample.labels["tenant"]: sample.value for sample in requests}
    # No series twice, which Prometheus would refuse.
    assert len(by_tenant) == len(requests) == MAX_VALUES + 1
    assert (by_tenant["t0"], by_tenant[OTHER]) == (1.0, 2.0)
    floors = samples(text, "floorline_sla_floor")
    assert len(floors) == MAX_VALUES
    assert len(text) < 500_000


def test_a_tenant_that_is_called_other_is_counted_among_the_others(crowded):
    crowded.set_sla(tenant_sla(SLA("gold", floor=0.5), OTHER))
    crowded.route("Why?", f"gold@{OTHER}")
    families = {family.name: family for family in sla_metrics(crowded)}
    requests = {
        (sample.labels["sla"], sample.labels["tenant"]): sample.value
        for sample in families["floorline_sla_requests"].samples
    }
    assert requests["gold", OTHER] == 3.0


def test_models_above_the_bound_are_one():
    health = {f"m{n}": Health("closed", 0, 1) for n in range(MAX_VALUES + 5)}
    waiting, breakers = upstream_metrics(health)
    by_model = {sample.labels["model"]: sample.value for sample in waiting.samples}
    assert (len(by_model), by_model[OTHER]) == (MAX_VALUES + 1, 5.0)
    assert len({sample.labels["model"] for sample in breakers.samples}) == MAX_VALUES


def test_calls_of_many_models_under_many_slas_are_counted_in_a_bounded_number_of_series():
    metrics = Metrics()
    for model in range(300):
        for sla in range(10):
            metrics.request(f"m{model}", f"s{sla}", "ok")
    counted = samples(metrics.render()[0], "floorline_requests_total")
    assert len(counted) <= MAX_PAIRS + MAX_VALUES
    assert sum(sample.value for sample in counted) == 3000


def test_a_long_name_of_a_model_is_cut():
    zoo = Zoo([Model("m" * 256, output_price=1.0)])
    metrics = Metrics(router=Router(zoo, "cheapest", [SLA("gold", floor=0.5)]))
    metrics.request("m" * 256, "gold", "ok")
    (sample,) = samples(metrics.render()[0], "floorline_requests_total")
    assert len(sample.labels["model"]) == LONGEST


def test_the_series_of_a_removed_model_with_a_long_name_are_dropped():
    name = "m" * 256
    zoo = Zoo([Model(name, output_price=1.0), Model("small", output_price=1.0)])
    router = Router(zoo, "cheapest", [SLA("gold", floor=0.5)])
    metrics = Metrics(router=router)
    metrics.request(name, "gold", "ok")
    router.remove_model(name)
    metrics.render()
    assert samples(metrics.render()[0], "floorline_requests_total") == []


def test_the_number_of_budgets_that_are_shown_is_bounded():
    zoo = Zoo([Model("small", output_price=1.0)])
    budget = Budget(total=1.0, per_model={"small": 0.5})
    slas = [SLA(f"s{n}", floor=0.5, budget=budget) for n in range(MAX_VALUES)]
    amount, spent, _ = budget_metrics(Router(zoo, "cheapest", slas))
    assert len(amount.samples) == len(spent.samples) == MAX_VALUES
