import io
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl

import pytest
from rich.console import Console
from tests.gateway.dashboard.conftest import SLAS, Keyed
from tests.support.gateway_fixtures import gateway, provider, start
from tests.support.live_gateway import InThread, http_server, write_settings

from floorline.cli.app import main
from floorline.cli.gateway_http import GatewayClient
from floorline.cli.top_frame import Snapshot, draw
from floorline.errors import FloorlineError

__all__ = ["gateway", "provider", "start"]


def lines_of(snapshot, width=80, **given):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(draw(snapshot, "http://127.0.0.1:8080", "1h", **given))
    return console.file.getvalue().splitlines()


def snapshot(**changed):
    sla = {
        "sla": "gold", "floor": 0.9, "verdict": "unreachable", "satisfaction": 0.8765,
        "lower": 0.8412, "upper": 0.9012, "labels": 12_345, "requests": 1_234_567,
        "spent": 12_345.678, "cost_unit": "USD", "latency_verdict": "broken",
    }  # fmt: skip
    model = {
        "model": "a-model-of-a-usual-long-name", "share": 0.5, "calls": 123_456, "errors": 7,
        "satisfaction": 0.912, "cost_per_call": 0.00123, "latency_p50": 0.34, "latency_p95": 12.3,
    }  # fmt: skip
    made = {
        "at": 1.8e9, "sla": "gold", "model": "sim-titan", "expected_quality": 0.9,
        "expected_cost": 0.00004321, "cost": None, "latency": None, "error": None, "score": None,
        "explored": False, "fallback": False,
    }  # fmt: skip
    given = {
        "at": 1.8e9,
        "totals": {"requests": 12_345, "fallbacks": 3, "declined": 0, "errors": 12, "calls": 1200},
        "slas": [sla],
        "models": [model],
        "latest": [made],
    }
    return Snapshot(**{**given, **changed})


def test_a_frame_fits_into_80_columns():
    lines = lines_of(snapshot())
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for part in ("12,345", "errors 12 (1.0 %)", "84.1–90.1 %", "unreachable late", "1.23 M"):
        assert part in text
    assert "a-model-of-a-usual" in text
    assert "$1.23" in text  # per 1,000 calls
    assert "340 ms" in text
    assert "$0.0000432" in text


def test_costs_have_the_unit_of_the_zoo():
    made = snapshot()
    joules = lines_of(snapshot(totals={**made.totals, "cost_unit": "J"}, slas=[]))
    text = "\n".join(joules)
    assert "$" not in text
    assert "1.23 J" in text


def test_trouble_takes_one_line_and_says_how_old_the_frame_is():
    lines = lines_of(snapshot(), trouble="no gateway answers at http://127.0.0.1:8080" * 3)
    (line,) = (line for line in lines if "s old: no gateway answers" in line)
    assert len(line) <= 80


def test_the_frame_fits_the_height_and_keeps_some_decisions():
    many = snapshot()
    full = snapshot(
        slas=list(many.slas) * 50, models=list(many.models) * 50, latest=list(many.latest) * 50
    )
    assert len(lines_of(full, height=40)) <= 40
    assert len(lines_of(full)) > 150
    assert sum("sim-titan" in line for line in lines_of(full, height=10)) == 3


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"error": "the provider answered 503"}, "the provider answered 503"),
        ({"score": 1.0}, "satisfied"),
        ({"score": 0.0}, "not satisfied"),
        ({"latency": 1.25}, "answered in 1.2 s"),
        ({"explored": True, "fallback": True}, "explored fallback open"),
        ({"model": "", "expected_quality": None}, "(declined)"),
        ({"sla": ""}, "(direct)"),
    ],
)
def test_a_decision_says_what_came_of_it(row, told):
    made = {**snapshot().latest[0], **row}
    assert told in lines_of(snapshot(latest=[made]))[-1]


def test_texts_of_the_gateway_cannot_control_the_terminal():
    made = {**snapshot().latest[0], "error": "\x1b[2J\x07[red]x[/red]"}
    (line,) = (line for line in lines_of(snapshot(latest=[made])) if "[red]x" in line)
    assert "\x1b" not in line
    assert "\x07" not in line


def test_empty_tables_say_so():
    text = "\n".join(lines_of(snapshot(totals={}, slas=[], models=[], latest=[])))
    for part in ("no SLA", "no call in this time", "no decision in this time"):
        assert part in text


def test_tables_of_another_form_are_refused():
    with pytest.raises(FloorlineError, match="another form"):
        Snapshot.of({"totals": {"columns": ["a"], "rows": [[1, 2]]}}, at=0.0)


@pytest.fixture
def busy(gateway):
    """A gateway that has answered and got feedback."""
    for number in range(6):
        answer = gateway.chat(f"Why is {number} a number?")
        decision = answer.headers["x-floorline-decision"]
        gateway.http.post("/v1/feedback", json={"decision": decision, "satisfied": number > 0})
    return gateway


def wait_for_history(live):
    deadline = time.monotonic() + 180
    while live.http.get("/dashboard/data/totals.json").json()["rows"][0][0] < 6:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_one_frame_agrees_with_the_api(busy, capfd):
    wait_for_history(busy)
    assert main(["top", "--url", busy.url, "--once"]) == 0
    out = capfd.readouterr().out
    status = busy.http.get("/v1/slas").json()["data"][0]
    row = next(line for line in out.splitlines() if line.startswith(status["name"]))
    assert f"{100 * status['satisfaction']:.1f} %" in row
    assert f"{100 * status['lower']:.1f}–{100 * status['upper']:.1f} %" in row
    assert status["verdict"] in row
    assert row.split()[-3:-1] == ["6", "6"]
    assert "requests 6" in out
    assert out.count("satisfied") >= 6


