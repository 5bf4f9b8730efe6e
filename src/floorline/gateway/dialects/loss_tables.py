"""Describe what translations lose: tables for ``docs/dialects.md``.

``python -m floorline.gateway.dialects.loss_tables`` prints them.
"""

from __future__ import annotations

from floorline._markdown import markdown_table
from floorline.gateway.dialects.losses import READ, WRITTEN

NAMES = {
    "openai": "chat completions",
    "anthropic": "Anthropic's messages",
    "responses": "OpenAI's responses",
}
"""Names of the dialects in headings."""


def tables() -> str:
    """Return a table for each direction of each dialect."""
    parts = []
    for heading, losses in (("Requests in", READ), ("Providers of", WRITTEN)):
        for dialect, name in NAMES.items():
            rows = [
                (f"`{field}`", meaning.replace("|", "\\|"))
                for field, meaning in sorted(losses[dialect].items())
            ]
            parts += [
                f"### {heading} {name}",
                "",
                markdown_table(["name", "what"], rows, left=(0, 1)),
                "",
            ]
    return "\n".join(parts)


if __name__ == "__main__":
    print(tables())
