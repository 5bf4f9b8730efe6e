import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from floorline.cli.app import main


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "serve is 'neither': give --config FILE or --demo"),
        (["--demo", "--config", "x.yaml"], "serve is '--config and --demo'"),
        (["--config", "absent.yaml"], "absent.yaml"),
        (["--config", "x.yaml", "--unix-socket", "a", "--port", "1"], "'--unix-socket and --port'"),
        (["--demo", "--unix-socket", "a"], "'--unix-socket and --demo': give one of the two"),
        (["--demo", "--users", "1001"], "--users is 1001: give a number of users from 0 to 1000"),
        (["--config", "x.yaml", "--users", "2"], "serve is '--users': give --demo with it"),
        (["--config", "x.yaml", "--keys"], "serve is '--keys': give --demo with it"),
        (["--demo", "--port", "70000"], "see 'floorline --help'"),
    ],
)
def test_errors_are_one_line(arguments, told, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["serve", *arguments]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert told in line


@pytest.mark.slow
def test_the_demo_says_how_to_call_it_and_stops_on_a_signal():
    command = [sys.executable, "-m", "floorline", "serve", "--demo", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            lines = iter(server.stderr.readline, "")
            url = re.search(r"http://[\d.]+:\d+", next(lines))[0]
            assert any(f"curl {url}/v1/slas/gold" in line for line in lines)
            with urllib.request.urlopen(f"{url}/healthz", timeout=60) as answer:
                assert answer.status == 200
            server.send_signal(signal.SIGTERM)
            assert server.wait(timeout=60) == 0
        finally:
            server.kill()


@pytest.mark.slow
def test_the_demo_with_users_has_traffic_within_seconds():
    command = [sys.executable, "-m", "floorline", "serve", "--demo", "--port", "0", "--users", "30"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            lines = iter(server.stderr.readline, "")
            assert "30 simulated users" in next(lines)
            url = re.search(r"http://[\d.]+:\d+", next(lines))[0]
            assert f"Dashboard: {url}/dashboard" in next(lines)
            deadline = time.monotonic() + 180
            while not _has_traffic(url):
                assert time.monotonic() < deadline
                time.sleep(0.2)
            server.send_signal(signal.SIGTERM)
            assert server.wait(timeout=60) == 0
            assert "Traceback" not in server.stderr.read()
        finally:
            server.kill()


def _has_traffic(url):
    with urllib.request.urlopen(f"{url}/v1/slas", timeout=60) as answer:
        slas = json.load(answer)["data"]
    past = all(sla["requests"] >= 100 and sla["labels"] for sla in slas)
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as answer:
        return past and b"floorline_requests_total{" in answer.read()


@pytest.mark.slow
def test_the_demo_with_keys_prints_them_and_its_users_have_tenants():
    command = [
        *(sys.executable, "-m", "floorline", "serve", "--demo", "--port", "0"),
        *("--users", "12", "--keys"),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            lines = iter(server.stderr.readline, "")
            text = "".join(next(lines) for _ in range(5))
            url = re.search(r"http://[\d.]+:\d+", text)[0]
            administrator, viewer = re.findall(r"fl-[\w-]+", text)
            assert f"export FLOORLINE_API_KEY={administrator}" in next(lines) + next(lines)
            with pytest.raises(urllib.error.HTTPError, match="401"):
                _get(f"{url}/v1/slas", "fl-none")
            names = {sla["name"] for sla in _get(f"{url}/v1/slas", administrator)["data"]}
            assert {"gold@acme", "gold@globex", "silver"} <= names
            table = _get(f"{url}/dashboard/data/slas.json", viewer)
            assert {"gold", "gold@acme", "silver", "bronze"} == {row[0] for row in table["rows"]}
            deadline = time.monotonic() + 180
            while 'outcome="ok"' not in _get(f"{url}/metrics", administrator, str):
                assert time.monotonic() < deadline
                time.sleep(0.2)
            server.send_signal(signal.SIGTERM)
            assert server.wait(timeout=60) == 0
        finally:
            server.kill()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_demo_that_is_stopped_at_its_start_leaves_no_files(number, tmp_path):
    command = [sys.executable, "-m", "floorline", "serve", "--demo", "--port", "0", "--users", "9"]
    own = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=own) as server:
        try:
            assert "9 simulated users" in server.stderr.readline()
            deadline = time.monotonic() + 180
            while not list(tmp_path.glob("floorline-demo-*/demo.db")):
                assert time.monotonic() < deadline
                time.sleep(0.02)
            server.send_signal(number)
            assert server.wait(timeout=60) == 130
            assert "Traceback" not in server.stderr.read()
            assert not list(tmp_path.iterdir())
        finally:
            server.kill()


def _get(url, key, kind=json.loads):
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return kind(answer.read().decode())
