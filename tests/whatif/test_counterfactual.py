import json

import msgspec
import numpy as np
import pytest

from floorline.cli.app import main
from floorline.errors import InvalidInput
from floorline.events import Decision, Feedback, RequestContext
from floorline.policies import Policy, make_policy
from floorline.policies.base import mixed
from floorline.sla import SLA
from floorline.whatif.counterfactual import Counterfactual, NoSupport
from floorline.whatif.log_summary import LogSummary
from floorline.zoo import Model, Zoo

DIM = 6
GOLD = [SLA("gold", floor=0.8)]
QUALITY = np.array([0.4, 0.65, 0.9])
COST = np.array([1.0, 4.0, 20.0])
SHIFT = np.array([0.3, 0.0, -0.2])


class ByFirstFeature(Policy):
    """Policy that mostly serves the large model if the first feature is positive, else "small"."""

    name = "by_first_feature"

    def start(self, zoo, slas, dim):
        self.models = len(zoo)

    def decide(self, request, rng):
        weights = np.zeros(self.models)
        weights[[0, 2]] = (0.2, 0.8) if request.features[0] > 0 else (0.9, 0.1)
        return mixed(weights, np.full(self.models, 0.5), np.ones(self.models), rng)


def probabilities(number, vector):
    """(3,) probability that each model satisfies request ``number``."""
    return np.clip(QUALITY + SHIFT * (vector(number)[0] > 0), 0.0, 1.0)


def live(router, vector, count, *, share=1.0, seed=0, context=None):
    rng = np.random.default_rng(seed)
    for number in range(count):
        given = {} if context is None else {"context": context(number)}
        request = router.request(features=vector(number))
        (decision,) = router.decide([request], at=float(number), **given)
        router.outcome(decision.id, cost=COST[decision.index] * (0.5 + rng.random()))
        if rng.random() < share:
            satisfied = rng.random() < probabilities(number, vector)[decision.index]
            router.feedback(decision.id, satisfied=bool(satisfied))
    return router


def what_if(router, policy, zoo, **kwargs):
    other = Counterfactual(policy, zoo, GOLD, DIM, **kwargs)
    for event in router.log.read():
        other.fold(event)
    return other


@pytest.mark.slow
@pytest.mark.parametrize("share", [1.0, 0.4])
def test_estimates_are_close_to_the_truth_and_intervals_contain_it(
    build_router, vector, zoo, share
):
    count = 1500
    qualities = [probabilities(n, vector) for n in range(count)]
    weights = [(0.2, 0.0, 0.8) if vector(n)[0] > 0 else (0.9, 0.0, 0.1) for n in range(count)]
    satisfied = np.mean([np.dot(w, q) for w, q in zip(weights, qualities, strict=True)])
    paid = np.mean([np.dot(w, COST) for w in weights])
    inside = np.zeros((2, 3))
    values = np.zeros((2, 3))
    runs = 8
    for seed in range(runs):
        router = live(build_router("random", seed=seed), vector, count, share=share, seed=seed)
        result = what_if(router, ByFirstFeature(), zoo).result()
        for row, (found, real) in enumerate(
            [(result.satisfaction, satisfied), (result.cost, paid)]
        ):
            inside[row] += [e.lower <= real <= e.upper for e in found]
            values[row] += [e.value / runs / real for e in found]
    assert (inside >= runs - 2).all()
    assert inside[0, 0] == runs  # anytime-valid, so wide
    assert values == pytest.approx(1.0, abs=0.06)


def test_the_estimate_of_the_logging_policy_has_equal_weights(build_router, vector, zoo):
    router = live(build_router("random"), vector, 300)
    result = what_if(router, make_policy("random"), zoo).result()
    status = router.status("gold")
    mean = status.satisfaction
    assert [e.value for e in result.satisfaction] == pytest.approx([mean] * 3, abs=0.02)
    assert result.satisfaction[0].value == pytest.approx(mean)
    assert result.effective_labels == pytest.approx(300)
    assert result.logged == pytest.approx((mean, status.spent / 300))


