import pytest

from floorline.cli import demo as command
from floorline.cli.app import main


@pytest.mark.slow
def test_the_demo_compares_at_three_floors_and_writes_a_plot(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(command, "DEMO_REQUESTS", 300)
    out = tmp_path / "out"
    assert main(["demo", "--seeds", "1", "--jobs", "1", "--out", str(out)]) == 0
    told = capfd.readouterr().out
    for word in ("floor 0.7", "floor 0.8", "floor 0.88", "primal_dual", "mess_plus", "oracle"):
        assert word in told
    assert "prices are simulated" in " ".join(told.split())
    assert (out / "over_time.png").stat().st_size > 0


@pytest.mark.parametrize("arguments", [["--seeds", "0"], ["--gateway", "--users", "0"]])
def test_numbers_out_of_range_are_refused_in_one_line(arguments, capfd):
    assert main(["demo", *arguments]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("error: ")
