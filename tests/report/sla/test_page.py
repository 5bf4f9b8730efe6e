"""The page of a report: one file, escaped, with every name that was given to it as a text."""

import re
import sys
from html.parser import HTMLParser

import msgspec
import pytest

from floorline.errors import MissingExtra
from floorline.report.sla import page as module
from floorline.report.sla.page import (
    amount,
    period_page,
    verdict_in_words,
    write_period_report,
)
from floorline.report.sla.report import make_period_report, source_of
from floorline.stores.log_source import LogDigest

START, DAY = 1_790_000_000.0, 86400.0


@pytest.fixture
def report(live, fold):
    """Report on the tenant acme, for a customer whose name tries to be part of the page."""
    folded = fold(live(600), tenant="acme")
    source = source_of(folded, LogDigest(iter(())), "log.db", verified=True)
    name = 'A"}</style><script>alert(1)</script><b>&amp;'
    return make_period_report(folded, [], source, customer=name, made_at=START + 11 * DAY)


def test_the_page_needs_nothing_from_elsewhere_and_closes_its_tags(report):
    page = period_page(report)
    assert not re.search(r"<script|<b>&amp;|src=|href=\"[^#]|url\(|@import", page)
    assert page.count("</style>") == 1
    open_tags = []

    class Check(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "br", "line", "rect", "polygon", "polyline"):
                open_tags.append(tag)

        def handle_endtag(self, tag):
            if tag not in ("line", "rect", "polygon", "polyline"):
                assert open_tags.pop() == tag

    Check().feed(page)
    assert open_tags == []


def test_tables_and_drawings_have_names(report):
    page = period_page(report)
    for figure in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        assert "<title>" in figure or 'aria-hidden="true"' in figure
    for box in re.findall(r'<div class="wide"[^>]*>', page):
        assert 'aria-label="' in box
        assert 'tabindex="0"' in box


def test_the_numbers_of_the_page_are_those_of_the_json(report, tmp_path):
    page, body = write_period_report(report, tmp_path)
    read = msgspec.json.decode(body.read_bytes(), type=type(report))
    assert read == report
    text, (made,) = page.read_text(), report.slas
    assert f"{made.totals.requests:,} requests" in text
    assert amount(made.totals.spend, "USD") in text
    assert f"{100 * made.certificate.satisfaction:.1f}\xa0%" in text
    assert report.source.sha256 in text
    assert "--since 2026-09-21T14:13:20Z --until 2026-10-01T14:13:20Z" in text


def test_bars_are_as_high_as_their_numbers(report):
    (made,) = report.slas
    plots = module._chapter(made, "x", report, module.model_colours(report.slas)).requests
    for plot in plots:
        scale = {}
        for bar in plot.bars:
            scale[bar.x] = scale.get(bar.x, 0.0) + bar.height
        heights = list(scale.values())
        counts = [sum(b.served.values()) for b in made.buckets if sum(b.served.values())]
        assert len(heights) == len(counts)
        for height, count in zip(heights, counts, strict=True):
            assert height / count == pytest.approx(heights[0] / counts[0], rel=0.05)
        assert all(plot.top <= bar.y <= bar.y + bar.height <= plot.bottom + 1 for bar in plot.bars)
        assert all(plot.left <= bar.x <= bar.x + bar.width <= plot.right for bar in plot.bars)


def test_every_verdict_is_said_in_words(router_with):
    for satisfied, verdict, words in (
        (1.0, "kept", "at least"),
        (0.0, "broken", "at most 4.7"),
        (None, "unknown", "There is no label yet."),
    ):
        made = router_with(satisfied)
        assert made.verdict in (verdict, "unreachable")
        text = verdict_in_words(made)
        assert words in text or made.verdict == "unreachable"
    risky = msgspec.structs.replace(router_with(1.0), verdict="at risk", satisfaction=0.5)
    assert "not certain yet" in verdict_in_words(risky)
    open_ = msgspec.structs.replace(router_with(1.0), verdict="unknown")
    assert "too few" in verdict_in_words(open_)


@pytest.fixture
def router_with(build_router, vector):
    """Certificate of a router whose responses all had one score."""

    def run(score):
        router = build_router()
        for number in range(120):
            made = router.route(features=vector(number % 9))
            if score is not None:
                router.feedback(made.id, score=score)
        return router.certificate("gold")

    return run


def test_without_the_extra_nothing_is_written(report, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(MissingExtra, match=r"extra 'pdf': pip install 'floorline\[pdf\]'"):
        write_period_report(report, tmp_path / "new", pdf=True)
    assert not (tmp_path / "new").exists()


def test_a_model_has_one_colour_in_all_chapters(live, fold):
    folded = fold(live(600))
    source = source_of(folded, LogDigest(iter(())), "log.db", verified=True)
    page = period_page(make_period_report(folded, [], source))
    keys = re.findall(r'fill="(#\w+)"/></svg>([\w-]+)</span>', page)
    colours = {}
    for colour, model in keys:
        colours.setdefault(model, set()).add(colour)
    assert len(keys) > len(colours) == 3
    assert all(len(found) == 1 for found in colours.values())
    assert len(set.union(*colours.values())) == 3


def test_models_beyond_the_colours_are_one_part(report):
    (made,) = report.slas
    row = made.models[0]
    many = tuple(msgspec.structs.replace(row, model=f"m{n}", answered=9 - n) for n in range(8))
    buckets = tuple(
        msgspec.structs.replace(bucket, served={f"m{n}": 9 - n for n in range(8)})
        for bucket in made.buckets
    )
    changed = msgspec.structs.replace(made, models=many, buckets=buckets)
    chapter = module._chapter(changed, "x", report, module.model_colours([changed]))
    assert [name for name, _ in chapter.colours] == [*(f"m{n}" for n in range(6)), "others"]
    heights = {}
    for bar in chapter.requests[0].bars:
        heights.setdefault(bar.x, []).append(bar.height)
    for parts in heights.values():
        # m6 and m7 had 3 and 2 answers, and m0 had 9.
        assert parts[-1] / parts[0] == pytest.approx(5 / 9, abs=0.05)
