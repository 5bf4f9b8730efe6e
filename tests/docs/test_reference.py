"""The reference pages are what the code says now."""

import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_MODULES = ("commands", "docstrings", "endpoints", "metric_tables", "public_api")


@pytest.fixture(scope="module")
def pages():
    written = runpy.run_path(str(ROOT / ".ci" / "reference"))["pages"]()
    for name in _MODULES:
        sys.modules.pop(name)
    return written


@pytest.mark.parametrize("name", ["cli.md", "http-api.md", "python-api.md", "metrics.md"])
def test_reference_pages_are_current(pages, name):
    current = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert current == pages[name], "run: python .ci/reference"


def test_every_page_that_is_written_is_compared(pages):
    assert sorted(pages) == ["cli.md", "http-api.md", "metrics.md", "python-api.md"]


def test_every_option_has_a_meaning(pages):
    rows = [line for line in pages["cli.md"].splitlines() if line.startswith("| `")]
    assert len(rows) > 100
    assert [row for row in rows if row.endswith("|  |")] == []


def test_every_class_and_method_of_the_python_page_has_a_text(pages):
    for part in pages["python-api.md"].split("\n###")[1:]:
        title, _, text = part.partition("\n")
        prose = re.sub(r"```text.*?```", "", text, flags=re.DOTALL)
        assert prose.partition("\n## ")[0].strip(), f"{title.strip('# ')} has no docstring"
