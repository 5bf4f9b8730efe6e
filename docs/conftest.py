"""What the pages that are tested need."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _examples(monkeypatch):
    """Find modules of ``examples/``, as a user's own policy is found in the current folder."""
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "examples")
