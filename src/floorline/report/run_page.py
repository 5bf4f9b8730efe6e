"""A bench run as one page: its tables, its plots and what it takes to run it again."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

from floorline._bounded import TooLarge, read_text
from floorline._decoding import decoding_reason
from floorline._extras import needs
from floorline._files import write_whole
from floorline.errors import DataError
from floorline.report.pdf import pdf_of
from floorline.report.templates import render

with needs("report", "the page of a run"):
    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token

REPORT, SUITE = "report.md", "suite.json"
"""Files of a run's folder that the page is made of, beside the pictures that the report names."""
_PICTURES = {".png": "image/png", ".svg": "image/svg+xml"}
"""Types of the pictures that a report may show."""
_MAX_PICTURE = 10 * 2**20
"""Bytes of the largest picture that is put on the page: the plots of a run have some 100 kB."""


class Heading(NamedTuple):
    """A part of the page: its anchor and its title."""

    anchor: str
    title: str


class About(msgspec.Struct):
    """What ``suite.json`` says of a run; it has more fields, which the page does not show."""

    floorline: str = ""
    python: str = ""
    encoder: str = ""
    data: dict[str, str] = {}
    packages: dict[str, str] = {}
    suite: Any = None


def write_run_page(folder: Path, out: Path | None = None, *, pdf: bool = False) -> list[Path]:
    """Write the page of a bench run.

    Parameters
    ----------
    folder
        Folder that ``floorline bench`` wrote: ``report.md``, ``suite.json`` and plots.
    out
        File of the page; ``report.html`` in the folder by default.
    pdf
        Whether to write the page as PDF too, beside it and under the same name.

    Returns
    -------
    The files

    Raises
    ------
    DataError
        If the folder is no such folder, or a file of it cannot be read.
    FloorlineError
        If a PDF is asked for and what it needs is not installed. Then nothing is written.
    """
    page = run_page(folder)
    out = folder / "report.html" if out is None else out
    contents = {out: page.encode()}
    if pdf:
        contents[out.with_suffix(".pdf")] = pdf_of(page)
    out.parent.mkdir(parents=True, exist_ok=True)
    for path, content in contents.items():
        write_whole(path, content)
    return list(contents)


def run_page(folder: Path) -> str:
    """Return the page of a bench run, which needs nothing but a browser; errors as above."""
    report = folder / REPORT
    if not report.is_file():
        fix = "give a folder that 'floorline bench --out FOLDER' wrote"
        raise DataError(folder, f"it has no {REPORT}: {fix}")
    text, about = _read(report), _about(folder / SUITE)
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    title, headings = _take_headings(tokens)
    _embed_pictures(tokens, folder)
    for kind in ("table_open", "table_close"):
        parser.add_render_rule(kind, _table_edge)
    parser.add_render_rule("image", _boxed_image)
    body = parser.renderer.render(tokens, parser.options, {})
    again = msgspec.json.format(msgspec.json.encode(about.suite), indent=2).decode()
    return render(
        "run.html.jinja",
        title=title or folder.name,
        headings=headings,
        body=body,
        about=about,
        suite=again,
    )


def _about(path: Path) -> About:
    """Read what a run records of itself; nothing if it has no such file."""
    if not path.is_file():
        return About()
    try:
        return msgspec.json.decode(_read(path), type=About)
    except msgspec.DecodeError as error:
        raise DataError(path, f"it is no record of a run: {decoding_reason(error)}") from error


def _read(path: Path) -> str:
    try:
        return read_text(path)
    except (UnicodeDecodeError, TooLarge) as error:
        raise DataError(path, decoding_reason(error)) from error


def _take_headings(tokens: list[Token]) -> tuple[str, list[Heading]]:
    """Take the title out of a report; return it and the parts, which get anchors."""
    title, found = "", list[Heading]()
    for position, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h2":
            found.append(Heading(f"part-{len(found) + 1}", tokens[position + 1].content))
            token.attrSet("id", found[-1].anchor)
    if len(tokens) > 2 and tokens[0].tag == "h1":
        title = tokens[1].content
        del tokens[:3]
    return title, found


def _embed_pictures(tokens: Sequence[Token], folder: Path) -> None:
    """Replace the pictures' files by their bytes, and what is no picture of the run by a text."""
    for token in tokens:
        for child in token.children or ():
            if child.type == "image":
                data = _picture(folder, unquote(str(child.attrGet("src") or "")))
                if data is None:
                    child.type, child.tag = "text", ""
                    child.content = f"[picture {child.content} is missing]"
                else:
                    child.attrSet("src", data)


def _picture(folder: Path, name: str) -> str | None:
    """Return a picture below the folder as a data URL; None for any other file."""
    kind = _PICTURES.get(Path(name).suffix.lower())
    path = (folder / name).resolve()
    if kind is None or not path.is_relative_to(folder.resolve()) or not path.is_file():
        return None
    if path.stat().st_size > _MAX_PICTURE:
        return None
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _table_edge(
    renderer: RendererHTML,
    tokens: Sequence[Token],
    index: int,
    options: Mapping[str, Any],
    env: Mapping[str, Any],
) -> str:
    """Put a table into a box of its own that scrolls, also by keyboard, where it is too wide.

    Rows that begin with their floor keep the policy in sight, too.
    """
    if tokens[index].nesting == -1:
        return "</table></div>\n"
    first = next(token.content for token in tokens[index:] if token.type == "inline")
    two = " two" if first.strip() == "floor" else ""
    number = sum(token.type == "table_open" for token in tokens[: index + 1])
    box = f'<div class="wide{two}" role="region" aria-label="Table {number}" tabindex="0">'
    return box + "<table>\n"


def _boxed_image(
    renderer: RendererHTML,
    tokens: Sequence[Token],
    index: int,
    options: Any,
    env: Any,
) -> str:
    """Put a picture into such a box: on a phone it would be too small to be read."""
    image = renderer.image(tokens, index, options, env)
    name = escape(str(tokens[index].attrGet("alt")))
    return f'<span class="wide" role="region" aria-label="Plot {name}" tabindex="0">{image}</span>'
