"""Suites on real clusters of Dask and Ray: the bytes of the local pool, kills and refusals."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from floorline.cli.app import main

pytestmark = pytest.mark.engines

SUITE = """
title: A tiny suite
parts:
  - kind: floors
    name: tiny
    data: {simulated: [0.7, 0.8]}
    rows: 60
    policies: [{policy: mess_plus}, {policy: random}]
    seeds: 2
    references: false
"""
DYING = """
title: A suite with a policy that ends its process
parts:
  - kind: floors
    name: dying
    data: {simulated: [0.8]}
    rows: 60
    policies: [{policy: "cluster_test_policies:Dies"}, {policy: random}, {policy: cheapest}]
    seeds: 1
    references: false
"""
OWN = """
import os

from floorline.policies.reference.promptless import Random


class Dies(Random):
    def decide(self, request, rng):
        os._exit(1)
"""
DETERMINISTIC = "results.json", "results.parquet", "suite.json"
PATIENCE = 540.0
_NOT_STARTED = "Ray does not start on this machine"
"""Ray gives its own processes 30 s to start, which no setting changes."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("clusters")
    (made / "tiny.yaml").write_text(SUITE)
    (made / "dying.yaml").write_text(DYING)
    (made / "own").mkdir()
    (made / "own" / "cluster_test_policies.py").write_text(OWN)
    return made


@pytest.fixture(scope="module")
def expected(folder):
    """The bytes of the local pool."""
    out = folder / "local"
    assert (
        main(["bench", "--suite", str(folder / "tiny.yaml"), "--out", str(out), "--no-show"]) == 0
    )
    return {name: (out / name).read_bytes() for name in DETERMINISTIC}


@pytest.fixture(scope="module")
def environment(folder):
    """Environment of workers: they find this Floorline, the policies, and a home of their own."""
    source = Path(__file__).parents[2] / "src"
    paths = [str(folder / "own"), str(source), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "HOME": str(folder),
        "RAY_AUTH_MODE": "disabled",
    }


@pytest.fixture(scope="module")
def scheduler(folder, environment):
    """Address of a scheduler of Dask with two workers, each a process."""
    file = folder / "scheduler.json"
    commands = [
        ["scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)],
        *[worker_command(file)] * 2,
    ]
    processes = [start_dask(command, environment) for command in commands]
    try:
        wait_for(lambda: file.exists() and file.stat().st_size > 0)
        yield json.loads(file.read_text())["address"]
    finally:
        stop(processes)


def worker_command(file):
    nanny = "--no-nanny", "--no-dashboard", "--nthreads", "1", "--death-timeout", str(PATIENCE)
    return ["worker", "--scheduler-file", str(file), *nanny]


def start_dask(arguments, environment):
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [sys.executable, "-m", "dask", *arguments]
    return subprocess.Popen(command, env=environment, cwd=environment["HOME"], **quiet)


def stop(processes):
    for process in processes:
        process.kill()
    for process in processes:
        process.wait()


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def bench(suite, out, environment, *options, **more):
    command = [sys.executable, "-m", "floorline", "bench", "--suite", str(suite), "--out", str(out)]
    done = subprocess.run(
        [*command, "--no-show", *options],
        env={**environment, **more},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    if _NOT_STARTED in done.stderr:
        pytest.skip("Ray's own processes do not start within its 30 s on this machine")
    return done


def runs(out):
    return {path.name: path.stat().st_mtime_ns for path in (out / "runs").glob("*.json")}


def test_dask_gives_the_bytes_of_the_local_pool(folder, expected, environment, scheduler):
    out = folder / "dask"
    # The address as Dask itself takes it.
    done = bench(
        folder / "tiny.yaml", out, environment, "--engine", "dask", DASK_SCHEDULER_ADDRESS=scheduler
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert {name: (out / name).read_bytes() for name in DETERMINISTIC} == expected


def test_ray_gives_the_bytes_of_the_local_pool(folder, expected, environment):
    out = folder / "ray"
    options = "--engine", "ray", "--jobs", "2"
    done = bench(folder / "tiny.yaml", out, environment, *options)
    assert done.returncode == 0, done.stderr
    assert {name: (out / name).read_bytes() for name in DETERMINISTIC} == expected


def test_a_killed_run_goes_on_where_it_was_on_any_engine(folder, expected, environment, scheduler):
    out = folder / "killed"
    command = [sys.executable, "-m", "floorline", "bench", "--suite", str(folder / "tiny.yaml")]
    command += ["--out", str(out), "--engine", "dask", "--address", scheduler, "--no-show"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    wait_for(lambda: len(runs(out)) >= 2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = runs(out)
    done = bench(folder / "tiny.yaml", out, environment)
    assert (done.returncode, done.stderr) == (0, "")
    after = runs(out)
    assert len(after) == 8
    assert all(after[name] == at for name, at in before.items())
    assert {name: (out / name).read_bytes() for name in DETERMINISTIC} == expected


@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_a_replay_that_kills_its_worker_is_named_and_all_others_are_kept(
    folder, environment, engine
):
    out = folder / f"dying-{engine}"
    done = bench(folder / "dying.yaml", out, environment, "--engine", engine, "--jobs", "2")
    assert done.returncode == 2
    assert "1 replay failed, and all others finished" in done.stderr, done.stderr
    assert "cluster_test_policies:Dies at floor 0.8, feedback full, seed 0" in done.stderr
    assert len(runs(out)) == 2


def test_another_floorline_on_a_worker_is_refused(folder, environment):
    old = folder / "old" / "floorline"
    old.mkdir(parents=True)
    (old / "__init__.py").write_text("")
    (old / "_version.py").write_text('__version__ = "0.0.1"\n')
    file = folder / "old.json"
    command = ["scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
    processes = [start_dask(command, environment)]
    processes.append(
        start_dask(worker_command(file), {**environment, "PYTHONPATH": str(old.parent)})
    )
    try:
        wait_for(lambda: file.exists() and file.stat().st_size > 0)
        address = json.loads(file.read_text())["address"]
        options = "--engine", "dask", "--address", address
        done = bench(folder / "tiny.yaml", folder / "refused", environment, *options)
    finally:
        stop(processes)
    assert done.returncode == 2
    assert "has Floorline 0.0.1, and this process" in done.stderr


@pytest.mark.parametrize(
    ("engine", "address", "text"),
    [
        ("dask", "tcp://127.0.0.1:1", "no scheduler of Dask answers at tcp://127.0.0.1:1"),
        ("dask", "no address", "no scheduler of Dask answers at no address"),
        ("ray", "127.0.0.1:1", "no cluster of Ray answers at 127.0.0.1:1"),
        ("ray", "ray://127.0.0.1:1", "no cluster of Ray answers at ray://127.0.0.1:1"),
    ],
)
def test_an_unreachable_cluster_is_one_line(engine, address, text, folder, monkeypatch, capsys):
    monkeypatch.setattr(f"floorline.replay.{engine}_engine._PATIENCE_SECONDS", 1)
    options = ["--engine", engine, "--address", address, "--out", str(folder / "never")]
    assert main(["bench", "--suite", str(folder / "tiny.yaml"), *options]) == 2
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1


def test_the_number_of_processes_of_a_running_cluster_is_its_own(folder, capsys):
    options = ["--engine", "dask", "--address", "tcp://127.0.0.1:1", "--jobs", "4"]
    assert main(["bench", "--suite", str(folder / "tiny.yaml"), *options]) == 2
    assert "--jobs is 4: leave it out" in capsys.readouterr().err