def test_filters_are_those_of_the_dashboard(busy, capfd):
    assert main(["top", "--url", busy.url, "--once", "--sla", "nothing"]) == 2
    assert "sla is 'nothing': choose one of" in capfd.readouterr().err
    assert main(["top", "--url", busy.url, "--once", "--since", "2h"]) == 2
    assert "--since is '2h'" in capfd.readouterr().err


@pytest.fixture
def keyed(start, provider):
    found = Keyed(start(write_settings(provider, auth="keys", slas=SLAS)))
    yield found
    found.stop()


def test_a_key_is_needed_and_told(keyed, capfd, monkeypatch):
    monkeypatch.delenv("FLOORLINE_API_KEY", raising=False)
    assert main(["top", "--url", keyed.url, "--once"]) == 2
    assert "--key or in FLOORLINE_API_KEY" in capfd.readouterr().err
    assert main(["top", "--url", keyed.url, "--once", "--key", "fl-revoked"]) == 2
    assert "does not know this key" in capfd.readouterr().err
    _, secret = keyed.key("app", ["chat"])
    assert main(["top", "--url", keyed.url, "--once", "--key", secret]) == 2
    error = capfd.readouterr().err
    assert "lacks the scope 'view'" in error
    assert secret not in error
    _, secret = keyed.key("eyes", ["view"])
    monkeypatch.setenv("FLOORLINE_API_KEY", secret)
    assert main(["top", "--url", keyed.url, "--once"]) == 0


def test_a_tenants_key_shows_its_own_only(keyed, capfd):
    _, ours = keyed.key("ours", ["chat"], tenant="acme")
    _, theirs = keyed.key("theirs", ["chat"], tenant="globex")
    keyed.chat(theirs, model="floorline/own")
    keyed.chat(theirs, model="floorline/own")
    keyed.chat(ours, model="floorline/own")
    _, eyes = keyed.key("eyes", ["view"], tenant="acme")
    deadline = time.monotonic() + 180
    out = ""
    while "requests 1 " not in out:
        assert time.monotonic() < deadline
        assert main(["top", "--url", keyed.url, "--once", "--key", eyes]) == 0
        out = capfd.readouterr().out
        assert "globex" not in out
        assert "requests 2" not in out
    assert "own@acme" in out
    assert sum("answered in" in line for line in out.splitlines()) == 1


def test_no_gateway_is_an_error_that_says_what_to_do(capfd):
    assert main(["top", "--url", "http://127.0.0.1:9", "--once"]) == 2
    error = capfd.readouterr().err
    assert "no gateway answers at http://127.0.0.1:9 (Connection refused)" in error
    assert "--url" in error


def test_another_server_is_no_gateway(capfd):
    async def page(scope, receive, send):
        head = {"type": "http.response.start", "status": 200, "headers": []}
        await send(head)
        await send({"type": "http.response.body", "body": b"<html>"})

    served = InThread(http_server(page))
    try:
        assert main(["top", "--url", served.value, "--once"]) == 2
        assert "is no gateway of Floorline: check --url" in capfd.readouterr().err
    finally:
        served.stop()


def test_no_redirect_takes_the_key_along(capfd):
    async def lead_away(scope, receive, send):
        headers = [(b"location", b"http://127.0.0.1:9/")]
        await send({"type": "http.response.start", "status": 307, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    served = InThread(http_server(lead_away))
    try:
        with pytest.raises(FloorlineError, match="a redirect"):
            GatewayClient(served.value, "fl-secret").get("/dashboard/data/slas.json")
    finally:
        served.stop()


class Terminal:
    """A command that runs in a terminal of its own."""

    def __init__(self, *arguments, lines=40, columns=80):
        ours, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "floorline", *arguments],
            stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True,
            env={**os.environ, "TERM": "xterm", "COLUMNS": str(columns), "LINES": str(lines)},
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self._ours = ours
        self.text = ""

    def wait_for(self, pattern, seconds=60.0):
        """Read until a pattern comes; what came before is dropped."""
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.text):
            assert time.monotonic() < deadline, self.text[-2000:]
            if select.select([self._ours], [], [], 0.2)[0]:
                self.text += os.read(self._ours, 65536).decode("utf-8", "replace")
        self.text = ""

    def end(self):
        """Press Ctrl+C; return the exit status."""
        self.process.send_signal(2)
        try:
            return self.process.wait(60)
        finally:
            os.close(self._ours)


@pytest.mark.slow
def test_it_goes_on_through_a_restart_of_the_gateway(start, provider, tmp_path):
    port = _free_port()
    path = tmp_path / "floorline.yaml"
    path.write_text(write_settings(provider, server={"port": port}))

    def serve():
        command = [sys.executable, "-m", "floorline", "serve", "--config", str(path)]
        server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 180
        while True:
            try:
                GatewayClient(f"http://127.0.0.1:{port}").get("/readyz")
                return server
            except FloorlineError:
                assert time.monotonic() < deadline
                time.sleep(0.1)

    server = serve()
    terminal = Terminal("top", "--url", f"http://127.0.0.1:{port}", "--interval", "0.5")
    try:
        terminal.wait_for("no decision in this time")
        server.terminate()
        server.wait(60)
        terminal.wait_for(r"no gateway answers at .* \(Connection refused\)")
        server = serve()
        terminal.wait_for(r"UTC(?:(?!no gateway|UTC)[\s\S])*no decision in this time")
        assert terminal.end() == 0
    finally:
        terminal.process.kill()
        server.kill()
        server.wait(60)


def _free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
