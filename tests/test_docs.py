"""What the documentation shows, names and links to is what the repository holds."""

import re
import runpy
import tomllib
from pathlib import Path
from urllib.parse import unquote

import pytest

from floorline.cli.app import load_command
from floorline.report.plots import DOCS_PICTURE_BYTES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
PICTURES = sorted(p for p in DOCS.rglob("*") if p.suffix in (".png", ".svg", ".jpg", ".webp"))

# [text](target "title"), outside of code.
_LINK = re.compile(r"\]\(([^)\s]+)[^)]*\)")
# A path from the root of the repository. Patterns such as tests/*.py and names with {} are not.
_PATH = re.compile(
    r"(?<![\w./~-])((?:src|tests|benchmarks|docs|examples|deploy)/[\w./-]*\w/?)(?![\w*{…])"
)
# A command in a console, without its comment; a command in `…`, which may span lines.
_CONSOLE = re.compile(r"^\$ floorline ([^#\n]*)", re.MULTILINE)
_INLINE = re.compile(r"`floorline ([^`#]*)`")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def _name(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_to_files_and_headings(page):
    text = _FENCE.sub("", page.read_text())
    for target in _LINK.findall(text):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, heading = unquote(target).partition("#")
        file = (page.parent / name) if name else page
        within = file.resolve().is_relative_to(DOCS if DOCS in page.parents else ROOT)
        assert within, f"{_name(page)} links to {target}, which the site does not have"
        assert file.exists(), f"{_name(page)} links to {target}, which is not there"
        if heading:
            assert heading in _headings(file), f"{_name(page)} links to {target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_paths_that_pages_name_are_there(page):
    for path in _PATH.findall(page.read_text()):
        assert (ROOT / path).exists(), f"{_name(page)} names {path}, which is not there"


def test_where_things_are_names_what_the_files_hold():
    rows = re.findall(r"^\|(.*)\|(.*)\|$", (DOCS / "where-things-are.md").read_text(), re.MULTILINE)
    checked = 0
    for part, where in rows:
        text = "".join((ROOT / path).read_text() for path in _PATH.findall(where))
        for name in re.findall(r"`(?:\w+\.)*(\w+)`", part):
            assert name in text, f"{name} is not in {where}"
            checked += 1
    assert checked >= 5


def test_the_layout_lists_every_folder():
    text = (DOCS / "how-it-works.md").read_text().partition("## Layout")[2]
    package = ROOT / "src" / "floorline"
    folders = [
        f"{path.parent.relative_to(package)}/"
        for path in package.rglob("__init__.py")
        if path.parent != package and "migrations" not in path.parts
    ]
    assert [folder for folder in folders if f"`{folder}`" not in text] == []


def test_the_site_has_every_page():
    site = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]
    named = re.findall(r"'([\w-]+\.md)'", str(site["nav"]))
    assert sorted(named) == sorted(page.name for page in DOCS.glob("*.md"))


def test_the_list_for_language_models_has_every_page():
    written = runpy.run_path(str(ROOT / ".ci" / "llms_txt"))["text"]()
    assert (DOCS / "llms.txt").read_text() == written, "run 'make docs'"


def _headings(page):
    """Anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_commands_that_pages_name_exist(page):
    text = page.read_text()
    for written in [*_CONSOLE.findall(text), *_INLINE.findall(text)]:
        first, *words = written.split()
        if first.startswith("-"):
            continue
        command = load_command(first)
        while words and hasattr(command, "commands"):
            # store migrate|vacuum means both.
            found = [command.get_command(None, name) for name in words[0].split("|")]
            assert None not in found, f"{_name(page)}: floorline {written}"
            command, *words = found[0], *words[1:]
        options = {name for parameter in command.params for name in parameter.opts}
        for word in words:
            assert not word.startswith("--") or word in options, (
                f"{_name(page)}: floorline {written}"
            )


def test_the_index_links_to_every_page():
    index = (DOCS / "README.md").read_text()
    missing = [page.name for page in DOCS.glob("*.md") if f"({page.name})" not in index]
    assert missing == ["README.md"]


def test_the_index_has_the_groups_of_the_site():
    """A page is found in the same place here and there."""
    text = (DOCS / "README.md").read_text().partition("## Words")[0]
    groups = {}
    for part in text.split("\n## ")[1:]:
        title, _, rows = part.partition("\n")
        groups[title] = re.findall(r"\| \[[\w.-]+\]\(([\w.-]+)\) \|$", rows, re.MULTILINE)
    site = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]
    expected = {
        title: [path for page in pages for path in page.values()]
        for part in site
        for title, pages in part.items()
        if title != "Floorline"
    }
    assert groups == expected


@pytest.mark.parametrize("picture", PICTURES, ids=_name)
def test_pictures_are_small_and_shown(picture):
    assert picture.stat().st_size <= DOCS_PICTURE_BYTES
    shown = f"({picture.relative_to(DOCS)})"
    assert any(shown in page.read_text() for page in DOCS.glob("*.md"))


def test_policy_shown_in_the_docs_is_the_example_file():
    shown = (DOCS / "adding-a-policy.md").read_text()
    assert (ROOT / "examples" / "thrifty.py").read_text() in shown
