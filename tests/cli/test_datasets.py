import json

import pytest
from typer.testing import CliRunner

from floorline.cli.datasets import app
from floorline.datasets import load
from floorline.errors import FloorlineError, InvalidInput


@pytest.fixture
def run(monkeypatch):
    monkeypatch.delenv("FLOORLINE_DATA", raising=False)

    def call(*arguments):
        result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return call


def test_list(run):
    assert "simulated" in run("list")
    assert json.loads(run("list", "--json"))[0]["rows"] == 10_000


def test_describe(run):
    assert "sim-titan" in run("describe", "simulated")
    summary = json.loads(run("describe", "simulated", "--json"))
    assert summary["simulated"] is True
    assert len(summary["models"]) == 8


def test_convert(run, tmp_path):
    source, target = tmp_path / "own.csv", tmp_path / "out.parquet"
    source.write_text("prompt,ok,usd\nhello,1,0.1\nbye,,0.2\n")
    run("convert", source, target, "--columns", "m:ok:usd", "--gaps", "drop")
    assert load(target).prompts == ["hello"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["describe", "nothing"],
        ["describe", "simulated", "--gaps", "x"],
        ["convert", "simulated", "out.csv"],
        ["fetch", "imagenet", "."],
    ],
)
def test_errors_reach_the_caller(run, arguments):
    with pytest.raises(FloorlineError) as caught:
        run(*arguments)
    assert isinstance(caught.value, InvalidInput)


def test_help_reads_like_sentences(run):
    for command in ("list", "describe", "convert", "fetch"):
        assert "." in run(command, "--help")
