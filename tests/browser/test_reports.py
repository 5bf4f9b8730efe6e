"""Reports that are written while the gateway runs: on phones, on paper, and of one tenant."""

import json

import pytest
from tests.browser.accessibility import violations
from tests.browser.pages import overflow, picture
from tests.browser.visiting import WIDTHS

from floorline.cli.app import main


@pytest.fixture(scope="module")
def written(scene, tmp_path_factory):
    """Write the report on a scope once; its folder."""
    folders = {}

    def write(*arguments):
        if arguments not in folders:
            folders[arguments] = out = tmp_path_factory.mktemp("report")
            given = ["report", "sla", "--log", scene.store_url, "--since", "4d", "--out", str(out)]
            assert main([*given, *arguments]) == 0
        return folders[arguments]

    return write


@pytest.fixture
def opened(chromium):
    """Open a file in the browser; the test fails if the page says something in the console."""
    said, contexts = [], []

    def open_(path, width):
        contexts.append(chromium.new_context(viewport={"width": width, "height": 900}))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.extend(_elsewhere(request.url, path)))
        page.goto(path.as_uri())
        return page

    yield open_
    for context in contexts:
        context.close()
    assert said == []


def _elsewhere(url, path):
    return [] if url == path.as_uri() or url.startswith("data:") else [url]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scope", [("--tenant", "acme"), ()], ids=["acme", "all"])
def test_a_report_on_slas(written, opened, scope, width):
    page = opened(written(*scope) / "sla-report.html", width)
    if scope:
        # The page on all SLAs is longer than a picture may be.
        picture(page, f"sla-report-{width}")
    assert overflow(page) == []
    assert violations(page) == []
    # Letters of drawings keep their size.
    sizes = page.locator("svg text").evaluate_all(
        "all => all.map((one) => one.getBoundingClientRect().height).filter((high) => high > 0)"
    )
    assert min(sizes) >= 12


def test_a_tenants_report_names_nothing_of_the_other(written, scene):
    texts = [path.read_text() for path in written("--tenant", "acme").iterdir()]
    foreign = ["globex", *scene.decisions["globex"], *scene.decisions["shared"]]
    foreign += [key.id for key in scene.keys.values()]
    for text in texts:
        assert "gold" in text
        assert [word for word in foreign if word in text] == []


def test_the_numbers_are_those_of_the_gateway(written, scene):
    """Of an SLA that is one tenant's own, a report on all its life says what the API says."""
    body = json.loads((written("--sla", "gold@acme") / "sla-report.json").read_text())
    (made,) = body["slas"]
    status = scene.api("/v1/slas/gold@acme")
    assert made["certificate"]["labels"] == status["labels"]
    assert made["totals"]["requests"] == status["requests"]
    assert made["totals"]["spend"] == pytest.approx(status["spent"])


@pytest.mark.parametrize("width", WIDTHS)
def test_a_certificate(scene, opened, tmp_path, width):
    main(
        [
            "report",
            "certificate",
            "--log",
            scene.store_url,
            "--sla",
            "silver",
            "--out",
            str(tmp_path),
        ]
    )
    page = opened(tmp_path / "certificate.html", width)
    picture(page, f"certificate-{width}")
    assert overflow(page) == []
    assert violations(page) == []
