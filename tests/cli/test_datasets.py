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


def test_prices_of_a_text_and_of_a_file(run, tmp_path):
    source, prices = tmp_path / "own.jsonl", tmp_path / "prices.json"
    row = {"task_name": "t", "query": "q", "model_name": "a", "performance": 1}
    source.write_text(json.dumps(row | {"input_tokens": 1000, "output_tokens": 500}))
    prices.write_text('{"a": {"input_price": 1, "output_price": 2}}')
    for given in (prices, '{"a": [1, 2]}'):
        told = json.loads(run("describe", source, "--prices", given, "--json"))
        assert told["models"][0]["mean_cost"] == pytest.approx(2e-3)
    run("convert", source, tmp_path / "out.parquet", "--prices", '{"a": 1}')
    assert load(tmp_path / "out.parquet").cost.tolist() == [[pytest.approx(1.5e-3)]]


@pytest.mark.parametrize(
    "text", ["{", "no-such-file.json", "", ".", "[1]", '{"b": 1}', '{"a": "x"}']
)
def test_prices_that_are_none_are_one_line(run, tmp_path, text):
    source = tmp_path / "own.jsonl"
    source.write_text(
        '{"task_name": "t", "query": "q", "model_name": "a", "performance": 1, "input_tokens": 1, '
        '"output_tokens": 1}'
    )
    with pytest.raises(FloorlineError) as caught:
        run("describe", source, "--prices", text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("body", [b"[1]", b"\xff\xfe\x00", b"{", b""])
def test_a_file_of_prices_that_is_none_is_one_line(run, tmp_path, body):
    prices = tmp_path / "prices.json"
    prices.write_bytes(body)
    with pytest.raises(FloorlineError) as caught:
        run("describe", "simulated", "--prices", prices)
    assert "\n" not in str(caught.value)
