"""Every block of code of the README and of docs/ runs, or says why it does not.

A reason stands in the line before the fence: ``<!-- not run: needs nginx -->``. Commands that a
page needs and readers do not see stand in a comment that begins with ``<!-- setup``.
"""

import json
import re
import shutil
import subprocess
import tomllib

import pytest
from tests.support.doc_blocks import PAGES, ROOT, blocks
from tests.support.doc_config import check_config
from tests.support.doc_session import Session, commands

BLOCKS = [block for page in PAGES for block in blocks(page)]
RUN = ("console", "setup", "python")
"""Languages that run in the session of their page."""
WITH_SESSION = sorted(
    {b.page for b in BLOCKS if b.language in RUN and not b.is_doctest and not b.reason}
)
HEADERS_SINCE = (7, 84)
"""Version of curl that prints headers by ``-w '%header{name}'``."""
LEAST_REASON = 10
"""Characters of the shortest reason that says something, such as "needs nginx"."""


def _name(page):
    return str(page.relative_to(ROOT))


def of(*languages):
    return [b for b in BLOCKS if b.language in languages and not b.reason]


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_is_run_or_marked(block):
    if block.reason:
        assert len(block.reason) >= LEAST_REASON, f"{block}: give a reason that says something"
    else:
        # "text" is what is no code: a file's first lines, a formula, a table.
        known = ("console", "setup", "python", "yaml", "json", "toml", "text")
        assert block.language in known, f"{block}: nothing runs {block.language!r}: mark the block"


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "console"], ids=str)
def test_lines_of_a_command_end_in_a_backslash(block):
    """The site takes other lines for what a command prints, and does not copy them."""
    for command, _ in commands(block.text):
        assert all(line.endswith("\\") for line in command.splitlines()[:-1]), f"{block}: {command}"


def test_doctests_are_in_pages_that_pytest_collects():
    collected = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    assert [block for block in BLOCKS if block.is_doctest and block.page not in collected] == []
    assert sum(block.is_doctest for block in BLOCKS) > 20


@pytest.mark.parametrize("block", of("yaml"), ids=str)
def test_yaml_is_a_configuration(block, tmp_path):
    check_config(block.text, tmp_path)


@pytest.mark.parametrize("block", of("json", "toml"), ids=str)
def test_json_and_toml_can_be_read(block):
    {"json": json.loads, "toml": tomllib.loads}[block.language](block.text)


@pytest.fixture(scope="module")
def curl():
    """Version of curl; (0, 0) without it."""
    if shutil.which("curl") is None:
        return 0, 0
    said = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in said.split()[1].split(".")[:2])


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_SESSION, ids=_name)
def test_commands_of_a_page_do_what_it_says(page, tmp_path, curl):
    if "%header{" in page.read_text(encoding="utf-8") and curl < HEADERS_SINCE:
        pytest.skip("the commands need curl 7.84 or newer")
    session = Session(tmp_path)
    try:
        for block in blocks(page):
            if block.file:
                session.write(block.file, block.text)
            elif block.reason:
                continue
            elif block.language == "python" and not block.is_doctest:
                output, status = session.script(block.text)
                assert status == 0, f"{block}\n{output}"
            elif block.language in ("console", "setup"):
                _run(session, block)
        session.stop_server()
    finally:
        session.close()


def _run(session, block):
    for command, expected in commands(block.text):
        output, status = session.run(command)
        told = f"{block}: {command}\nprints\n{output}"
        if not expected:
            assert status == 0, told
            continue
        assert _same(expected, output), f"{told}\ninstead of\n{expected}"
        # An error that a page shows has an exit status of its own.
        assert status == 0 or re.search(r"\berror\b", expected), told


def _same(expected, output):
    """Compare without regard to white space; ``…`` stands for any text."""
    parts = (re.escape(part) for part in _words(expected).split("…"))
    return re.fullmatch(".*?".join(parts), _words(output), re.DOTALL) is not None


def _words(text):
    return " ".join(text.split())
