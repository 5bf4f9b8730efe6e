"""The flagship as a whole: floors kept, feedback of any kind, a zoo that changes."""

from collections.abc import Mapping

import numpy as np
import pytest
from tests.support.inside import fold_of

from floorline import SLA, Model, Router, Zoo
from floorline.errors import BudgetExhausted, InvalidInput
from floorline.policies import make_policy
from floorline.policies.base import History
from floorline.policies.primal_dual.policy import PrimalDual
from floorline.replay.environment import GivenFeatures
from floorline.sla import Budget

DIM = 4
TRUE = {"small": 0.6, "medium": 0.8, "large": 0.9, "new": 0.85}
COST = {"small": 1.0, "medium": 4.0, "large": 20.0, "new": 1.5}


def zoo_of(*names):
    return Zoo([Model(name, call_price=COST[name]) for name in names])


ONE = (SLA("s", floor=0.7),)
THREE = zoo_of("small", "medium", "large")


class Users:
    """Serves a stream of requests and labels answers as ``TRUE`` says."""

    def __init__(self, *, slas=ONE, seed=0, zoo=THREE, **parameters):
        self.router = Router(
            zoo, PrimalDual(**parameters), slas, encoder=GivenFeatures(DIM, "given"), seed=seed
        )
        self.rng = np.random.default_rng(seed)
        self.true = dict(TRUE)
        self.served, self.satisfied, self.paid = [], [], 0.0

    def live(self, count, *, sla=None, floor=None, report=lambda rng, y: y, delay=0, at=None):
        late = []
        for number in range(count):
            x = self.rng.normal(size=DIM).astype(np.float32)
            when = 0.0 if at is None else at(number)
            try:
                decision = self.router.route(features=x, sla=sla, floor=floor, at=when)
            except BudgetExhausted:
                continue
            self.router.outcome(decision.id, cost=COST[decision.model])
            y = float(self.rng.random() < self.true[decision.model])
            self.served.append(decision.model)
            self.satisfied.append(y)
            self.paid += COST[decision.model]
            late.append((decision.id, report(self.rng, y)))
            if len(late) > delay:
                self._tell(*late.pop(0))
        for id, score in late:
            self._tell(id, score)
        return self

    def _tell(self, id, score):
        if score is not None:
            self.router.feedback(id, score=score)

    def share(self, model, last=None):
        return self.served[-(last or len(self.served)) :].count(model) / (last or len(self.served))


def sparse(share):
    return lambda rng, y: y if rng.random() < share else None


def complaints(rate):
    return lambda rng, y: 0.0 if y == 0.0 and rng.random() < rate else None


@pytest.mark.slow
def test_the_floor_is_kept_at_little_more_than_the_static_mix():
    runs = [Users(seed=seed).live(1500) for seed in range(8)]
    kept = np.mean([np.mean(run.satisfied) >= 0.7 for run in runs])
    mix = 0.5 * COST["small"] + 0.5 * COST["medium"]
    assert kept >= 0.75
    assert np.mean([run.paid / 1500 for run in runs]) <= 1.4 * mix


def test_an_unreachable_floor_gets_the_best_model():
    assert Users().live(600, floor=0.99).share("large", 300) > 0.75


def test_a_floor_that_the_cheapest_model_keeps_gets_the_cheapest():
    assert Users().live(600, floor=0.4).share("small", 300) > 0.95


def test_floors_may_differ_between_requests():
    users = Users()
    for _ in range(300):
        users.live(1, floor=0.65)
        users.live(1, floor=0.75)
    assert np.mean(users.satisfied) >= 0.69


@pytest.mark.slow
@pytest.mark.parametrize(
    ("report", "delay"),
    [
        (sparse(0.2), 0),
        (sparse(0.5), 400),
        (lambda rng, y: 1.0 - y if rng.random() < 0.05 else y, 0),
    ],
)
def test_sparse_late_and_flipped_labels_keep_the_floor_nearly(report, delay):
    runs = [Users(seed=seed).live(1500, report=report, delay=delay) for seed in range(4)]
    assert np.mean([np.mean(run.satisfied) for run in runs]) >= 0.68


