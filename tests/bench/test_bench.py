"""Tests of suites: loading, interrupted runs, and reports with their configuration."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest

from floorline.bench.cache import RunCache
from floorline.bench.run import run_suite
from floorline.bench.suite import load_suite
from floorline.bench.write_up import write_up
from floorline.cli.app import main
from floorline.datasets import simulate
from floorline.encoders import HashedNgrams
from floorline.errors import DataError, InvalidInput
from floorline.replay import Result, compare, prepare
from floorline.replay.engines import LocalEngine
from floorline.replay.progress import ReplayProgress
from floorline.replay.spec import Spec

pytestmark = pytest.mark.slow

SUITE = """
title: A tiny suite
parts:
  - kind: floors
    name: tiny
    data: {simulated: [0.7, 0.8]}
    rows: 150
    policies:
      - policy: mess_plus
      - policy: mess_plus
        label: mess_plus, V = 0.01
        parameters: {V: 0.01}
    feedback: [full, "served+sparse:0.5"]
    seeds: 2
"""


class Finished(NamedTuple):
    """A suite that was killed and started again: its files, and when each run was written."""

    suite: Path
    out: Path
    before: dict[str, int]
    after: dict[str, int]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Kill a suite after some of its runs, and run it again; all tests look at its results."""
    folder = tmp_path_factory.mktemp("suite")
    suite, out = folder / "tiny.yaml", folder / "out"
    suite.write_text(SUITE)
    command = [sys.executable, "-m", "floorline", "bench", "--suite", str(suite)]
    command += ["--out", str(out), "--jobs", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list((out / "runs").glob("*.json"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = written(out)
    assert main(command[3:]) == 0
    return Finished(suite, out, before, written(out))


def written(out):
    """Times at which the results of runs were written, by file."""
    return {path.name: path.stat().st_mtime_ns for path in (out / "runs").glob("*.json")}


def test_suites_of_floorline_load_and_all_is_every_suite_except_smoke():
    smoke, everything = load_suite("smoke"), load_suite("all")
    names = [part.name for part in everything.parts]
    assert "mess_plus" in names
    assert not {part.name for part in smoke.parts} & set(names)


def test_a_report_folder_contains_tables_plots_and_configuration(finished):
    out = finished.out
    report = (out / "report.md").read_text()
    for name in ("mess_plus, V = 0.01", "static_mix *", "oracle **", "random", "routellm"):
        assert f"| {name} |" in report
    linked = [line.split("(")[1].rstrip(")") for line in report.splitlines() if line[:2] == "!["]
    assert len(linked) == 6
    assert all((out / plot).stat().st_size > 10_000 for plot in linked)
    configuration = json.loads((out / "suite.json").read_text())
    assert configuration["data"]["simulated"]
    assert configuration["suite"]["parts"][0]["seeds"] == 2
    assert {"numpy", "scipy"} <= set(configuration["packages"])
    runs = pl.read_parquet(out / "results.parquet")
    assert set(runs["label"]) >= {"mess_plus", "mess_plus, V = 0.01"}
    assert len(runs) == 2 * 2 * (2 + 7) * 2


def test_a_second_run_replays_nothing_and_writes_an_equal_report(finished, monkeypatch):
    suite, out = load_suite(str(finished.suite)), finished.out
    report, results = (out / "report.md").read_text(), (out / "results.json").read_bytes()
    monkeypatch.setattr(sys.modules["floorline.replay.compare"], "replay", None)
    second = run_suite(suite, out, engine=LocalEngine(1), progress=ReplayProgress())
    write_up(suite, second, out)
    assert (out / "report.md").read_text() == report
    assert (out / "results.json").read_bytes() == results


def test_a_killed_suite_continues_where_it_stopped(finished):
    assert 5 <= len(finished.before) < 72
    assert len(finished.after) == 72
    assert all(finished.after[name] == at for name, at in finished.before.items())


def test_a_damaged_result_is_not_used(tmp_path):
    data = prepare(simulate(60, seed=0), HashedNgrams())
    spec = Spec("cheapest", 0.8, horizon=50)
    (result,) = compare(data, [spec], jobs=1)
    cache = RunCache(tmp_path, {"data": "x"})
    cache.keep(spec, result)
    assert cache.find(spec, Result).scores == result.scores
    assert RunCache(tmp_path, {"data": "other"}).find(spec, Result) is None
    (path,) = tmp_path.glob("*.json")
    path.write_bytes(path.read_bytes()[:-20])
    assert cache.find(spec, Result) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title: x\nparts: 3", "parts"),
        ("title: [", "not a suite"),
        (SUITE.replace("seeds: 2", "sedes: 2"), "sedes"),
        (SUITE.replace("kind: floors", "kind: walls"), "walls"),
    ],
)
def test_the_error_of_a_broken_suite_file_is_one_line(tmp_path, text, message):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        load_suite(str(path))
    assert "\n" not in str(caught.value)


def test_the_error_of_an_unknown_suite_names_the_known_ones():
    with pytest.raises(InvalidInput, match="smoke"):
        load_suite("nothing")
