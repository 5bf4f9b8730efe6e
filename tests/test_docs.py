"""What the documentation shows is what the repository holds."""

from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_policy_shown_in_the_docs_is_the_example_file():
    shown = (ROOT / "docs" / "adding-a-policy.md").read_text()
    assert (ROOT / "examples" / "thrifty.py").read_text() in shown