def test_a_notebook_shows_estimates_or_the_refusal(build_router, vector, zoo):
    router = live(build_router("random"), vector, 300)
    result = what_if(router, make_policy("random"), zoo).result()
    shown, last = result._repr_html_(), result.satisfaction[-1]
    assert "<caption>What if: random()</caption>" in shown
    assert f"<th>satisfaction, {last.kind}</th><td>{last.value:.4g} in [{last.lower:.4g}" in shown
    assert f'aria-label="mean {last.value:.3f}, bounds {last.lower:.3f}' in shown
    router = live(build_router("cheapest"), vector, 100)
    with pytest.raises(NoSupport) as info:
        what_if(router, make_policy("random"), zoo).result()
    refused = info.value.result
    shown = refused._repr_html_()
    assert "<th>refused</th><td>66.7% of the other policy" in shown
    assert f'aria-label="bounds {refused.satisfaction_bounds.lower:.3f}' in shown


def test_only_models_that_both_policies_called_are_revealed(build_router, vector, zoo):
    revealed = []

    class Spy(ByFirstFeature):
        def on_outcome(self, decision, model, outcome):
            revealed.append((decision.id, model))

        def on_feedback(self, decision, model, feedback, previous):
            revealed.append((decision.id, model))

    router = live(build_router("random"), vector, 200)
    other = what_if(router, Spy(), zoo)
    served = {e.id: e.index for e in router.log.read() if isinstance(e, Decision)}
    own = {id: other.router.find(id).decision.index for id in other.router.remembered}
    assert len(own) == 200
    assert {id for id, _ in revealed} == {id for id in served if served[id] == own[id]}
    assert all(served[id] == model for id, model in revealed)
    assert other.result().matched == pytest.approx(len({id for id, _ in revealed}) / 200)


def test_choices_that_the_logging_policy_never_made_are_refused_with_bounds(
    build_router, vector, zoo
):
    router = live(build_router("cheapest"), vector, 100)
    other = what_if(router, make_policy("random"), zoo)
    with pytest.raises(
        NoSupport, match=r"66\.7% of the other policy's choices have no sup"
    ) as info:
        other.result()
    result = info.value.result
    assert (result.satisfaction, result.cost, result.refused) == ((), (), str(info.value))
    overlap = result.satisfaction_overlap
    assert overlap.unsupported_by_model == pytest.approx({"medium": 1 / 3, "large": 1 / 3})
    assert (overlap.mean_weight, overlap.expected_weight) == pytest.approx((1 / 3, 1 / 3))
    # The unsupported two thirds are anything from 0 to 1.
    lower, upper = result.satisfaction_bounds
    assert upper - lower >= 2 / 3
    truth = np.mean([probabilities(n, vector).mean() for n in range(100)])
    assert lower <= truth <= upper
    assert result.cost_bounds.lower <= COST.mean() <= result.cost_bounds.upper


def test_the_limit_of_unsupported_choices_can_be_raised(build_router, vector, zoo):
    class Rarely(ByFirstFeature):
        def decide(self, request, rng):
            return mixed(np.array([0.9, 0.0, 0.1]), np.full(3, 0.5), np.ones(3), rng)

    router = live(build_router("cheapest"), vector, 200)
    with pytest.raises(NoSupport, match=r"10\.0% .* at most 5\.0% may"):
        what_if(router, Rarely(), zoo).result()
    result = what_if(router, Rarely(), zoo).result(max_unsupported=0.1001)
    assert result.refused == ""
    assert all(e.upper - e.lower >= 0.1 for e in result.satisfaction)
    for bad in ({"max_unsupported": 1.1}, {"confidence": 1.0}, {"max_unsupported": float("nan")}):
        with pytest.raises(InvalidInput):
            what_if(router, Rarely(), zoo).result(**bad)


