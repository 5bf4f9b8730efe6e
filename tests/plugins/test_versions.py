"""The documentation names the versions that are tested."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = {
    "make test": ["dev"],
    "make test-upstream": ["full", "litellm-proxy"],
    "make test-frameworks": ["frameworks", "llama-index"],
}
"""Lock files of what each target runs."""
PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([^|]+) \| `([\w-]+)` \| ([\d.]+) \| `(make [\w-]+)` \|$", PAGE, re.M)


def locked(target, package):
    """Versions of a package in the lock files of a target."""
    texts = [(ROOT / "requirements" / f"{name}.txt").read_text() for name in LOCKS[target]]
    found = [re.findall(rf"^{package}(?:\[[\w,]+\])?==([\d.]+)", text, re.M) for text in texts]
    return {version for versions in found for version in versions}


@pytest.mark.parametrize(("name", "package", "version", "target"), ROWS)
def test_the_table_has_the_versions_of_the_lock_files(name, package, version, target):
    assert locked(target, package) == {version}, f"correct the row of {name} in docs/plugins.md"


def test_the_table_has_all_plug_ins():
    assert len(ROWS) >= 7
