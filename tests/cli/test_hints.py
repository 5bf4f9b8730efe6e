"""``floorline hints``: hints from an evaluation."""

import json

import pytest

from floorline.cli.app import main
from floorline.config import load_text

EVALUATION = """prompt,small,small|total_cost,1.5,1.5|total_cost,no,no|total_cost,new,new|total_cost
a,1,0.1,1,2,0.5,3,,
b,0,0.1,1,2,0.75,3,,
c,,,1,2,1,3,,
"""
MODELS = """
models:
  - {name: small, endpoint: "http://127.0.0.1:1/v1"}
  - {name: "1.5", endpoint: "http://127.0.0.1:1/v1"}
  - {name: "no", endpoint: "http://127.0.0.1:1/v1"}
slas: [{name: gold, floor: 0.9}]
"""


@pytest.fixture
def evaluation(tmp_path):
    path = tmp_path / "evaluation.csv"
    path.write_text(EVALUATION)
    return path


def test_the_printed_section_is_read_by_the_configuration(evaluation, capfd):
    assert main(["hints", str(evaluation), "--max-weight", "2"]) == 0
    out, err = capfd.readouterr()
    models = load_text(MODELS + out).as_zoo().models
    found = [(model.quality_hint, model.hint_weight) for model in models]
    assert found == [(0.5, 2.0), (1.0, 2.0), (0.75, 2.0)]
    assert "models without a score have no hint: new" in " ".join(err.split())


def test_weights_are_numbers_of_scores(evaluation, capfd):
    assert main(["hints", str(evaluation), "--json"]) == 0
    found = json.loads(capfd.readouterr().out)["hints"]
    assert found["small"] == {"quality": 0.5, "weight": 2.0}
    assert found["1.5"] == {"quality": 1.0, "weight": 3.0}
    assert "new" not in found


def test_many_scores_are_worth_no_more_than_the_cap(tmp_path, capfd):
    path = tmp_path / "large.csv"
    rows = "".join(f"p{n},1,0.1\n" for n in range(300))
    path.write_text("prompt,a,a|total_cost\n" + rows)
    assert main(["hints", str(path)]) == 0
    assert capfd.readouterr().out == "hints:\n  a: {quality: 1, weight: 100}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-weight", "0"], "--max-weight is 0"),
        (["--format", "none"], "format is 'none'"),
    ],
)
def test_a_wrong_option_is_one_line_with_a_fix(evaluation, arguments, message, capfd):
    assert main(["hints", str(evaluation), *arguments]) == 2
    err = " ".join(capfd.readouterr().err.split())
    assert message in err
    assert "Traceback" not in err


def test_a_table_without_scores_is_refused(tmp_path, capfd):
    path = tmp_path / "empty.csv"
    path.write_text("prompt,a,a|total_cost\np,,\n")
    assert main(["hints", str(path)]) == 2
    assert "fill in scores from 0 to 1 first" in " ".join(capfd.readouterr().err.split())