@pytest.mark.parametrize("logger", ["primal_dual", "sla_router", "random"])
def test_intervals_of_40_small_logs_hold_the_truth(build_router, vector, zoo, logger):
    """Logs of the default policy support little, which is refused; the bounds hold too."""
    count, given = 250, 0
    positive = np.array([vector(n)[0] > 0 for n in range(count)])[:, None]
    qualities = np.array([probabilities(n, vector) for n in range(count)])
    targets = {
        "cheapest": np.tile([1.0, 0.0, 0.0], (count, 1)),
        "by_first_feature": np.where(positive, [0.2, 0.0, 0.8], [0.9, 0.0, 0.1]),
    }
    held = {name: [] for name in targets}
    for seed in range(40):
        router = live(build_router(logger, seed=seed), vector, count, seed=seed)
        for name, weights in targets.items():
            truth = (weights * qualities).sum(1).mean(), (weights @ COST).mean()
            policy = ByFirstFeature() if name == "by_first_feature" else make_policy(name)
            try:
                result = what_if(router, policy, zoo).result(min_effective_labels=2)
                given += 1
            except NoSupport as refused:
                result = refused.result
            pairs = [(result.satisfaction_bounds, result.cost_bounds)]
            for quality, cost in (*zip(result.satisfaction, result.cost, strict=True), *pairs):
                held[name].append(
                    [
                        quality.lower <= truth[0] <= quality.upper,
                        cost.lower <= truth[1] <= cost.upper,
                    ]
                )
            assert result.warnings == ()
    assert min(np.mean(each, axis=0).min() for each in held.values()) >= 0.95
    assert given == 80 if logger == "random" else given < 80


def test_labels_that_depend_on_the_model_are_refused(build_router, vector, zoo):
    router = build_router("random")
    for number in range(600):
        decision = router.route(features=vector(number))
        router.outcome(decision.id, cost=1.0)
        if decision.model != "small" or number % 5 == 0:
            router.feedback(decision.id, satisfied=number % 3 > 0)
    with pytest.raises(NoSupport, match=r"propensities do not fit .* with labels") as info:
        what_if(router, make_policy("cheapest"), zoo).result()
    assert info.value.result is None


def test_wrong_propensities_are_refused(build_router, vector, zoo):
    router = live(build_router("random"), vector, 400)
    other = Counterfactual(make_policy("cheapest"), zoo, GOLD, DIM)
    for event in router.log.read():
        if isinstance(event, Decision):
            event = msgspec.structs.replace(event, propensities=np.array([0.8, 0.1, 0.1]))
        other.fold(event)
    with pytest.raises(NoSupport, match=r"mean weight is 0\.\d+, expected is 1 with standard"):
        other.result()


@pytest.mark.parametrize(
    ("propensities", "fix"),
    [
        ([0.5, 0.5], "one probability for each of the 3 models"),
        ([], "one probability for each of the 3 models"),
        ([np.nan] * 3, "sum of 1"),
        ([1.5, -0.5, 0.0], "sum of 1"),
        ([0.9, 0.9, 0.9], "sum of 1"),
        ([0.0, 0.0, 0.0], "above 0"),
    ],
)
def test_decisions_without_usable_propensities_are_named(
    build_router, vector, zoo, propensities, fix
):
    router = live(build_router("random"), vector, 3)
    other = Counterfactual(make_policy("cheapest"), zoo, GOLD, DIM)
    (first, *_) = [e for e in router.log.read() if isinstance(e, Decision)]
    with pytest.raises(InvalidInput, match=rf"propensities is .* in decision {first.id}': .*{fix}"):
        other.fold(msgspec.structs.replace(first, propensities=np.array(propensities)))


def test_labels_count_with_their_weight(build_router, vector, zoo):
    router = live(build_router("random"), vector, 300)
    twice = [Counterfactual(make_policy("random"), zoo, GOLD, DIM) for _ in range(2)]
    for event in router.log.read():
        twice[0].fold(event)
        if isinstance(event, Feedback):
            event = msgspec.structs.replace(event, weight=0.25 if event.score else 1.0)
        twice[1].fold(event)
    plain, weighted = (other.result() for other in twice)
    mean = plain.satisfaction[0].value
    expected = 0.25 * mean / (0.25 * mean + 1.0 - mean)
    assert weighted.satisfaction[0].value == pytest.approx(expected)
    assert weighted.effective_labels < plain.effective_labels == pytest.approx(300)


