import base64
from html.parser import HTMLParser

import pytest

from floorline.errors import DataError
from floorline.report.run_page import run_page

REPORT = """# Two parts & a <title>

## First, feedback full

met: number of seeds.

| floor | policy |
|---:|---|
| 0.7 | static_mix \\* |

![first](plots/first.png)

## Second

![escape](../secret.png) ![text](plots/first.txt) ![gone](plots/gone.png)

<script>alert(1)</script>
"""
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def folder(tmp_path):
    run = tmp_path / "run"
    (run / "plots").mkdir(parents=True)
    (run / "report.md").write_text(REPORT)
    (run / "plots" / "first.png").write_bytes(PNG)
    (run / "plots" / "first.txt").write_bytes(PNG)
    (tmp_path / "secret.png").write_bytes(PNG + b"secret")
    return run


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def of(self, tag):
        return [given for name, given in self.tags if name == tag]


def test_the_page_holds_the_report(folder):
    page = Page(run_page(folder))
    assert "Two parts & a <title>" in page.text
    assert [given["href"] for given in page.of("a")] == ["#part-1", "#part-2"]
    assert [given.get("id") for given in page.of("h2")] == ["part-1", "part-2", None]
    assert len(page.of("table")) == 1
    assert "static_mix *" in page.text


def test_the_page_needs_no_other_file_and_runs_no_script(folder):
    page = Page(run_page(folder))
    (picture,) = page.of("img")
    assert picture["src"] == "data:image/png;base64," + base64.b64encode(PNG).decode()
    assert not page.of("script")
    assert not page.of("link")


def test_only_pictures_of_the_run_are_shown(folder):
    text = Page(run_page(folder)).text
    for name in ("escape", "text", "gone"):
        assert f"[picture {name} is missing]" in text


def test_what_made_the_run_is_told(folder):
    (folder / "suite.json").write_text(
        '{"floorline": "0.9", "packages": {"numpy": "2.1"}, "data": {"x": "sha256:1"},'
        ' "suite": {"title": "<b>"}, "further": [1]}'
    )
    text = Page(run_page(folder)).text
    for part in ("0.9", "numpy 2.1", "sha256:1", '"title": "<b>"'):
        assert part in text


@pytest.mark.parametrize("content", [b"{", b'{"packages": 3}', b"\xff"])
def test_a_damaged_record_is_an_error(folder, content):
    (folder / "suite.json").write_bytes(content)
    with pytest.raises(DataError, match=r"suite\.json"):
        run_page(folder)


def test_tables_and_pictures_scroll_in_boxes_with_names(folder):
    page = Page(run_page(folder))
    boxes = [given for tag in ("div", "span") for given in page.of(tag) if "class" in given]
    assert [given["class"] for given in boxes] == ["wide two", "wide"]
    assert [given["aria-label"] for given in boxes] == ["Table 1", "Plot first"]
    assert all(given["tabindex"] == "0" for given in boxes)


def test_only_tables_that_begin_with_floors_keep_two_columns_in_sight(folder):
    (folder / "report.md").write_text("# X\n\n| policy | cost |\n|---|---|\n| random | 1 |\n")
    assert [given["class"] for given in Page(run_page(folder)).of("div")] == ["wide"]
