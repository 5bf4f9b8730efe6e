import pytest

from floorline.errors import InvalidInput
from floorline.sla import SLA, Budget, period_start

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": ""}, r"SLA\.name is '': give a name"),
        ({"floor": 1.2}, r"SLA\.floor of 'gold' is 1\.2: give the share .* from 0 to 1"),
        ({"floor": -0.1}, r"SLA\.floor of 'gold' is -0\.1: give"),
        ({"floor": NAN}, r"SLA\.floor of 'gold' is nan: give"),
        ({"floor": "0.9"}, r"SLA\.floor of 'gold' is '0\.9': give"),
        ({"floor": True}, r"SLA\.floor of 'gold' is True: give"),
        ({"confidence": 1.0}, r"SLA\.confidence is 1\.0: give .* such as 0\.95"),
        ({"confidence": 0}, r"SLA\.confidence is 0: give"),
        ({"label_window": 0}, r"SLA\.label_window is 0: give a whole number of labels"),
        ({"label_window": 2.5}, r"SLA\.label_window is 2\.5: give a whole number of labels"),
        ({"max_latency": -1}, r"SLA\.max_latency is -1: give seconds of 0 or more"),
        ({"models": ()}, r"SLA\.models is \(\): name at least one model, or None for all"),
        ({"ttft": {}}, r"SLA\.ttft is \{\}: give seconds by quantile, such as"),
        ({"ttft": 2.0}, r"SLA\.ttft is 2\.0: give seconds by quantile"),
        ({"ttft": {"p40": 1}}, r"SLA\.ttft is 'p40': name a quantile from p50 to p99\.9"),
        ({"latency": {"95": 1}}, r"SLA\.latency is '95': name a quantile"),
        ({"latency": {"p95": 0}}, r"SLA\.latency\['p95'\] is 0: give seconds above 0"),
        ({"latency": {"p95": NAN}}, r"SLA\.latency\['p95'\] is nan: give seconds"),
        ({"latency": {"p95": 1, "p95.0": 2}}, r"SLA\.latency is 'p95\.0': name each quantile once"),
        ({"latency": {"p99": 1, "p95": 2}}, r"SLA\.latency\['p99'\] is 1\.0: give p99 at least"),
    ],
)
def test_bad_slas_are_refused_by_field_value_and_fix(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        SLA(**{"name": "gold", "floor": 0.9, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"total": -1}, r"Budget\.total is -1: give an amount of 0 or more"),
        ({"total": INF}, r"Budget\.total is inf: give an amount"),
        ({"per_model": {"a": NAN}}, r"Budget\.per_model\['a'\] is nan: give an amount"),
        ({"period": 0}, r"Budget\.period is 0: give a number of seconds from 0.001"),
        ({"period": -5}, r"Budget\.period is -5: give a number of seconds from 0.001"),
        ({"period": INF}, r"Budget\.period is inf: give a number of seconds from 0.001"),
    ],
)
def test_bad_budgets_are_refused_by_field_value_and_fix(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        Budget(**arguments)


@pytest.mark.parametrize("floor", [0, 1, 0.0, 1.0])
def test_floors_of_nothing_and_everything_are_allowed(floor):
    assert SLA("gold", floor=floor).floor == floor


@pytest.mark.parametrize(
    ("sla", "message"),
    [
        (
            SLA("gold", floor=0.9, models=("small", "titan")),
            r"SLA\.models of SLA 'gold' is 'titan': name a model of the zoo: small, medium, large",
        ),
        (
            SLA("gold", floor=0.9, budget=Budget(per_model={"titan": 1.0})),
            r"Budget\.per_model of SLA 'gold' is 'titan': name a model",
        ),
    ],
)
def test_models_that_the_zoo_lacks_are_refused(sla, message, zoo):
    with pytest.raises(InvalidInput, match=message):
        sla.check_against(zoo)


def test_models_of_the_zoo_pass(zoo):
    SLA("g", floor=0.9, models=("small",), budget=Budget(per_model={"large": 1})).check_against(zoo)


@pytest.mark.parametrize(
    ("period", "at", "start"),
    [(None, 1e9, 0.0), (60.0, 0.0, 0.0), (60.0, 59.9, 0.0), (60.0, 60.0, 60.0), (0.5, 1.7, 1.5)],
)
def test_budget_periods_begin_at_multiples_of_their_length(period, at, start):
    assert period_start(period, at) == start