def test_requests_that_the_log_may_decline_are_weighted_by_what_was_served(
    build_router, vector, zoo
):
    """Propensities of a policy under a budget sum to less than 1."""
    router = live(build_router("random"), vector, 400)
    other = Counterfactual(make_policy("random"), zoo, GOLD, DIM)
    for event in router.log.read():
        if isinstance(event, Decision):
            event = msgspec.structs.replace(event, propensities=event.propensities * 0.7)
        other.fold(event)
    result = other.result()
    assert result.satisfaction_overlap.mean_weight == pytest.approx(1.0)
    assert result.satisfaction[0].value == pytest.approx(result.logged[0])


def test_too_few_labels_are_rejected(build_router, vector, zoo):
    router = live(build_router("random"), vector, 100)
    other = what_if(router, ByFirstFeature(), zoo)
    assert other.result(min_effective_labels=5).effective_labels < 50
    with pytest.raises(NoSupport, match=r"effective number of labels is .* \(of 100 in the log\)"):
        other.result()
    with pytest.raises(NoSupport, match="no usable decision"):
        Counterfactual(ByFirstFeature(), zoo, GOLD, DIM).result()
    with pytest.raises(NoSupport, match="no label"):
        what_if(live(build_router("random"), vector, 20, share=0.0), ByFirstFeature(), zoo).result()
    unpaid = build_router("random")
    unpaid.feedback(unpaid.route(features=vector(0)).id, satisfied=True)
    with pytest.raises(NoSupport, match="no outcome"):
        what_if(unpaid, ByFirstFeature(), zoo).result()


def test_decisions_between_other_models_are_left_out(build_router, vector, zoo):
    router = live(build_router("random"), vector, 30)
    smaller = Zoo(zoo.models[:2])
    other = Counterfactual(make_policy("random"), smaller, GOLD, DIM)
    for event in router.log.read():
        other.fold(event)
    with pytest.raises(NoSupport, match="left out 30: made between other models"):
        other.result()


def test_unusable_decisions_are_left_out(build_router, vector, zoo):
    def context(number):
        return (
            RequestContext(session=f"s{number // 4}")
            if number < 40
            else RequestContext(after="x" * (number < 45))
        )

    router = live(build_router("random"), vector, 200, context=context)
    result = what_if(router, ByFirstFeature(), zoo).result(min_effective_labels=5)
    assert sum(result.left_out.values()) == 35
    assert result.requests == 165


@pytest.mark.parametrize(("cached", "left_out"), [(None, 0), (0.1, 150)])
def test_later_turns_that_only_their_messages_name_count_where_nothing_depends_on_the_earlier_ones(
    build_router, vector, zoo, cached, left_out
):
    models = [msgspec.structs.replace(model, cached_input_price=cached) for model in zoo.models]
    router = build_router("random", zoo=Zoo(models))

    def context(number):
        return RequestContext(session=f"~s{number // 4}")

    live(router, vector, 200, context=context)
    result = what_if(router, ByFirstFeature(), Zoo(models)).result(min_effective_labels=5)
    assert sum(result.left_out.values()) == left_out


def test_the_last_label_of_a_decision_counts(build_router, vector, zoo):
    router = live(build_router("random"), vector, 200)
    before = what_if(router, ByFirstFeature(), zoo).result(min_effective_labels=5)
    for decision in [e for e in router.log.read() if isinstance(e, Decision)]:
        router.feedback(decision.id, satisfied=True)
    after = what_if(router, ByFirstFeature(), zoo).result(min_effective_labels=5)
    assert before.satisfaction[1].value < 0.95
    assert after.satisfaction[1].value == pytest.approx(1.0)
    assert after.labels == before.labels


