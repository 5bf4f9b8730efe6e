import pytest

from floorline.cli.app import main

SUITE = """
title: Two policies
parts:
  - kind: floors
    name: small
    data: {simulated: [0.7]}
    rows: 120
    policies: [{policy: mess_plus}]
    seeds: 1
    references: false
"""


@pytest.mark.slow
def test_a_suite_of_ones_own_is_run_and_shown(tmp_path, capfd):
    suite = tmp_path / "own.yaml"
    suite.write_text(SUITE)
    out = tmp_path / "out"
    assert main(["bench", "--suite", str(suite), "--out", str(out), "--jobs", "1"]) == 0
    told = capfd.readouterr().out
    assert "Two policies" in told
    # What rich prints in the place of a picture.
    assert "\N{CITYSCAPE AT DUSK}" not in told
    assert "over-time" not in told
    assert "| mess_plus |" in (out / "report.md").read_text()
    assert main(["bench", "--suite", str(suite), "--out", str(out), "--no-show"]) == 0
    told = capfd.readouterr().out
    assert "Two policies" not in told
    assert "wrote" in told


@pytest.mark.parametrize("text", ["nothing", "kind: [", None])
def test_suites_that_are_not_there_or_damaged_are_named(text, tmp_path, capfd):
    suite = tmp_path / "own.yaml"
    if text is not None:
        suite.write_text(text)
    assert main(["bench", "--suite", str(suite), "--out", str(tmp_path / "out")]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert str(tmp_path) in line
