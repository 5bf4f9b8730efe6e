import itertools

import pytest

from floorline.report.axes import SIZES
from floorline.report.certificate_methods import MethodPoint
from floorline.report.certificate_plot import interval_plot, interval_plots


def points(text):
    return [tuple(map(float, pair.split(","))) for pair in text.split()]


def series(count):
    return [
        MethodPoint(n, 0.9, 0.9 - 0.9 / n, min(1.0, 0.9 + 0.9 / n)) for n in range(1, count + 1)
    ]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: size.name)
@pytest.mark.parametrize("count", [1, 2, 8, 240])
@pytest.mark.parametrize("floor", [0.0, 0.8, 1.0])
def test_everything_lies_inside_the_axes(count, floor, size):
    plot = interval_plot(series(count), floor, size=size)
    for x, y in [*points(plot.band), *points(plot.mean), (plot.left, plot.floor)]:
        assert plot.left <= x <= plot.right
        assert plot.top <= y <= plot.bottom
    assert len(points(plot.band)) == 2 * len(points(plot.mean))
    assert points(plot.mean)[-1][0] == plot.right


@pytest.mark.parametrize("size", SIZES, ids=lambda size: size.name)
@pytest.mark.parametrize("count", [1, 2, 8, 240, 9_999, 1_000_000])
def test_labels_lie_inside_the_drawing_and_apart(count, size):
    steps = range(1, 241) if count > 240 else range(1, count + 1)
    last = [MethodPoint(max(1, count * n // len(steps)), 0.9, 0.85, 0.95) for n in steps]
    plot = interval_plot(last, 0.8, size=size)
    wide = 0.6 * plot.font

    def edges(tick):
        half = wide * len(tick.label) / 2
        return tick.at - half, tick.at + half

    spans = [edges(tick) for tick in plot.columns]
    assert spans
    assert spans[0][0] >= 0
    assert spans[-1][1] <= plot.width
    assert all(a[1] + wide <= b[0] for a, b in itertools.pairwise(spans))
    assert all(plot.left - 7 - wide * len(tick.label) >= 0 for tick in plot.rows)
    heights = sorted(tick.at for tick in plot.rows)
    assert len(heights) >= 2
    assert all(b - a >= 1.5 * plot.font for a, b in itertools.pairwise(heights))


def test_letters_are_legible_on_a_phone():
    large, small = interval_plots(series(240), 0.8)
    # A page of 390 pixels has 358 for the drawing.
    assert small.font * 358 / small.width >= 12
    assert large.font * 740 / large.width >= 12
    assert len(points(small.mean)) <= 120


def test_a_higher_share_is_drawn_higher():
    plot = interval_plot(series(100), 0.5)
    upper, lower = points(plot.band)[0], points(plot.band)[-1]
    mean = points(plot.mean)[0]
    assert upper[1] < mean[1] < lower[1]
    assert plot.floor > mean[1]


def test_counts_on_the_axis_are_whole_numbers():
    for count in (1, 3, 12, 240):
        plot = interval_plot(series(count), 0.8)
        labels = [tick.label for tick in plot.columns]
        assert (labels[0] == "0") == (count < 8)
        assert all(label.replace(",", "").isdigit() for label in labels)
        assert len(set(labels)) == len(labels)