def test_the_same_log_and_seed_give_equal_results(build_router, vector, zoo):
    router = live(build_router("random"), vector, 150)
    results = [
        what_if(router, make_policy("sla_router"), zoo).result(min_effective_labels=5)
        for _ in range(2)
    ]
    assert results[0] == results[1]


def test_changes_of_the_zoo_are_followed(build_router, vector, zoo):
    router = live(build_router("random"), vector, 150)
    router.add_model(Model("new", call_price=2.0))
    rng = np.random.default_rng(2)
    for number in range(150):
        decision = router.route(features=vector(number))
        router.outcome(decision.id, cost=1.0)
        router.feedback(decision.id, satisfied=bool(rng.random() < 0.7))
    other = what_if(router, make_policy("random"), zoo)
    assert other.router.zoo.names == ("small", "medium", "large", "new")
    assert other.result().effective_requests == pytest.approx(300)


def test_the_summary_of_a_log_gives_models_prices_and_floors(build_router, vector):
    router = live(build_router("random"), vector, 120)
    summary = LogSummary(router.log.read())
    assert summary.zoo().names == ("small", "medium", "large")
    assert [m.call_price for m in summary.zoo().models] == pytest.approx(COST, rel=0.2)
    assert [(s.name, s.floor) for s in summary.slas()] == [("gold", 0.8)]
    summary.check("gold")
    summary.check_models(summary.zoo())
    with pytest.raises(InvalidInput, match="models at the beginning of the log"):
        summary.check_models(Zoo([Model("small"), Model("large"), Model("medium")]))
    with pytest.raises(InvalidInput, match=r"sla is 'golt': .*choose one of gold"):
        summary.check("golt")
    with pytest.raises(InvalidInput, match="routed request"):
        LogSummary([]).check()


def test_policies_that_know_the_stream_are_rejected(build_policy, zoo):
    with pytest.raises(InvalidInput, match="does not know the stream"):
        Counterfactual(build_policy("oracle"), zoo, GOLD, DIM)


class TestCommand:
    @pytest.fixture
    def log(self, build_router, vector, tmp_path):
        pytest.importorskip("sqlalchemy")
        from floorline.stores.sql import SqlStore

        router = build_router("random")
        router.log = SqlStore(f"sqlite:///{tmp_path}/log.db")
        live(router, vector, 400)
        router.log.flush()
        yield tmp_path / "log.db"
        router.log.close()

    def test_it_prints_estimates(self, log, capsys):
        assert main(["whatif", "--log", str(log), "--policy", "cheapest"]) == 0
        text = capsys.readouterr().out
        for part in ("cheapest", "IPS", "SNIPS", "DR", "logged policy", "400 logged requests"):
            assert part in text
        given = ["whatif", "--log", str(log), "--policy", "cheapest", "--floor", "0.5", "--json"]
        assert main(given) == 0
        body = json.loads(capsys.readouterr().out)
        assert body["floor"] == 0.5
        assert [e[0] for e in body["satisfaction"]] == ["IPS", "SNIPS", "DR"]

    def test_an_exported_log_needs_its_features(self, log, tmp_path, capsys):
        export, store = str(tmp_path / "log.jsonl"), ["--store", f"sqlite:///{log}"]
        arguments = ["whatif", "--log", export, "--policy", "cheapest"]
        assert main(["store", "export", export, *store]) == 0
        assert main(arguments) == 2
        assert "export it with --features" in capsys.readouterr().err
        assert main(["store", "export", export, "--features", *store]) == 0
        assert main(arguments) == 0

    def test_errors_are_one_line_and_exit_code_2(self, log, capsys):
        assert (
            main(
                [
                    "whatif",
                    "--log",
                    str(log),
                    "--policy",
                    "cheapest",
                    "--min-effective-labels",
                    "1e4",
                ]
            )
            == 2
        )
        assert "and at least 10000 are needed" in " ".join(capsys.readouterr().err.split())
        assert main(["whatif", "--log", str(log), "--policy", "nonesuch"]) == 2
        assert "choose one of" in capsys.readouterr().err
