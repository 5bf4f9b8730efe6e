"""Clients that ``floorline connect`` knows: their configuration files, and what to write there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple


class Target(NamedTuple):
    """What a client is to call.

    Attributes
    ----------
    url : str
        URL of the server, without ``/v1``.
    key_env : str
        Environment variable that holds the client's key.
    sla : str
        Name of the SLA that it asks for.
    """

    url: str
    key_env: str
    sla: str

    @property
    def base_url(self) -> str:
        """Base URL of OpenAI's API."""
        return f"{self.url}/v1"

    @property
    def model(self) -> str:
        """The model's name in requests."""
        return f"floorline/{self.sla}"


class Client(NamedTuple):
    """One client.

    Attributes
    ----------
    title : str
        Its name.
    kind : str
        Form of its configuration file, as ``client_files.merged`` takes it.
    file : callable
        The file, from the user's home and the environment.
    settings : callable
        What the file is to say.
    run : str
        What to do then.
    fresh : mapping
        What a new file says besides.
    """

    title: str
    kind: str
    file: Callable[[Path, Mapping[str, str]], Path]
    settings: Callable[[Target], dict[str, Any]]
    run: str
    fresh: Mapping[str, str] = MappingProxyType({})


def _in(variable: str, default: str, name: str) -> Callable[[Path, Mapping[str, str]], Path]:
    """Return a function that finds a file in the folder that a variable names, or below home."""

    def file(home: Path, environ: Mapping[str, str]) -> Path:
        folder = environ.get(variable)
        return (Path(folder) if folder else home / default) / name

    return file


def _claude_code(target: Target) -> dict[str, Any]:
    models = ("MODEL", "DEFAULT_OPUS_MODEL", "DEFAULT_SONNET_MODEL", "DEFAULT_HAIKU_MODEL")
    return {
        # A command whose output is the key, so that the file does not hold it.
        "apiKeyHelper": f"printenv {target.key_env}",
        "env": {
            "ANTHROPIC_BASE_URL": target.url,
            **{f"ANTHROPIC_{name}": target.model for name in models},
        },
    }


def _codex(target: Target) -> dict[str, Any]:
    provider = {
        "name": "Floorline",
        "base_url": target.base_url,
        "env_key": target.key_env,
        "wire_api": "responses",
    }
    return {
        "model": target.model,
        "model_provider": "floorline",
        "model_providers": {"floorline": provider},
    }


def _opencode(target: Target) -> dict[str, Any]:
    # It sends the part of a model's name after the provider's, so that the name has two slashes.
    name = f"floorline/{target.model}"
    options = {"baseURL": target.base_url, "apiKey": f"{{env:{target.key_env}}}"}
    return {
        "model": name,
        "small_model": name,
        "provider": {
            "floorline": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "Floorline",
                "options": options,
                "models": {target.model: {"name": f"Floorline {target.sla}"}},
            }
        },
    }


def _continue(target: Target) -> dict[str, Any]:
    model = {
        "name": f"Floorline {target.sla}",
        "provider": "openai",
        "model": target.model,
        "apiBase": target.base_url,
        "apiKey": f"${{{{ secrets.{target.key_env} }}}}",
        "roles": ["chat", "edit", "apply"],
        "capabilities": ["tool_use"],
    }
    return {"models": [model]}


def _open_webui(target: Target) -> dict[str, Any]:
    return {
        "OPENAI_API_BASE_URL": target.base_url,
        "OPENAI_API_KEY": f"${{{target.key_env}}}",
    }


CLIENTS = {
    "claude-code": Client(
        "Claude Code",
        "json",
        _in("CLAUDE_CONFIG_DIR", ".claude", "settings.json"),
        _claude_code,
        "run 'claude'; ANTHROPIC_API_KEY must not be set, because it goes before the settings",
    ),
    "codex": Client(
        "Codex", "toml", _in("CODEX_HOME", ".codex", "config.toml"), _codex, "run 'codex'"
    ),
    "opencode": Client(
        "opencode",
        "json",
        lambda home, environ: (
            Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "opencode/opencode.json"
        ),
        _opencode,
        "run 'opencode'",
        {"$schema": "https://opencode.ai/config.json"},
    ),
    "continue": Client(
        "Continue",
        "yaml",
        _in("CONTINUE_GLOBAL_DIR", ".continue", "config.yaml"),
        _continue,
        "write the variable into the file .env beside it, and choose the model in Continue",
        {"name": "Local", "version": "1.0.0", "schema": "v1"},
    ),
    "open-webui": Client(
        "Open WebUI",
        "env",
        lambda home, environ: Path(".env"),
        _open_webui,
        "start Open WebUI with these variables; one that has run before keeps its connections: "
        "change them in Admin Settings, Connections",
    ),
}
"""All clients, by their names on the command line."""
