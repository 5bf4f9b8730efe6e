"""Drawings for notebooks: what is drawn lies inside, and stands for the numbers given."""

import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from floorline.core.drawing import Line, Point, interval_bar, line_chart, scatter


class Drawing(HTMLParser):
    """Elements of a drawing by their tag, and its texts."""

    def __init__(self, text):
        super().__init__()
        self.found, self.texts = {}, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.setdefault(tag, []).append(dict(attributes))

    def handle_data(self, data):
        self.texts.append(data)


def points(drawing):
    return [
        [tuple(map(float, pair.split(","))) for pair in line["points"].split()]
        for line in drawing.found["polyline"]
    ]


def noisy(name, mean, count=2000, seed=0, main=True):
    steps = np.arange(1, count + 1)
    values = np.cumsum(np.random.default_rng(seed).random(count) < mean) / steps
    return Line(name, steps.tolist(), values.tolist(), main)


def test_lines_lie_inside_the_axes_and_end_at_their_values():
    lines = [noisy("high", 0.9, seed=1), noisy("low", 0.4, seed=2)]
    drawing = Drawing(line_chart(lines, 0.8, "requests", "satisfaction"))
    edges = drawing.found["line"][0]
    left, right = float(edges["x1"]), float(edges["x2"])
    high, low = points(drawing)
    for line in (high, low):
        assert len(line) <= 60
        assert all(left <= x <= right and 0 <= y <= 250 for x, y in line)
        assert line[-1][0] == right
    floor = next(e for e in drawing.found["line"] if "stroke-dasharray" in e)
    # Heights are linear in the values.
    top, bottom = high[-1][1], low[-1][1]
    share = (lines[0].y[-1] - 0.8) / (lines[0].y[-1] - lines[1].y[-1])
    assert float(floor["y1"]) == pytest.approx(top + share * (bottom - top), abs=0.2)


def test_names_of_lines_are_apart():
    lines = [noisy(f"policy {n}", 0.8, seed=7) for n in range(9)]
    drawing = Drawing(line_chart(lines, 0.8, "requests", "satisfaction"))
    named = [
        float(given["y"])
        for given, text in zip(drawing.found["text"], drawing.texts, strict=True)
        if text.startswith("policy ")
    ]
    assert len(named) == 9
    assert all(abs(a - b) >= 12.9 for a, b in pairwise(sorted(named)))
    assert max(named) <= 250


@pytest.mark.parametrize("lines", [[], [Line("none", [], [])]])
def test_nothing_to_draw_is_no_drawing(lines):
    assert line_chart(lines, 0.8, "requests", "satisfaction") == ""
    assert scatter([], "cost", "quality") == ""
    assert scatter([Point("free", 0.0, 0.5), Point("x", 1.0, float("nan"))], "c", "q") == ""


def test_a_line_of_one_point_is_drawn():
    assert "<polyline" in line_chart([Line("one", [1], [0.5])], 0.5, "requests", "x")


def test_a_bar_shows_bounds_mean_and_floor():
    drawing = Drawing(interval_bar(0.8, 0.9, 0.85, 0.75))
    (band,) = drawing.found["rect"]
    (mean,) = drawing.found["circle"]
    middle = float(band["x"]) + float(band["width"]) / 2
    assert float(mean["cx"]) == pytest.approx(middle, abs=0.2)
    assert "floor 0.75" in drawing.texts
    assert "circle" not in Drawing(interval_bar(0.0, 1.0, None, 0.75)).found


def test_names_are_escaped_and_colours_follow_the_theme():
    name = '<script>"x"</script>'
    for text in (
        line_chart([noisy(name, 0.5)], 0.5, name, name),
        scatter([Point(name, 1.0, 0.5), Point("b", 100.0, 0.9)], name, name),
    ):
        assert "<script>" not in text
        assert not re.search(r'(fill|stroke)="(black|#000|#111)', text)
        assert "currentColor" in text
        drawing = Drawing(text)
        assert all(text["fill"] for text in drawing.found["text"])
