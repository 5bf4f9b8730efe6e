"""Runs the commands of a page of the documentation in one shell, as a reader would."""

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

from tests.support.doc_blocks import ROOT
from tests.support.doc_provider import DocProvider
from tests.support.live_gateway import InThread, http_server

_PORT = "8080"
"""Port of the pages; each session has a free one in its place."""
_CLIENTS = ("top", "explain")
"""Commands that call a running server."""
_ENVIRONMENT = ".venv/bin/"
"""Where `make` puts commands; here those of the tests' own environment take their place."""
_PATIENCE = 300.0
"""Most seconds that a command may take on a machine that does other things too."""
_END = "end of command"
_ENDPOINT = re.compile(r"(endpoint: \"?)https?://[^/\"\s,}]+")
_MODEL = re.compile(r"\b(?:model|name): \"?([^\"\s,}]+)")
_ADDRESS = re.compile(r"answers at (https?://\S+)/v1")


class Session:
    """A shell in a folder of its own.

    Servers run in the background from their command on. One of them runs at a time: the next one
    stops it, as a reader does with Ctrl-C. Commands that need more than this machine has are
    checked in another way:

    - ``pip install``: that pyproject.toml has the extras, because the packages are there already;
    - ``make TARGET``: that make knows the target; ``make serve`` starts the server that it would;
    - ``git clone``: nothing is fetched; the folder has links to what is in this checkout.

    Providers that a file ``floorline.yaml`` names are one scripted provider on this machine, which
    has all its models.

    Parameters
    ----------
    folder
        Where the shell starts.
    """

    def __init__(self, folder):
        self.folder = folder
        self.port = _free_port()
        self.server = None
        self._known = ["small", "large"]
        self._provider = InThread(http_server(DocProvider(self._known).app()))
        # curl is to fail where a server refuses what a page sends.
        (folder / ".curlrc").write_text("fail-with-body\nsilent\n")
        bin_folder = folder / ".bin"
        bin_folder.mkdir()
        for name, words in (("floorline", "-m floorline "), ("python", "")):
            script = bin_folder / name
            script.write_text(f'#!/bin/sh\nexec {sys.executable} {words}"$@"\n')
            script.chmod(0o755)
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("FLOORLINE_", "OPENAI_"))},
            "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "src"),
            "HOME": str(folder),
            "ROOT": str(ROOT),
            "PROVIDER": self._provider.value,
            "COLUMNS": "100",
            "NO_COLOR": "1",
            "OMP_NUM_THREADS": "1",
        }
        environment.pop("FORCE_COLOR", None)
        self.environment = environment
        self.shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            text=True,
            start_new_session=True,
        )

    def run(self, command):
        """Run one command and return its output and its exit status."""
        command = command.replace(_PORT, str(self.port)).replace(_ENVIRONMENT, "")
        words = shlex.split(command, comments=True)
        if words[:2] == ["pip", "install"]:
            return self._install(words[2:])
        if words[:2] == ["git", "clone"]:
            name = words[-1].rpartition("/")[2].removesuffix(".git")
            return self._in_shell(f'mkdir {name} && ln -s "$ROOT"/* {name}')
        if words[:1] == ["make"]:
            if words[1] != "serve":
                return self._in_shell(f'make -n -C "$ROOT" {words[1]} > /dev/null')
            command = self._recipe("serve")
            words = shlex.split(command)
        if words[:2] == ["floorline", "serve"]:
            return self._serve(command)
        if words[:1] == ["floorline"] and words[1] in _CLIENTS and "--url" not in words:
            # Its default is the port of the pages.
            command = f"{_without_comment(command)} --url http://127.0.0.1:{self.port}"
        return self._in_shell(command)

    def script(self, text):
        """Run a Python program and return its output and its exit status."""
        path = self.folder / ".bin" / "program.py"
        path.write_text(text.replace(_PORT, str(self.port)))
        return self._in_shell(f"python {path}")

    def write(self, name, text):
        """Write a file that a page shows."""
        text = text.replace(_PORT, str(self.port))
        if name == "floorline.yaml":
            self._known += _MODEL.findall(text)
            text = _ENDPOINT.sub(rf"\1{self._provider.value}", text)
        (self.folder / name).write_text(text)

    def stop_server(self):
        """Stop the server as its operator would."""
        if self.server is not None:
            server, self.server = self.server, None
            output, status = self._in_shell(f"kill -TERM {server} && wait {server}")
            assert status == 0, f"the server ended with exit status {status} {output}"

    def close(self):
        """End everything, also after a failure."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.shell.pid, signal.SIGKILL)
        self.shell.communicate()
        self._provider.stop()

    def _in_shell(self, command):
        late = threading.Timer(_PATIENCE, os.killpg, (self.shell.pid, signal.SIGKILL))
        late.start()
        # What a command reads must not be the commands after it.
        written = f"{{ {command}\n}} < /dev/null\nprintf '\\n%s %s\\n' '{_END}' $?\n"
        self.shell.stdin.write(written)
        self.shell.stdin.flush()
        output = []
        for line in self.shell.stdout:
            if line.startswith(_END):
                late.cancel()
                return self._shown("".join(output)), int(line.split()[-1])
            output.append(line)
        raise AssertionError(f"{command!r} did not end within {_PATIENCE:.0f} s: {output}")

    def _serve(self, command):
        self.stop_server()
        said = self.folder / ".bin" / "said.txt"
        said.unlink(missing_ok=True)
        command = _without_comment(command)
        if "--port" not in command:
            command += f" --port {self.port}"
        started, _ = self._in_shell(f"{command} > {said} 2>&1 & echo $!")
        self.server = int(started)
        deadline = time.monotonic() + _PATIENCE
        while not (said.exists() and _ADDRESS.search(said.read_text())):
            assert _is_running(self.server), said.read_text()
            assert time.monotonic() < deadline, f"{command!r} did not listen"
            time.sleep(0.02)
        # The last lines of what it prints may come after its address.
        time.sleep(0.2)
        return self._shown(said.read_text()), 0

    def _install(self, words):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        for word in words:
            if word in ("-r", "-q", "-e") or word.startswith("--"):
                continue
            name, _, extras = word.rstrip("]").partition("[")
            if name.startswith("requirements/"):
                assert (ROOT / name).exists(), name
            elif name == "floorline":
                known = project["optional-dependencies"]
                for extra in filter(None, extras.split(",")):
                    assert extra in known, f"floorline has no extra {extra!r}"
            else:
                listed = str(project["optional-dependencies"])
                assert name == "." or name in listed, f"{name} is in no extra of floorline"
        return "", 0

    def _recipe(self, target):
        """Return the command of a target that is not part of its set-up."""
        shown = subprocess.run(
            ["make", "-n", "-C", ROOT, target], capture_output=True, text=True, check=True
        ).stdout
        (command,) = re.findall(rf"^\S*/(floorline {target}\b.*)$", shown, re.MULTILINE)
        return command

    def _shown(self, text):
        return text.replace(str(self.port), _PORT).removesuffix("\n")


def commands(text):
    """Split a console into commands and what the page says that they print.

    A command begins with ``$ ``. The lines after it belong to it while it ends in a backslash, a
    quote is open, or it opens a here document.
    """
    found = []
    lines = iter(text.splitlines())
    for line in lines:
        if not line.startswith("$ "):
            assert found, f"{line!r} is before the first command: begin commands with '$ '"
            found[-1][1].append(line)
            continue
        command = [line[2:]]
        while command[-1].endswith("\\") or _has_open_quote("\n".join(command)):
            command.append(next(lines))
        here = re.search(r"<<\s*'?(\w+)'?", command[-1])
        while here and command[-1] != here[1]:
            command.append(next(lines))
        found.append(("\n".join(command), []))
    return [(command, "\n".join(output)) for command, output in found]


def _has_open_quote(command):
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return True
    return False


def _without_comment(command):
    return re.sub(r"\s+#\s.*$", "", command)


def _is_running(pid):
    """Return whether a process runs; one that has ended stays until its shell waits for it."""
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


def _free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
