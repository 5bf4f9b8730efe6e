import numpy as np
import pytest

from floorline.datasets import available, load
from floorline.errors import InvalidInput


@pytest.fixture(autouse=True)
def _named_folder(real_data, monkeypatch):
    monkeypatch.setenv("FLOORLINE_DATA", str(real_data))


def of(table, model):
    m = table.models.index(model)
    return table.mean_quality[m], table.mean_cost[m]


def test_routerbench_arc_challenge():
    table = load("routerbench/arc_challenge", gaps="drop")
    assert (len(table), len(table.models)) == (1019, 11)
    assert of(table, "gpt-4-1106-preview") == pytest.approx((0.953, 0.005040), rel=1e-3)
    assert of(table, "mistralai/mixtral-8x7b-chat") == pytest.approx((0.851, 0.000302), rel=1e-3)
    assert of(table, "WizardLM/WizardLM-13B-V1.2") == pytest.approx((0.662, 0.000151), rel=4e-3)
    assert not any(prompt.startswith("['") for prompt in table.prompts)


def test_routerbench_gaps_are_kept_and_counted(caplog):
    table = load("routerbench/arc_challenge")
    assert len(table) == 1039
    assert table.describe().incomplete_rows == 20
    assert "20 of 1,039 rows have missing scores" in caplog.text
    assert table.complete()[1] == 20


@pytest.mark.parametrize(
    ("name", "model", "quality"),
    [
        ("winograde", "gpt-4-1106-preview", 0.860),
        ("winograde", "zero-one-ai/Yi-34B-Chat", 0.759),
        ("winograde", "mistralai/mistral-7b-chat", 0.563),
        ("mbpp", "gpt-4-1106-preview", 0.686),
        ("mbpp", "gpt-3.5-turbo-1106", 0.639),
    ],
)
def test_routerbench_means(name, model, quality):
    assert of(load(f"routerbench/{name}"), model)[0] == pytest.approx(quality, abs=6e-4)


@pytest.mark.parametrize(
    ("name", "rows", "quality", "energy"),
    [
        ("arc_challenge", 1172, (0.379, 0.544, 0.608), (79.9, 393.7, 2002.6)),
        ("boolq", 3270, (0.692, 0.842, 0.888), (43.6, 130.7, 1040.8)),
    ],
)
def test_messplus(name, rows, quality, energy):
    table = load(f"messplus/{name}")
    assert (len(table), table.models) == (rows, ("small", "medium", "large"))
    assert table.cost_unit == "J"
    np.testing.assert_allclose(table.mean_quality, quality, atol=6e-4)
    np.testing.assert_allclose(table.mean_cost, energy, atol=0.06)
    assert (np.diff(table.latency.mean(axis=0)) > 0).all()


def test_mixes_and_paretobandit():
    assert len(load("messplus")) == 1172 + 3270 + 1838 + 1000 + 1954
    assert len(set(load("routerbench").task)) == 3
    table = load("paretobandit/val_k4")
    assert (len(table), len(table.models)) == (1766, 4)
    assert table.mean_cost.max() / table.mean_cost.min() > 400


@pytest.mark.parametrize("name", ["paretobandit", "manymodels"])
def test_files_of_different_models_are_not_mixed(name):
    with pytest.raises(InvalidInput, match=f"different models .*; name one of {name}/"):
        load(name)
    assert name not in {entry.name for entry in available()}


def test_available_lists_them_all(caplog):
    found = {entry.name: entry for entry in available()}
    assert found["messplus/sciq"].rows == 1000
    assert found["routerbench/mbpp"].models == 11
    assert not any(entry.problem for entry in found.values())
    assert not caplog.text
