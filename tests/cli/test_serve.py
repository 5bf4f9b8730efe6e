import re
import signal
import subprocess
import sys
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
            with urllib.request.urlopen(f"{url}/healthz", timeout=10) as answer:
                assert answer.status == 200
            server.send_signal(signal.SIGTERM)
            assert server.wait(timeout=30) == 0
        finally:
            server.kill()