def test_without_any_label_the_guard_buys_quality_rather_than_trusting_the_prior():
    users = Users().live(1200, report=sparse(0.0))
    assert users.router.policy.queue("s") >= 0.0
    assert users.share("small", 100) < 1.0


@pytest.mark.slow
def test_a_guarded_sla_is_proved_and_an_unguarded_one_is_kept_for_less():
    usual, guarded = (
        [
            Users(slas=(SLA("s", floor=0.7, guarded=guarded),), seed=seed).live(1500)
            for seed in range(4)
        ]
        for guarded in (False, True)
    )
    assert [users.router.certificate("s").verdict for users in guarded] == ["kept"] * 4
    assert "kept" not in [users.router.certificate("s").verdict for users in usual]
    assert sum(users.paid for users in usual) < sum(users.paid for users in guarded)


def test_complaints_alone_are_recognised_and_silence_then_means_satisfied():
    users = Users(complaint_rate=0.5).live(2000, report=complaints(0.5))
    assert users.router.policy.complaints_.silence_is_satisfied_
    assert np.mean(users.satisfied) == pytest.approx(0.7, abs=0.06)


def test_one_compliment_shows_that_silence_means_nothing():
    users = Users().live(50, report=complaints(1.0))
    users.live(1, report=lambda rng, y: 1.0)
    users.live(300, report=complaints(1.0))
    assert not users.router.policy.complaints_.silence_is_satisfied_


def test_a_drop_of_quality_is_detected_and_another_model_takes_over():
    users = Users().live(800)
    users.true["medium"] = 0.3
    before = users.router.policy.changes_detected
    users.live(600)
    assert users.router.policy.changes_detected > before
    assert users.share("medium", 200) < 0.3


def test_a_policy_says_what_it_knows_of_the_models_and_which_ones_changed():
    users = Users().live(800)
    policy = users.router.policy
    known = policy.model_estimates()
    assert known.models == THREE.names
    assert known.mean.tolist() == policy.posterior_.mean_.tolist()
    assert known.labels.sum() == 800
    assert policy.changes() == (0, ())
    users.true["medium"] = 0.3
    users.live(200)
    assert policy.changes().detected >= 1
    assert "medium" in policy.changes().recent
    # A copy: what was said before does not move.
    assert known.labels.sum() == 800


def test_a_policy_without_means_says_so():
    policy = make_policy("cheapest")
    assert policy.model_estimates() is None
    assert policy.changes() == (0, ())


def test_a_drop_of_quality_is_followed_where_prompts_decide():
    users = Users()
    policy = users.router.policy
    rng = np.random.default_rng(1)
    x = rng.normal(size=(900, DIM)).astype(np.float32)
    labels = (rng.random((900, 3)) < [0.6, 0.8, 0.9]).astype(float)
    labels[:, 0] = x[:, 0] > -0.3
    cost = np.tile([1.0, 4.0, 20.0], (900, 1))
    policy.warm_start(History(list(x), labels, cost, np.zeros(900, dtype=np.int64)))
    users.true["small"] = 0.0
    users.live(200)
    assert users.share("small", 100) < 0.2
    # The stream is young, so that the shortfall of the drop is worked off at once.
    assert np.mean(users.satisfied) > 0.68


def test_a_good_cheap_model_that_joins_finds_its_share():
    users = Users().live(600)
    users.router.add_model(Model("new", call_price=COST["new"]))
    users.live(600)
    assert users.share("new", 300) > 0.3


def test_a_model_that_leaves_is_replaced_and_what_it_did_still_counts():
    users = Users().live(600)
    account = users.router.policy.surplus_["s"]
    posterior, variance = users.router.policy.posterior_, 0.2
    surplus, _ = account.surplus(posterior.mean_, posterior.sd_, variance)
    users.router.remove_model("medium")
    posterior = users.router.policy.posterior_
    after, _ = account.surplus(posterior.mean_, posterior.sd_, variance)
    assert after == pytest.approx(surplus, abs=1.0)
    users.live(600)
    assert np.mean(users.satisfied) >= 0.68


