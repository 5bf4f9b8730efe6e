"""The posterior of the models' means is exact, shared between models and follows the zoo."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from floorline import Model, Zoo
from floorline.policies.primal_dual.config import PrimalDualConfig
from floorline.policies.primal_dual.price_and_name import relative_ranks
from floorline.policies.primal_dual.quality_posterior import QualityPosterior

CONFIG = PrimalDualConfig()
THREE = Zoo([Model(n, call_price=p) for n, p in (("small", 1.0), ("medium", 4.0), ("large", 20.0))])


def test_a_label_of_one_model_moves_the_means_of_all():
    posterior = QualityPosterior(THREE, 0.7, CONFIG)
    before = posterior.mean_.copy()
    for _ in range(100):
        posterior.learn(1, 0.0)
    assert (posterior.mean_ < before).all()
    assert posterior.sd_[1] < posterior.sd_[0] < 1.0


@given(
    prices=st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=12),
    floor=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32 - 1),
    most=st.sampled_from([0, 3, 40, 100_000]),
)
def test_it_is_the_exact_posterior_of_the_linear_model(prices, floor, seed, most):
    rng = np.random.default_rng(seed)
    # Every second model is of one family.
    names = [f"{'family' if m % 2 else ''}{m}" for m in range(len(prices))]
    zoo = Zoo([Model(n, call_price=price) for n, price in zip(names, prices, strict=True)])
    posterior = QualityPosterior(zoo, floor, CONFIG)
    count = rng.integers(0, most + 1, len(prices)).astype(float)
    total = count * rng.random(len(prices))
    posterior.deviation_sd_ = rng.uniform(0.03, 0.5)
    posterior.restart(count, total)
    rise = np.sqrt(relative_ranks(zoo.typical_costs))
    one = np.arange(len(prices))
    alike = (one[:, None] % 2 == 1) & (one % 2 == 1) | (one[:, None] == one)
    share = CONFIG.family_share
    spread = (
        CONFIG.prior_line_sd**2 * (1.0 + np.outer(rise, rise))
        + posterior.deviation_sd_**2 * share * alike
        + posterior.deviation_sd_**2 * (1.0 - share) * np.eye(len(rise))
    )
    prior = np.linalg.inv(4.0 * posterior.variance * spread)
    covariance = np.linalg.inv(prior + np.diag(count / posterior.variance))
    mean = covariance @ (prior @ posterior.centre_ + total / posterior.variance)
    np.testing.assert_allclose(posterior.mean_, mean.clip(0.0, 1.0), atol=1e-9)
    np.testing.assert_allclose(posterior.sd_, np.sqrt(covariance.diagonal()), rtol=1e-7)


def test_before_any_label_dearer_models_are_expected_to_be_better_around_the_floor():
    posterior = QualityPosterior(THREE, 0.7, CONFIG)
    assert (np.diff(posterior.mean_) > 0).all()
    assert posterior.mean_.min() < 0.7 < posterior.mean_.max() < 0.85
    assert len({round(float(sd), 3) for sd in posterior.sd_}) > 1


def test_a_label_says_most_of_models_with_a_similar_name():
    names = ("llama-8b", "qwen-7b", "llama-70b", "gpt")
    zoo = Zoo([Model(name, call_price=1.0) for name in names])
    posterior = QualityPosterior(zoo, 0.7, CONFIG)
    for _ in range(50):
        posterior.learn(0, 0.2)
    assert posterior.mean_[0] < posterior.mean_[2] < posterior.mean_[1]
    assert posterior.mean_[1] == posterior.mean_[3]
    assert posterior.sd_[2] < posterior.sd_[1]


def test_the_prior_follows_the_rank_of_prices_not_their_ratios():
    near, far = (
        QualityPosterior(
            Zoo([Model(str(m), call_price=c) for m, c in enumerate(prices)]), 0.7, CONFIG
        )
        for prices in ((1.0, 1.1, 1.2), (1.0, 500.0, 510.0))
    )
    np.testing.assert_array_equal(near.mean_, far.mean_)


def test_a_correction_leaves_what_the_corrected_label_alone_would_have():
    posterior, other = (QualityPosterior(THREE, 0.7, CONFIG) for _ in range(2))
    posterior.learn(0, 0.0)
    posterior.replace(0, 0.0, 1.0)
    other.learn(0, 1.0)
    np.testing.assert_allclose(posterior.mean_, other.mean_)


def test_models_that_differ_more_than_the_prior_says_are_shrunk_less():
    alike, apart = (QualityPosterior(THREE, 0.7, CONFIG) for _ in range(2))
    alike.learn_many(np.tile([0.7, 0.7, 0.7], (200, 1)))
    apart.learn_many(np.tile([0.9, 0.2, 0.7], (200, 1)))
    assert alike.deviation_sd_ < 1.1 * CONFIG.model_deviation_sd
    assert apart.deviation_sd_ > 2 * CONFIG.model_deviation_sd
    assert abs(apart.mean_[1] - 0.2) < 0.02


def test_a_model_that_joins_starts_where_its_price_puts_it():
    posterior = QualityPosterior(THREE, 0.7, CONFIG)
    for _ in range(300):
        posterior.learn(0, 0.5)
        posterior.learn(2, 0.9)
    kept = posterior.labels_.copy()
    posterior.set_zoo(THREE.with_model(Model("new", call_price=9.0)))
    assert posterior.labels_.tolist() == [*kept.tolist(), 0.0]
    assert 0.5 < posterior.mean_[3] < 0.9


def hinted(*hints, weight=20.0):
    names = ("small", "medium", "large")
    prices = (1.0, 4.0, 20.0)
    return Zoo(
        [
            Model(name, call_price=price, quality_hint=hint, hint_weight=weight)
            for name, price, hint in zip(names, prices, hints, strict=True)
        ]
    )


def test_hints_move_the_prior_as_so_many_labels_and_are_no_labels():
    posterior = QualityPosterior(hinted(0.9, None, 0.5), 0.7, CONFIG)
    other = QualityPosterior(THREE, 0.7, CONFIG)
    before = other.mean_
    other.learn_many(np.tile([[0.9, np.nan, 0.5]], (20, 1)))
    np.testing.assert_allclose(posterior.mean_, other.mean_)
    assert posterior.mean_[0] - before[0] > posterior.mean_[2] - before[2]
    assert posterior.labels_.tolist() == [0.0, 0.0, 0.0]


def test_hints_are_learned_away_by_labels():
    posterior = QualityPosterior(hinted(0.95, 0.7, 0.3), 0.7, CONFIG)
    posterior.learn_many(np.tile([[0.3, 0.7, 0.95]], (150, 1)))
    assert abs(posterior.mean_[0] - 0.3) < 0.03
    assert abs(posterior.mean_[2] - 0.95) < 0.03


def test_labels_that_contradict_one_hint_take_weight_from_all():
    right, wrong = (QualityPosterior(hinted(0.8, 0.7, 0.2), 0.7, CONFIG) for _ in range(2))
    for _ in range(100):
        right.learn(0, 0.8)
        wrong.learn(0, 0.2)
    assert right.hints_.add_to(right.labels_, right.sum_, 0.2)[0][2] > 15
    assert wrong.hints_.add_to(wrong.labels_, wrong.sum_, 0.2)[0][2] < 2


def test_a_changed_hint_takes_effect_and_labels_stay():
    posterior = QualityPosterior(hinted(0.8, 0.7, 0.2), 0.7, CONFIG)
    posterior.learn_many(np.tile([[0.8, 0.7, np.nan]], (10, 1)))
    posterior.decay(np.full(3, 0.5))
    before = posterior.mean_[2]
    posterior.set_zoo(hinted(0.8, 0.7, 0.9))
    assert posterior.labels_.tolist() == [5.0, 5.0, 0.0]
    assert posterior.mean_[2] > before + 0.1
    # An unchanged hint stays as old as it is.
    assert posterior.hints_.weight_.tolist() == [10.0, 10.0, 20.0]


def test_a_model_that_changed_has_no_hint_any_more():
    posterior = QualityPosterior(hinted(0.9, 0.8, 0.8), 0.7, CONFIG)
    posterior.restart_model(0, labels=30.0, mean=0.2)
    assert posterior.hints_.weight_.tolist() == [0.0, 20.0, 20.0]


def test_hints_are_in_the_snapshot():
    posterior, other = (QualityPosterior(hinted(0.9, 0.8, 0.5), 0.7, CONFIG) for _ in range(2))
    posterior.restart_model(0, labels=30.0, mean=0.2)
    other.restore(posterior.snapshot())
    assert other.mean_.tolist() == posterior.mean_.tolist()
    other.learn(0, 1.0)
    posterior.learn(0, 1.0)
    assert other.mean_.tolist() == posterior.mean_.tolist()


def test_a_model_that_is_like_another_one_starts_from_what_is_known_of_it():
    new = Model("new", call_price=1.0, quality_like="large", hint_weight=30.0)
    zoo = THREE.with_model(new)
    posterior, other = (QualityPosterior(z, 0.7, CONFIG) for z in (zoo, THREE))
    for each in (posterior, other):
        each.learn_many(np.tile([[0.5, 0.6, 0.95, np.nan][: len(each.labels_)]], (60, 1)))
    other.set_zoo(THREE.with_model(Model("new", call_price=1.0)))
    assert posterior.mean_[3] > other.mean_[3] + 0.1
    # 1 / (1/30 + 1/60)
    known, total = posterior.hints_.add_to(posterior.labels_, posterior.sum_, 0.2)
    np.testing.assert_allclose((known[3], total[3] / known[3]), (20.0, 0.95))
    # Without that model nothing is known of it; the order of models may change.
    posterior.set_zoo(zoo.without("large"))
    assert posterior.hints_.add_to(posterior.labels_, posterior.sum_, 0.2)[0][2] == 0.0
    posterior.set_zoo(Zoo([new, *THREE.models]))
    assert posterior.hints_.like_.tolist() == [3, -1, -1, -1]
