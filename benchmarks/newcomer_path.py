"""The newcomer's path: seconds from nothing to a certificate that can be seen.

Run ``python benchmarks/newcomer_path.py [REPOSITORY]``; it takes a minute or two, needs a registry
of packages, and listens on port 8080 as the tutorial does. REPOSITORY is what is cloned in place of
the address in the tutorial, such as the path of a checkout.

It runs the commands of ``docs/tutorial.md`` as they stand there, in an empty folder and with a
``HOME`` of its own, so that no earlier download counts. The path ends when the tutorial's answer
says "kept" and the dashboard shows that verdict. A reader needs time to read besides.
"""

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.doc_blocks import ROOT, blocks
from tests.support.doc_session import commands

DASHBOARD = "http://127.0.0.1:8080/dashboard"
PATIENCE = 600.0
"""Most seconds for a step: the first start installs some 60 packages."""


class Newcomer:
    """A shell of a newcomer, without what this machine has downloaded before."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "PIP_NO_CACHE_DIR": "1",
            **{k: v for k, v in os.environ.items() if k.startswith(("PIP_", "UV_", "SSL_"))},
        }
        self.server = None

    def run(self, command):
        """Run a command, and return what it prints."""
        if command.startswith("cd "):
            self.folder /= command.split()[1]
            return ""
        if command.startswith("make serve"):
            return self._serve(command)
        # A variable that later commands use.
        name = command.partition("=$(")[0] if "=$(" in command.partition(" ")[0] else ""
        script = f'{command}\nprintf %s "${name}"' if name else command
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        if name:
            self.environment[name] = done.stdout
        return done.stdout

    def _serve(self, command):
        self.server = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        for line in self.server.stderr:
            if "answers at" in line:
                return line
        raise AssertionError("make serve ended before it listened")


def main():
    repository = sys.argv[1] if len(sys.argv) > 1 else None
    steps = [
        command
        for block in blocks(ROOT / "docs" / "tutorial.md")
        if block.language == "console" and not block.reason
        for command, _ in commands(block.text)
    ]
    printed = []
    table = Table("step", "seconds", box=SIMPLE)
    with tempfile.TemporaryDirectory(prefix="newcomer-") as folder:
        newcomer = Newcomer(folder)
        began = time.monotonic()
        try:
            for command in steps:
                written = command
                if repository and command.startswith("git clone"):
                    command = f"git clone -q {Path(repository).resolve()} floorline"
                start = time.monotonic()
                printed.append(newcomer.run(command))
                line = " ".join(written.split())
                table.add_row(line[:76], f"{time.monotonic() - start:.1f}")
            assert any('"verdict":"kept"' in one for one in printed), printed
            start = time.monotonic()
            with urllib.request.urlopen(DASHBOARD, timeout=30) as page:
                assert "kept" in page.read().decode()
            table.add_row(f"open {DASHBOARD}", f"{time.monotonic() - start:.1f}")
            table.add_row("from nothing to a kept promise", f"{time.monotonic() - began:.0f}")
        finally:
            if newcomer.server is not None:
                os.killpg(newcomer.server.pid, 15)
                newcomer.server.wait(timeout=60)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
