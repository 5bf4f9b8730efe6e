import numpy as np
import pytest
from scipy.special import expit

from floorline.core.features import SparseFeatures
from floorline.core.snapshots import pack
from floorline.errors import InvalidInput
from floorline.policies import Request, make_policy
from floorline.sla import SLA
from floorline.zoo import Model

SLAS = {"gold": SLA("gold", floor=0.8)}


@pytest.fixture
def started(random_network, zoo):
    def build(**parameters):
        policy = make_policy("proteus", network=random_network(), **parameters)
        policy.start(zoo, SLAS, 6)
        return policy

    return build


def by_formula(weights, x, floor, dual=1.0):
    """p̂, mean μ and scores by the formulas of the docstring, in float64."""
    relu = lambda v: np.maximum(v, 0.0)  # noqa: E731
    w = weights._asdict()
    w = type(weights)(**{name: value.astype(np.float64) for name, value in w.items()})
    z = relu(w.encoder_weight @ x + w.encoder_bias)
    p = expit(w.quality_weight @ z + w.quality_bias)
    low, high = w.targets
    tau = np.clip((2 * floor - low - high) / (high - low), -1, 1)
    lam = np.log(1 + dual)
    gates = [expit(g[:, 0] * lam + g[:, 1]) for g in (w.first_gate, w.second_gate)]
    h1 = gates[0] * relu(w.first_weight @ np.concatenate([z, [tau, lam]]) + w.first_bias)
    h2 = gates[1] * relu(w.second_weight @ h1 + w.second_bias)
    a, b = 1 + 20 * expit(w.beta_weight @ h2 + w.beta_bias)
    mu = a / (a + b)
    gamma = 2 + 6 * expit(w.exponent[0])
    return p, mu, p + mu * w.boost - (1 - mu) ** gamma * w.cost


@pytest.mark.parametrize("dual", [0.0, 1.0, 5.0])
@pytest.mark.parametrize("floor", [0.0, 0.5, 0.8, 1.0])
def test_decisions_follow_the_formulas(started, vector, floor, dual):
    policy = started(dual=dual)
    for number in range(20):
        p, mu, scores = by_formula(policy.network.weights, vector(number), floor, dual)
        choice = policy.decide(Request(vector(number), "gold", floor), np.random.default_rng(0))
        np.testing.assert_allclose(choice.quality, p, atol=1e-5)
        assert policy.preference(vector(number), floor) == pytest.approx(mu, abs=1e-5)
        assert choice.model == scores.argmax()
        assert choice.propensities[choice.model] == 1.0


def test_sparse_features_give_the_same_decisions(started, vector):
    policy, rng = started(), np.random.default_rng(0)
    for number in range(10):
        x = vector(number)
        sparse = SparseFeatures(np.arange(6, dtype=np.int32), x, 6)
        dense = policy.decide(Request(x, "gold", 0.7), rng)
        other = policy.decide(Request(sparse, "gold", 0.7), rng)
        assert dense.model == other.model
        np.testing.assert_allclose(dense.quality, other.quality, atol=1e-6)


@pytest.mark.slow
def test_propensities_of_sampled_preferences_are_the_frequencies(started, vector):
    policy, rng = started(sample=True), np.random.default_rng(2)
    highest = []
    for number in range(12):
        request = Request(vector(number), "gold", 0.7)
        choices = [policy.decide(request, rng) for _ in range(400)]
        served = np.bincount([choice.model for choice in choices], minlength=3) / 400
        np.testing.assert_allclose(served, choices[0].propensities, atol=0.1)
        highest.append(choices[0].propensities.max())
    assert min(highest) < 0.99


def test_unseen_models_serve_only_if_no_other_may(started, zoo, vector):
    policy = started()
    policy.on_zoo(zoo.with_model(Model("new", call_price=0.1)))
    rng = np.random.default_rng(0)
    for number in range(20):
        assert policy.decide(Request(vector(number), "gold", 0.7), rng).model < 3
    only = np.array([False, False, False, True])
    choice = policy.decide(Request(vector(0), "gold", 0.7, 0, only), rng)
    assert choice.model == 3
    assert choice.quality[3] == 0.5


def test_decisions_do_not_depend_on_the_order_of_the_zoo(started, zoo, vector):
    policy, reversed_policy = started(), started()
    other = type(zoo)(zoo.models[::-1], zoo.cost_unit)
    reversed_policy.start(other, SLAS, 6)
    for number in range(20):
        request = Request(vector(number), "gold", 0.7)
        names = [
            z.names[p.decide(request, np.random.default_rng(0)).model]
            for p, z in ((policy, zoo), (reversed_policy, other))
        ]
        assert names[0] == names[1]


def test_a_trained_router_survives_snapshots_and_zoo_changes(build_router, random_network, live):
    def build():
        return build_router(make_policy("proteus", network=random_network()))

    steps = [("route", 0, None, n, n, None) for n in range(30)]
    router = build()
    live(router, [*steps, ("add", 1), ("remove", 1), *steps])
    twin = build()
    twin.restore(router.snapshot())
    assert twin.snapshot() == router.snapshot()
    assert live(twin, steps) == live(router, steps)


def test_without_a_network_the_most_expensive_model_serves(zoo, vector):
    policy = make_policy("proteus")
    policy.start(zoo, SLAS, 6)
    choice = policy.decide(Request(vector(0), "gold", 0.5), np.random.default_rng(0))
    assert zoo.names[choice.model] == "large"
    assert policy.preference(vector(0), 0.5) is None


def test_labels_do_not_change_the_network(started, vector):
    policy = started()
    network = policy.quality_
    before = pack(network.snapshot())
    network.learn_one(vector(0), 1, 1.0)
    assert pack(network.snapshot()) == before
    with pytest.raises(InvalidInput):
        network.learn_one(vector(0), 1, 2.0)


def test_features_of_another_length_and_other_objects_are_rejected(random_network, zoo):
    policy = make_policy("proteus", network=random_network())
    with pytest.raises(InvalidInput, match="give features of length 6, from the encoder vectors"):
        policy.start(zoo, SLAS, 7)
    with pytest.raises(InvalidInput, match="parameter network of proteus is 'somewhere'"):
        make_policy("proteus", network="somewhere")
    with pytest.raises(InvalidInput, match=r"proteus\.dual"):
        make_policy("proteus", dual=-1)
