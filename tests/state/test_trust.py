import numpy as np
import pytest

from floorline.core.snapshots import pack, unpack
from floorline.state.trust import SenderTrust

TRUTH = {"small": 0.7, "large": 0.92}


def play(trust, senders, count, seed=0, truth=TRUTH):
    """Labels of senders: name → (share, function of model, true label and number)."""
    rng = np.random.default_rng(seed)
    names, shares = list(senders), np.array([share for share, _ in senders.values()])
    for number, name in enumerate(rng.choice(names, size=count, p=shares / shares.sum()).tolist()):
        model = "small" if rng.random() < 0.5 else "large"
        y = float(rng.random() < truth[model])
        trust.label(name, model, senders[name][1](model, y, number), 1.0)
    return trust


def honest(model, y, number):
    return y


def tenants(share, count=8):
    return {f"tenant {n}": (share / count, honest) for n in range(count)}


def trusts(trust, name):
    return [trust.of(name, model) for model in TRUTH]


def bad(model, y, number):
    return 0.0


def good(model, y, number):
    return 1.0


def by_chance(model, y, number):
    return float(number % 2)


@pytest.mark.parametrize("lie", [bad, by_chance], ids=["bad", "random"])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.3])
def test_a_sender_that_contradicts_the_others_hardly_counts(lie, share):
    trust = play(SenderTrust(), tenants(1.0 - share) | {"liar": (share, lie)}, 1500)
    assert max(trusts(trust, "liar")) < 0.15
    assert all(min(trusts(trust, name)) > 0.6 for name in tenants(1.0))


def test_labels_all_good_are_noticed_on_the_model_that_is_not():
    trust = play(SenderTrust(), tenants(0.8) | {"liar": (0.2, good)}, 1500)
    assert trust.of("liar", "small") < 0.15


@pytest.mark.parametrize("seed", range(5))
def test_honest_senders_keep_their_trust(seed):
    trust = play(SenderTrust(), tenants(1.0), 2000, seed)
    assert np.mean([trusts(trust, name) for name in tenants(1.0)]) > 0.97


def test_a_lie_about_one_model_costs_trust_there():
    def lie(model, y, number):
        return 0.0 if model == "small" else y

    trust = play(SenderTrust(), tenants(0.9) | {"liar": (0.1, lie)}, 1500)
    assert trust.of("liar", "small") < 0.05


def test_a_sender_that_turns_is_noticed_within_some_dozen_labels():
    def lie(model, y, number):
        return y if number < 3000 else 0.0

    senders = tenants(0.9) | {"liar": (0.1, lie)}
    trust = play(SenderTrust(), senders, 3000)
    assert min(trusts(trust, "liar")) > 0.9
    rng = np.random.default_rng(5)
    for said in range(1, 200):  # noqa: B007
        trust.label("liar", "large", 0.0, 1.0)
        for n in range(8):
            trust.label(f"tenant {n}", "large", float(rng.random() < 0.92), 1.0)
        if trust.of("liar", "large") < 0.2:
            break
    assert said < 40


def test_a_change_that_all_report_sets_nobody_apart():
    trust = play(SenderTrust(), tenants(1.0), 3000)
    for step in range(10):
        play(trust, tenants(1.0), 100, seed=step + 1, truth={"small": 0.7, "large": 0.4})
        assert np.mean([trusts(trust, name) for name in tenants(1.0)]) > 0.9


@pytest.mark.parametrize("count", [2, 4])
def test_where_half_contradicts_half_all_count(count):
    """Nobody can tell then who is right."""
    halves = {f"t{n}": (1.0 / count, bad if n % 2 else good) for n in range(count)}
    trust = SenderTrust()
    for number in range(1000):
        name = f"t{number % count}"
        trust.label(name, "large", halves[name][1]("large", 0.0, number), 1.0)
    assert all(trust.of(name, "large") == pytest.approx(1.0) for name in halves)


@pytest.mark.parametrize("first", ["liar", "tenants"])
def test_who_comes_first_does_not_decide(first):
    trust = SenderTrust()
    if first == "liar":
        play(trust, {"liar": (1.0, bad)}, 300)
    play(trust, tenants(0.9) | {"liar": (0.1, bad)}, 2500)
    assert max(trusts(trust, "liar")) < 0.1
    assert np.mean([trusts(trust, name) for name in tenants(1.0)]) > 0.9


def test_where_tasks_differ_more_is_tolerated():
    """A tenant a little apart counts more among tenants that differ than among equal ones."""
    rng = np.random.default_rng(0)

    def shifted(by):
        return lambda model, y, number: y if rng.random() < 1.0 - by else 0.0

    among_equal = tenants(0.9) | {"hard": (0.1, shifted(0.25))}
    spread = {f"tenant {n}": (0.9 / 8, shifted(0.05 * n)) for n in range(8)}
    strict = play(SenderTrust(), among_equal, 6000)
    wide = play(SenderTrust(), spread | {"hard": (0.1, shifted(0.25))}, 6000)
    assert np.mean(trusts(strict, "hard")) < 0.7 < np.mean(trusts(wide, "hard"))


def test_a_restored_state_goes_on_as_before():
    trust, copy = play(SenderTrust(), tenants(0.9) | {"liar": (0.1, bad)}, 500), SenderTrust()
    copy.restore(unpack(pack(trust.snapshot())))
    for each in (trust, copy):
        play(each, tenants(1.0), 300, seed=3)
    assert trust.snapshot() == copy.snapshot()


def test_what_is_known_of_a_replaced_sender_is_kept_among_the_others():
    trust = play(SenderTrust(), tenants(1.0), 400)
    before = sum(entry[0] for models in trust.models_.values() for entry in models.values())
    trust.merge("tenant 0", "(others)")
    after = sum(entry[0] for models in trust.models_.values() for entry in models.values())
    assert after == pytest.approx(before)
    assert "tenant 0" not in trust.models_


def is_small(name):
    return not name.startswith("tenant")


def test_many_small_liars_are_distrusted_together():
    trust, rng = SenderTrust(), np.random.default_rng(0)
    given = []
    for number in range(4000):
        if number % 5 == 0:
            name = f"liar {number}"
            given.append(trust.of(name, "large", small=True))
            trust.label(name, "large", 0.0, 0.5, is_small)
            trust.merge(f"liar {number - 1000}", "(others)")
        else:
            y = float(rng.random() < 0.9)
            trust.label(f"tenant {number % 8}", "large", y, 1.0, is_small)
    assert np.mean(given[50:]) < 0.05
    assert min(trust.of(f"tenant {n}", "large") for n in range(8)) == 1.0


def test_small_liars_that_are_noticed_cost_other_small_senders_no_trust():
    trust, rng = SenderTrust(), np.random.default_rng(0)
    for number in range(4000):
        small = number % 20
        name = f"small {small}" if small < 10 else f"tenant {number % 8}"
        y = 0.0 if small < 3 else float(rng.random() < 0.9)
        trust.label(name, "large", y, 1.0, is_small)
    assert max(trust.of(f"small {n}", "large", small=True) for n in range(3)) < 0.05
    assert min(trust.of(f"small {n}", "large", small=True) for n in range(3, 10)) > 0.9


def test_small_senders_that_agree_with_the_others_count_in_full():
    trust, rng = SenderTrust(), np.random.default_rng(0)
    for number in range(2000):
        name = f"small {number}" if number % 2 else f"tenant {number % 8}"
        trust.label(name, "large", float(rng.random() < 0.9), 1.0, is_small)
        trust.merge(f"small {number - 400}", "(others)")
    assert trust.of("another", "large", small=True) == 1.0
