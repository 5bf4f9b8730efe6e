import time

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from floorline.datasets.simulated import MODELS, SimulatedModel, SimulatedZoo, list_prices, simulate
from floorline.errors import InvalidInput


def test_same_seed_same_table():
    assert simulate(300, seed=3).digest == simulate(300, seed=3).digest
    assert simulate(300, seed=3).digest != simulate(300, seed=4).digest


def test_a_models_column_does_not_depend_on_the_others():
    whole = simulate(300, seed=1)
    part = simulate(300, seed=1, models=["sim-titan", "sim-nano"])
    assert part.digest == whole.select_models(["sim-titan", "sim-nano"]).digest


def test_says_that_it_is_simulated():
    table = simulate(50)
    assert table.simulated
    assert "simulated" in table.source
    assert all(name.startswith("sim-") for name in table.models)


def test_covers_many_tasks_without_gaps():
    table = simulate(2000)
    assert len(set(table.task)) >= 10
    assert table.mask.all()
    assert len(set(table.prompts)) > 1800
    assert not any("{" in text or "}" in text for text in table.prompts)


def test_realistic_means_and_prices():
    table = simulate(10_000)
    by_cost = np.argsort(table.mean_cost)
    assert table.mean_quality[by_cost[0]] == pytest.approx(0.5, abs=0.05)
    assert table.mean_quality[by_cost[-1]] == pytest.approx(0.93, abs=0.02)
    prices = list_prices()
    assert set(prices) == set(table.models)
    assert prices["sim-titan"][0] / prices["sim-nano"][0] == pytest.approx(100)
    assert table.mean_cost.max() / table.mean_cost.min() > 100


def test_specialists_beat_dearer_models_at_home():
    summary = simulate(10_000).describe()
    python = next(task for task in summary.tasks if task.task == "python").mean_quality
    assert python["sim-coder"] > python["sim-medium"]


def test_whole_benchmark_size_in_three_seconds():
    start = time.process_time()
    simulate(36_497)
    assert time.process_time() - start < 3


def test_text_tells_something_but_not_all():
    table = simulate(4000, seed=5)
    features = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=3)
    x = features.fit_transform(table.prompts)
    half = len(table) // 2
    areas = []
    for m in range(len(table.models)):
        y = table.quality[:, m] > 0.5
        fitted = LogisticRegression(max_iter=300).fit(x[:half], y[:half])
        areas.append(roc_auc_score(y[half:], fitted.predict_proba(x[half:])[:, 1]))
    assert 0.62 < np.mean(areas) < 0.78


def test_labels_follow_the_stated_probabilities():
    zoo = SimulatedZoo(20_000, seed=2)
    table = zoo.table()
    for low in np.arange(0, 1, 0.1):
        inside = (zoo.probabilities >= low) & (zoo.probabilities < low + 0.1)
        expected = zoo.probabilities[inside].mean()
        spread = 4 * np.sqrt(0.25 / inside.sum())
        assert table.quality[inside].mean() == pytest.approx(expected, abs=spread)


def test_draw_answers_by_the_same_law():
    zoo = SimulatedZoo(50, seed=0)
    rng = np.random.default_rng(0)
    prompt = zoo.prompts[7]
    truth = zoo.probability(prompt, "sim-small")
    answers = [zoo.draw(prompt, "sim-small", rng) for _ in range(2000)]
    assert np.mean([a.satisfied for a in answers]) == pytest.approx(truth, abs=0.05)
    first = answers[0]
    price_in, price_out = list_prices()["sim-small"]
    assert first.cost == pytest.approx(
        (first.tokens_in * price_in + first.tokens_out * price_out) / 1e6
    )
    assert min(a.latency for a in answers) > 0


def test_probability_of_a_row_is_the_probability_of_its_prompt():
    zoo = SimulatedZoo(30, seed=9)
    for row, prompt in enumerate(zoo.prompts):
        if zoo.prompts.index(prompt) == row:
            assert zoo.probability(prompt, "sim-mini") == pytest.approx(zoo.probabilities[row, 1])


def test_a_text_of_ones_own_has_a_probability_too():
    zoo = SimulatedZoo(5)
    assert zoo.probability("hello there", "sim-nano") == zoo.probability("hello there", "sim-nano")
    assert 0 < zoo.probability("", "sim-nano") < 1
    with pytest.raises(InvalidInput):
        zoo.probability("hello", "gpt-4")


def test_models_of_ones_own():
    mine = SimulatedModel("sim-mine", 1, 1, skill=9, strengths={"chat": -20})
    table = simulate(500, models=[mine, MODELS[0]])
    assert table.models == ("sim-mine", "sim-nano")
    chat = np.array(table.task) == "chat"
    assert table.quality[~chat, 0].mean() > 0.99
    assert table.quality[chat, 0].mean() < 0.01


@pytest.mark.parametrize(
    "arguments",
    [
        {"n": 0},
        {"n": 1.5},
        {"n": True},
        {"seed": -1},
        {"seed": "x"},
        {"models": ["gpt-4"]},
        {"models": []},
        {"models": ["sim-nano", "sim-nano"]},
    ],
)
def test_refuses_bad_arguments(arguments):
    with pytest.raises(InvalidInput):
        simulate(**arguments)
