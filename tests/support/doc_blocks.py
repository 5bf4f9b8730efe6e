"""The blocks of code of a page of the documentation, and what is to be done with them."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])

_FILE = re.compile(r"<!-- file: (\S+) -->")
_MARK = re.compile(r"<!-- not run: (.+) -->")
_NAMED = re.compile(r"# ([\w.-]+\.\w+)\n")
_FENCE = re.compile(r"^( *)(`{3,})(\w*)")


class Block(NamedTuple):
    """One block of code.

    Attributes
    ----------
    page, line
        File, and the number of its line with the fence.
    language
        Word after the fence; "setup" for commands in a comment, which readers do not see.
    text
        What is in the block.
    reason
        Why no test runs it; "" if one does.
    file
        Name of the file that the block is; "" if it is none. A comment before the fence says so
        (``<!-- file: NAME -->``), or the first line of a block that is a comment with its name.
    """

    page: Path
    line: int
    language: str
    text: str
    reason: str
    file: str

    @property
    def is_doctest(self):
        return self.language == "python" and ">>>" in self.text

    def __str__(self):
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page):
    """Return the blocks of a page and the set-up commands in its comments, in their order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    found, at = [], 0
    while at < len(lines):
        fence = _FENCE.match(lines[at])
        if lines[at] == "<!-- setup":
            end = lines.index("-->", at)
            text = "\n".join(lines[at + 1 : end]) + "\n"
            found.append(Block(page, at + 1, "setup", text, "", ""))
            at = end
        elif fence:
            indent, ticks, language = fence.groups()
            end = next(n for n in range(at + 1, len(lines)) if lines[n] == indent + ticks)
            text = "\n".join(line.removeprefix(indent) for line in lines[at + 1 : end]) + "\n"
            before = "\n".join(lines[max(at - 2, 0) : at])
            mark = _MARK.search(before)
            file = _FILE.search(before) or _NAMED.match(text)
            found.append(
                Block(
                    page,
                    at + 1,
                    language,
                    text,
                    mark[1] if mark else "",
                    file[1] if file else "",
                )
            )
            at = end
        at += 1
    return found
