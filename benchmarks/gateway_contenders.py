"""The gateways that ``gateway.py`` compares: installation, configuration and command of each.

Each has 11 models, all of them the mock, one process, no authentication and no access log.
"""

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType

import yaml

MODELS = 11
CHAT = "/v1/chat/completions"
NO_HEADERS = MappingProxyType({})


class Direct:
    """The mock without a gateway."""

    name = "direct"
    label = "mock, direct"
    model = "mock"
    headers = NO_HEADERS

    def install(self, cache):
        """Do nothing."""


class Floorline:
    """``floorline serve`` with routing, logging and the default encoder."""

    name = "floorline"
    model = "floorline/gold"
    headers = NO_HEADERS

    def install(self, cache):
        """Use the installation that runs this benchmark."""
        self.label = f"Floorline {version('floorline')}"

    def command(self, folder, port, upstream):
        """Write ``floorline.yaml``; all models have limits, so that the check is measured too."""
        models = [
            {
                "name": f"model-{m}",
                "endpoint": f"{upstream}/v1",
                "api_key": "none",
                "input_price": round(0.05 * 1.6**m, 4),
                "output_price": round(0.2 * 1.6**m, 4),
                "context_window": 128_000,
                "capabilities": ["tools", "json"],
            }
            for m in range(MODELS)
        ]
        settings = {
            "models": models,
            "slas": [{"name": "gold", "floor": 0.8}],
            "auth": "none",
            "store": {"url": "sqlite:///floorline.db"},
            "server": {"port": port},
        }
        path = folder / "floorline.yaml"
        path.write_text(yaml.safe_dump(settings))
        return [sys.executable, "-m", "floorline", "serve", "--config", str(path)], {}


class LiteLlm:
    """LiteLLM's proxy without a database, configured as in its guide for production."""

    name = "litellm"
    release = "1.106.2"
    label = f"LiteLLM {release}"
    model = "bench"
    headers = NO_HEADERS

    def install(self, cache):
        """Create a separate virtual environment."""
        self.folder = cache / f"litellm-{self.release}"
        if not (self.folder / "bin" / "litellm").exists():
            _say(f"installing {self.label} into {self.folder}")
            _run(sys.executable, "-m", "venv", self.folder)
            package = f"litellm[proxy]=={self.release}"
            _run(self.folder / "bin" / "python", "-m", "pip", "install", "-q", package)

    def command(self, folder, port, upstream):
        """Write its configuration."""
        deployments = [
            {
                "model_name": self.model,
                "litellm_params": {
                    "model": f"openai/model-{m}",
                    "api_base": f"{upstream}/v1",
                    "api_key": "none",
                },
            }
            for m in range(MODELS)
        ]
        settings = {
            "model_list": deployments,
            "litellm_settings": {"set_verbose": False, "telemetry": False, "num_retries": 0},
        }
        path = folder / "litellm.yaml"
        path.write_text(yaml.safe_dump(settings))
        environment = {
            "LITELLM_MODE": "PRODUCTION",
            "LITELLM_LOG": "ERROR",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        }
        argv = [str(self.folder / "bin" / "litellm"), "--config", str(path)]
        return [
            *argv,
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--num_workers",
            "1",
        ], environment


class Portkey:
    """Portkey's gateway; headers of a request name the upstream."""

    name = "portkey"
    release = "1.15.2"
    node_server = "1.14.1"
    label = f"Portkey {release}"
    model = "bench"

    def install(self, cache):
        """Create a separate folder; newer versions of @hono/node-server fail streams with 500."""
        self.folder = cache / f"portkey-{self.release}"
        if not (self.folder / "node_modules").exists():
            _say(f"installing {self.label} into {self.folder}")
            self.folder.mkdir(parents=True, exist_ok=True)
            package = {
                "private": True,
                "dependencies": {"@portkey-ai/gateway": self.release},
                "overrides": {"@hono/node-server": self.node_server},
            }
            (self.folder / "package.json").write_text(json.dumps(package))
            _run("npm", "install", "--no-audit", "--no-fund", "--silent", cwd=self.folder)

    def command(self, folder, port, upstream):
        """Set the headers that name the upstream."""
        self.headers = {
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"{upstream}/v1",
            "authorization": "Bearer none",
        }
        script = self.folder / "node_modules/@portkey-ai/gateway/build/start-server.js"
        return ["node", str(script), f"--port={port}", "--headless"], {"NODE_ENV": "production"}


def chosen(skip, cache):
    """Install and return the contenders that are not skipped and can be installed."""
    contenders = []
    for contender in (Direct(), Floorline(), LiteLlm(), Portkey()):
        if contender.name in skip:
            continue
        try:
            contender.install(cache)
        except (OSError, subprocess.CalledProcessError) as error:
            _say(f"without {contender.name}: {error}")
        else:
            contenders.append(contender)
    return contenders


def default_cache():
    """Return the folder of the installations, outside the repository."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "floorline-benchmarks"


def _run(*argv, cwd=None):
    if shutil.which(str(argv[0])) is None:
        raise FileNotFoundError(f"there is no {argv[0]}")
    subprocess.run([str(a) for a in argv], cwd=cwd, check=True, timeout=900)


def _say(text):
    print(text, file=sys.stderr, flush=True)
