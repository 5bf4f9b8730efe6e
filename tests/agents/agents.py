"""The agents, how they are run without a terminal, and how they are kept from the internet."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

PROGRAMS = Path(__file__).parent / "node_modules/.bin"
TASK = "Write the file out.txt, read it back and tell me what it says."
KEY_ENV = "FLOORLINE_API_KEY"
_SECONDS = 120
"""Longest time of a run; most take two seconds."""


class Agent(NamedTuple):
    """An agent: its program and arguments, variables, and the path that it calls."""

    program: str
    arguments: tuple
    environ: dict
    path: str


AGENTS = {
    "claude-code": Agent(
        "claude",
        ("-p", TASK, "--output-format", "json", "--permission-mode", "acceptEdits"),
        {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1"},
        "/v1/messages",
    ),
    "codex": Agent(
        "codex",
        (
            "exec",
            "--skip-git-repo-check",
            # Its sandbox needs rights that containers lack; what it runs is in the script.
            "--dangerously-bypass-approvals-and-sandbox",
            "-c",
            "check_for_update_on_startup=false",
            "-c",
            "analytics.enabled=false",
            TASK,
        ),
        {},
        "/v1/responses",
    ),
    "opencode": Agent(
        "opencode",
        ("run", TASK),
        {
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
            "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
            "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
        },
        "/v1/chat/completions",
    ),
    "continue": Agent(
        "cn",
        ("-p", TASK, "--auto", "--config", "{home}/.continue/config.yaml"),
        {"CONTINUE_TELEMETRY_ENABLED": "0", "CONTINUE_CLI_AUTO_UPDATED": "1"},
        "/v1/chat/completions",
    ),
}


def connect(name, url, home):
    """Point an agent at a server, with ``floorline connect``."""
    given = ["connect", name, "--url", url, "--sla", "gold", "--write"]
    done = subprocess.run(
        [sys.executable, "-m", "floorline", *given],
        env=os.environ | {"HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def run(name, home, folder, environ):
    """Let an agent do its task in a folder, with some variables; returns what it prints."""
    agent = AGENTS[name]
    # A proxy that leads nowhere: what is not on this machine cannot be reached.
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1,localhost"}
    done = subprocess.run(
        [PROGRAMS / agent.program, *(one.format(home=home) for one in agent.arguments)],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            **nowhere,
            **agent.environ,
            **environ,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
