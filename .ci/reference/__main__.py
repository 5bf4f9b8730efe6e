"""Write the reference pages of docs/ that come from the code: commands, HTTP, Python and metrics.

``python .ci/reference`` writes them; ``tests/docs/test_reference.py`` compares them with the code.
"""

from __future__ import annotations

from pathlib import Path

import commands
import endpoints
import metric_tables
import public_api

DOCS = Path(__file__).parents[2] / "docs"


def pages() -> dict[str, str]:
    """Return the text of each page, by the name of its file."""
    return {
        "cli.md": commands.page(),
        "http-api.md": endpoints.page(),
        "python-api.md": public_api.page(),
        "metrics.md": metric_tables.page(),
    }


if __name__ == "__main__":
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