def test_slas_share_what_is_learned_and_keep_their_own_accounts():
    slas = (SLA("low", floor=0.55), SLA("high", floor=0.85))
    users = Users(slas=slas)
    users.live(400, sla="low").live(400, sla="high")
    policy = users.router.policy
    assert policy.surplus_["low"].requests_ == policy.surplus_["high"].requests_ == 400
    assert policy.posterior_.labels_.sum() == 800


def test_prompts_decide_only_when_they_have_proved_to_tell():
    blind = Users().live(600)
    assert blind.router.policy.gate_.slopes_[1] < 0.5
    telling = Users()
    rng = np.random.default_rng(1)
    x = rng.normal(size=(900, DIM)).astype(np.float32)
    labels = (rng.random((900, 3)) < [0.6, 0.8, 0.9]).astype(float)
    labels[:, 0] = x[:, 0] > -0.3
    cost = np.tile([1.0, 4.0, 20.0], (900, 1))
    tokens = np.zeros(900, dtype=np.int64)
    telling.router.policy.warm_start(History(list(x), labels, cost, tokens))
    assert telling.router.policy.gate_.is_significant
    hard, easy = np.array([[-2, 0, 0, 0], [2, 0, 0, 0]], np.float32)
    policy = telling.router.policy
    for _ in range(300):
        decision = telling.router.route(features=rng.normal(size=DIM).astype(np.float32))
        telling.router.outcome(decision.id, cost=COST[decision.model])
    served = {
        name: telling.router.route(features=row).model for name, row in (("h", hard), ("e", easy))
    }
    assert served["e"] == "small"
    assert served["h"] != "small"
    assert policy.gate_.slopes_[1] > 0.2


def test_a_budget_is_spent_and_never_exceeded():
    budget = Budget(total=1200.0)
    users = Users(slas=(SLA("s", floor=0.5, budget=budget),), horizon=400).live(400)
    assert 0.8 * 1200.0 <= users.paid <= 1200.0


def numbers(state):
    """How many numbers, strings and flags there are in a state."""
    if isinstance(state, Mapping):
        return sum(numbers(part) for part in state.values())
    if isinstance(state, np.ndarray):
        return state.size
    if isinstance(state, list | tuple):
        return sum(numbers(part) for part in state)
    return 1


@pytest.mark.slow
def test_the_state_is_as_large_after_9000_requests_as_after_6000():
    slas = (
        SLA("s", floor=0.7),
        SLA("sure", floor=0.75, guarded=True),
        SLA("poor", floor=0.0, budget=Budget(total=4000.0, per_model={"large": 900.0}, period=1.0)),
    )
    users = Users(slas=slas, price_horizon_requests=500)
    sizes = []
    for stretch in range(3):
        for sla in slas:
            users.live(
                1000,
                sla=sla.name,
                report=sparse(0.5),
                at=lambda n, stretch=stretch: stretch + n / 1000,
            )
        whole = fold_of(users.router).snapshot()
        # Decisions are remembered for late feedback, up to a number of its own (test_fold.py).
        del whole["records_"]
        sizes.append((numbers(whole), numbers(users.router.policy.snapshot())))
    # A model that is first tried in the second stretch adds its counts.
    assert sizes[0] <= sizes[1] == sizes[2]


def test_exploration_waits_for_the_buffer_and_its_propensities_are_logged():
    users = Users(exploration_cost_share=0.2)
    x = np.zeros(DIM, dtype=np.float32)
    first = users.router.route(features=x)
    assert first.propensities.tolist() == [
        float(m == first.index) for m in range(len(first.propensities))
    ]
    users.live(400)
    decision = users.router.route(features=x)
    assert decision.propensities.sum() == pytest.approx(1.0)
    assert (decision.propensities > 0).all()


@pytest.mark.parametrize(
    "parameters",
    [
        {"correction_requests": 0},
        {"exploration_cost_share": 2},
        {"silence": "never"},
        {"complaint_rate": 0},
        {"horizon": 0},
        {"horizon": 1.5},
        {"informative_labels": "many"},
    ],
)
def test_bad_parameters_are_refused(parameters):
    with pytest.raises(InvalidInput, match=next(iter(parameters))):
        make_policy("primal_dual", **parameters)
